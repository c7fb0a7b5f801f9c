"""TQT: trained power-of-two thresholds.

Source: Jain, Gural, Wu, Dick: Trained Quantization Thresholds for Accurate and Efficient
Fixed-Point Inference of Deep Neural Networks, MLSys 2020, arXiv 1903.08066, section 3 (quantizer
and gradients).

    s = 2^ceil(log2 t) / 2^(bits - 1) (signed), / 2^bits (unsigned)
    q = s clip(round(x / s), n, p)
    d q / d log2 t = s ln 2 (round(x / s) - x / s) where n <= round(x / s) <= p, s ln 2 n below,
                     s ln 2 p above (the derivative of the ceiling being 1)
    d q / d x      = 1 where n <= round(x / s) <= p, 0 elsewhere

signed: n = -2^(bits - 1), p = 2^(bits - 1) - 1; unsigned: n = 0, p = 2^bits - 1; ties to even.

Initial thresholds: of weights |mean| + 3 standard deviations (the paper's "3SD"; that the mean is
added is second-hand). Of activations the clipping value of the recipe's rule (assumed: the paper
takes the minimum of the KL-J distance). The paper trains log2 t by Adam, here SGD does.
"""

import math
from typing import ClassVar

import torch
from torch import Tensor, nn

from baselines.clipping import clipping_value
from qkd.quantizers.quantizer import Quantizer, ScaledQuantizer, require_rule
from qkd.quantizers.rounding import Scale, widened


class TQTWeights(ScaledQuantizer):
    """TQT, beginning at three standard deviations; 2^bits levels.

    Attributes:
        log2_threshold: log2 t, a scalar parameter, of any sign.
    """

    def __init__(self, bits: int, signed: bool) -> None:
        super().__init__(bits, signed)
        self.log2_threshold = nn.Parameter(torch.zeros(()))

    @property
    def lowest(self) -> int:
        """The lowest code, the paper's n."""
        return -int(2 ** (self.bits - 1)) if self.signed else 0

    @property
    def highest(self) -> int:
        """The highest code, the paper's p."""
        return self.lowest + int(2**self.bits) - 1

    @torch.no_grad()
    def initialise(self, tensor: Tensor, rule: str) -> None:
        """Threshold |mean| + 3 sigma, whatever the rule."""
        require_rule(rule)
        values = widened(tensor)
        self._begin(values.mean().abs() + 3 * values.std(correction=0))

    def _begin(self, threshold: Tensor) -> None:
        self.log2_threshold.copy_(torch.where(threshold > 0, threshold, 1.0).log2())

    def scale(self, x: Tensor) -> tuple[Tensor, Scale]:  # noqa: ARG002 (the interface)
        """The step, a power of two, and its codes from n to p."""
        return self._step(), Scale(1, self.lowest, self.highest, rounded_bounds=True)

    def _step(self) -> Tensor:
        """s, an exact power of two; its derivative by log2 t is s ln 2."""
        exponent = self.log2_threshold.detach().ceil() - (self.bits - int(self.signed))
        step = torch.exp2(exponent)
        # The last factor is 1; its derivative is ln 2.
        smooth = self.log2_threshold - self.log2_threshold.detach()
        return step * (1 + math.log(2) * smooth)


class TQT(TQTWeights):
    """TQT of activations, beginning where the recipe's rule says."""

    weights: ClassVar[type[Quantizer]] = TQTWeights

    @torch.no_grad()
    def initialise(self, tensor: Tensor, rule: str) -> None:
        """Threshold where the rule clips."""
        require_rule(rule)
        self._begin(clipping_value(self.bits, self.signed, widened(tensor), rule))
