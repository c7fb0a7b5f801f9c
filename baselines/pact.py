"""PACT activations with SAWB weights.

Sources: Choi, Wang, Venkataramani, Chuang, Srinivasan, Gopalakrishnan: PACT: Parameterized Clipping
Activation for Quantized Neural Networks, arXiv 1805.06085, section 3, equations 1 to 3; and
Choi, Venkataramani, Srinivasan, Gopalakrishnan, Wang, Chuang: Accurate and Efficient 2-bit
Quantized Neural Networks, MLSys 2019 (SAWB).

    PACT: y = clip(x, 0, alpha),  y_q = round(y n / alpha) alpha / n,  n = 2^bits - 1
          d y_q / d alpha = 1 where x >= alpha, 0 elsewhere;  d y_q / d x = 1 in (0, alpha)
    SAWB: alpha = c_1 sqrt(mean w^2) + c_2 mean|w|, of the present weights, at every forward pass;
          2^bits levels evenly spaced from -alpha to alpha, none of them zero

Marks: the coefficients c_1 and c_2 are second-hand (IBM's own implementation; the earlier
3.212, -2.178 of 2 bits gives the same for a normal distribution); for 6 and 7 bits there are none,
and they are refused. No gradient flows through SAWB's alpha and none to the weights beyond it
(second-hand, likewise). alpha of SAWB is at least mean|w| (assumed: for weights nearly equal in
size the regression falls to zero and below). Signed activations are clipped to [-alpha, alpha],
n = 2^(bits - 1) - 1 (assumed: the paper has none). PACT's alpha begins where the recipe's rule says
(assumed: the paper begins large and shrinks alpha by weight decay, which intervals do not get
here).
"""

from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from baselines.clipping import clipping_value
from qkd.quantizers.codes import Codes, uniform_codes
from qkd.quantizers.quantizer import Quantizer, SymmetricQuantizer, require_rule
from qkd.quantizers.rounding import gradient_inside, nearest_levels, round_with_offset, widened

SAWB_COEFFICIENTS = {
    2: (3.12, -2.064),
    3: (7.509, -6.892),
    4: (12.68, -12.80),
    5: (17.74, -18.64),
    8: (31.76, -35.04),
}


class SAWB(Quantizer):
    """Statistics-aware weight binning: nothing is learned but the weights.

    Raises:
        ValueError: bits for which no coefficients are published.
    """

    def __init__(self, bits: int, signed: bool = True) -> None:
        super().__init__(bits, signed)
        if bits not in SAWB_COEFFICIENTS:
            raise ValueError(
                f"SAWB has coefficients for {list(SAWB_COEFFICIENTS)} bits, not {bits}"
            )
        if not signed:
            raise ValueError("SAWB is for weights, which are signed")

    @torch.no_grad()
    def clipping(self, weight: Tensor) -> Tensor:
        """The clipping value of these weights, a positive scalar."""
        first, second = SAWB_COEFFICIENTS[self.bits]
        mean = weight.abs().mean()
        # In float64: MKL's float32 root is rounded by the processor's maker's own approximation.
        root = weight.square().mean().double().sqrt().to(weight.dtype)
        alpha = first * root + second * mean
        return torch.maximum(alpha, mean).clamp_(min=torch.finfo(weight.dtype).tiny * 2**self.bits)

    def forward(self, x: Tensor) -> Tensor:
        """The quantized and dequantized weights, of x's shape, in float32 (float64 stays)."""
        x = widened(x)
        alpha = self.clipping(x.detach())
        steps = self.levels - 1
        return round_with_offset(x, 2 * alpha / steps, 0, steps, offset=-alpha)

    @torch.no_grad()
    def codes(self, x: Tensor) -> Codes:
        """What `forward` returns, as integers."""
        x = widened(x)
        alpha, steps = self.clipping(x), self.levels - 1
        return uniform_codes(x, 2 * alpha / steps, 0, steps, -alpha)


class _Pact(torch.autograd.Function):
    """alpha / n round(n clip(x / alpha, low, 1)), low being -1 (signed) or 0.

    The gradient of alpha is the sum of g where x >= alpha, less that where x <= -alpha (signed).
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, alpha: Tensor, steps: int, signed: bool) -> Tensor:
        ctx.save_for_backward(x, alpha)
        ctx.signed = signed
        return nearest_levels(x, alpha / steps, -steps if signed else 0, steps)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor | None, None, None]:
        x, alpha = ctx.saved_tensors
        low = -1.0 if ctx.signed else 0.0
        clipped = gradient_inside(gradient, torch.div(x, alpha), low, 1.0)
        if not ctx.needs_input_grad[1]:
            return clipped, None, None, None
        total = gradient.mul(x >= alpha).sum()
        if ctx.signed:
            total = total - gradient.mul(x <= -alpha).sum()
        return clipped, total.reshape(alpha.shape), None, None


class PACT(SymmetricQuantizer):
    """PACT of activations.

    Attributes:
        interval: alpha, a positive scalar parameter, in the tensor's own unit.
    """

    weights: ClassVar[type[Quantizer]] = SAWB

    def __init__(self, bits: int, signed: bool) -> None:
        super().__init__(bits, signed)
        self.interval = nn.Parameter(torch.ones(()))

    @torch.no_grad()
    def initialise(self, tensor: Tensor, rule: str) -> None:
        """Begins at the rule's clipping value."""
        require_rule(rule)
        self.interval.copy_(clipping_value(self.bits, self.signed, widened(tensor), rule))

    def forward(self, x: Tensor) -> Tensor:
        """The quantized and dequantized tensor, of x's shape, in float32 (float64 stays)."""
        quantized: Tensor = _Pact.apply(widened(x), self.interval, self.steps, self.signed)
        return quantized

    @torch.no_grad()
    def codes(self, x: Tensor) -> Codes:
        """What `forward` returns, as integers."""
        lowest = -self.steps if self.signed else 0
        return uniform_codes(widened(x), self.interval / self.steps, lowest, self.steps)
