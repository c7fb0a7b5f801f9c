"""PACT+: PACT whose clipping value learns from the values inside it too.

Source: IBM's fms-model-optimizer 0.8.7 (`PACTplusSTE`, `PACTplusSym`); no paper of that name is
known to us.

    x_q = alpha / n round(n clip(x / alpha, 0, 1)),  n = 2^bits - 1
    d x_q / d alpha = 1 where x >= alpha, 0 where x <= 0, (round(z) - z) / n between
    d x_q / d x     = 1 where 0 < x < alpha, 0 elsewhere;  z = n x / alpha

signed (`PACTplusSym`): n = 2^(bits - 1) - 1, clipped at -alpha, -1 there. This is LSQ's gradient of
an interval without LSQ's scaling of it, which is that of our own quantizer: activations are the
same, weights are SAWB's.

Marks: all second-hand (that code). alpha begins where the recipe's rule says (assumed).
"""

from typing import ClassVar

from baselines.sawb_zero import ZeroAlignedSAWB
from qkd.quantizers.interval import IntervalQuantizer
from qkd.quantizers.quantizer import Quantizer


class PACTPlus(IntervalQuantizer):
    """PACT+ of activations beside zero-aligned SAWB weights.

    Attributes:
        interval: alpha, a positive scalar parameter, in the tensor's own unit.
    """

    weights: ClassVar[type[Quantizer]] = ZeroAlignedSAWB
