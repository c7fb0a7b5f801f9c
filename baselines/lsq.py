"""LSQ: learned step size quantization.

Source: Esser, McKinstry, Bablani, Appuswamy, Modha: Learned Step Size Quantization, ICLR 2020,
arXiv 1902.08153, section 2, equations 1 to 3 and 5, sections 2.1 and 2.2.

    v_hat = s round(clip(v / s, -Q_N, Q_P))
    d v_hat / d s = round(v / s) - v / s inside, -Q_N below, Q_P above      (equation 3)
    d v_hat / d v = 1 where -Q_N < v / s < Q_P, 0 elsewhere                 (equation 5)

The gradient of s is multiplied by 1 / sqrt(N Q_P) (section 2.2), and s begins at
2 mean|v| / sqrt(Q_P) (section 2.1), of the weights or of the first batch's activations.

Marks: N of activations is the number of features of one example (second-hand: the appendix's
``nfeatures``, as others read it); a tensor of zeros begins at s = 1 (assumed). The paper's s learns
at the weights' own rate: a recipe's interval learning rates are to be set to the weights' rate.
"""

import math
from typing import ClassVar

import torch
from torch import Tensor, nn

from qkd.quantizers.quantizer import Quantizer, ScaledQuantizer, require_rule
from qkd.quantizers.rounding import Scale, widened


class LSQWeights(ScaledQuantizer):
    """LSQ, N being the number of elements.

    Signed: 2^bits levels, -2^(bits - 1) to 2^(bits - 1) - 1 steps. Unsigned: 2^bits from zero up.

    Attributes:
        interval: the step s (not the clipping value), a positive scalar parameter.
    """

    def __init__(self, bits: int, signed: bool) -> None:
        super().__init__(bits, signed)
        self.interval = nn.Parameter(torch.ones(()))

    @property
    def lowest(self) -> int:
        """The lowest code, the paper's -Q_N."""
        return -int(2 ** (self.bits - 1)) if self.signed else 0

    @property
    def highest(self) -> int:
        """The highest code, the paper's Q_P."""
        return self.lowest + int(2**self.bits) - 1

    @torch.no_grad()
    def initialise(self, tensor: Tensor, rule: str) -> None:
        """Step 2 mean|v| / sqrt(Q_P), whatever the rule."""
        require_rule(rule)
        step = 2 * widened(tensor).abs().mean() / math.sqrt(self.highest)
        self.interval.copy_(torch.where(step > 0, step, torch.ones_like(step)))

    def elements(self, x: Tensor) -> int:
        """N of the gradient's scale."""
        return x.numel()

    def gradient_scale(self, x: Tensor) -> float:
        """1 / sqrt(N Q_P), of section 2.2."""
        return 1 / math.sqrt(max(1, self.elements(x)) * self.highest)

    def scale(self, x: Tensor) -> tuple[Tensor, Scale]:
        """The step, and its codes from -Q_N to Q_P."""
        return self.interval, Scale(1, self.lowest, self.highest, self.gradient_scale(x))


class LSQ(LSQWeights):
    """LSQ of activations (batch, ...): N is the number of features of one example."""

    weights: ClassVar[type[Quantizer]] = LSQWeights

    def elements(self, x: Tensor) -> int:
        """N of the gradient's scale."""
        return x.numel() // max(1, x.shape[0]) if x.ndim else 1
