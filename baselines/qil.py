"""QIL: quantization interval learning.

Source: Jung, Son, Lee, Son, Han, Kwak, Hwang, Choi: Learning to Quantize Deep Networks by
Optimizing Quantization Intervals with Task Loss, CVPR 2019, arXiv 1808.05779, section 3.

    u = alpha |w| + beta,  alpha = 0.5 / d,  beta = 0.5 - 0.5 c / d       (the transformer)
    w_t = 0 where |w| < c - d, sign(w) where |w| > c + d, sign(w) u^gamma between
    w_q = round(q w_t) / q                                                (the discretizer)

q = 2^(bits - 1) - 1 for weights, 2^bits - 1 for activations, which are x in place of |w|, without
sign and with gamma = 1. The rounding's derivative is taken as 1, so that between the ends, with
p = gamma u^(gamma - 1) / (2 d):

    d w_q / d w = p,                       d w_q / d c = -p sign(w),
    d w_q / d d = -p sign(w) (|w| - c) / d,  d w_q / d gamma = sign(w) u^gamma ln u

The output lies in [-1, 1] or [0, 1]: a layer loses its scale, which batch norm makes good,
except in a last layer that has none.

Marks: c and d begin at half the clipping value of the recipe's rule, so that nothing is pruned, and
gamma at 1 (assumed). Signed activations are treated as weights with gamma = 1 (assumed: the paper
has none). The paper's progressive lowering of the bits is left out.
"""

from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from baselines.clipping import clipping_value
from qkd.quantizers.codes import Codes
from qkd.quantizers.quantizer import Quantizer, SymmetricQuantizer, require_rule
from qkd.quantizers.rounding import gradient_inside, widened

EXPONENT_FLOOR = 0.1


def _transform(x: Tensor, centre: Tensor, distance: Tensor, signed: bool) -> Tensor:
    """u, not yet clipped."""
    magnitude = x.abs() if signed else x
    return torch.sub(magnitude, centre - distance).div_(2 * distance)


class _LearnedInterval(torch.autograd.Function):
    """The equations of this file's head; gamma is None where it is fixed at 1."""

    @staticmethod
    def forward(  # noqa: PLR0917 (autograd passes no names)
        ctx: Any,
        x: Tensor,
        centre: Tensor,
        distance: Tensor,
        gamma: Tensor | None,
        steps: int,
        signed: bool,
    ) -> Tensor:
        codes = _transform(x, centre, distance, signed).clamp_(0, 1)
        if gamma is not None:
            codes.pow_(gamma)
        codes.mul_(steps).round_().div_(steps)
        ctx.save_for_backward(x, centre, distance, gamma)
        ctx.signed = signed
        return codes.mul_(x.sign()) if signed else codes

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        x, centre, distance, gamma = ctx.saved_tensors
        u = _transform(x, centre, distance, ctx.signed)
        kept = gradient_inside(gradient, u, 0.0, 1.0)
        of_x = kept / (2 * distance)
        sign: Tensor | float = x.sign() if ctx.signed else 1.0
        of_gamma = None
        if gamma is not None:
            u = u.clamp_(torch.finfo(u.dtype).tiny, 1)  # outside it is multiplied by kept = 0
            slope = gamma * u.pow(gamma - 1)
            of_x = torch.where(kept == 0, kept, of_x * slope)
            of_gamma = (kept * sign * u.pow(gamma) * u.log()).sum().reshape(gamma.shape)
        along = of_x * sign
        total = along.sum()
        of_distance = (centre * total - (of_x * x).sum()) / distance
        of_centre = -total.reshape(centre.shape)
        return of_x, of_centre, of_distance.reshape(distance.shape), of_gamma, None, None


class _LearnedIntervalQuantizer(SymmetricQuantizer):
    """What weights and activations have in common."""

    def __init__(self, bits: int, signed: bool) -> None:
        super().__init__(bits, signed)
        self.centre = nn.Parameter(torch.ones(()))
        self.interval = nn.Parameter(torch.ones(()))

    @torch.no_grad()
    def initialise(self, tensor: Tensor, rule: str) -> None:
        """Centre and distance are half the rule's clipping value."""
        require_rule(rule)
        half = clipping_value(self.bits, self.signed, widened(tensor), rule) / 2
        self.centre.copy_(half)
        self.interval.copy_(half)

    def exponent(self) -> Tensor | None:
        """Gamma; None where it is fixed at 1."""
        return None

    def forward(self, x: Tensor) -> Tensor:
        """The transformed and quantized tensor, of x's shape, in float32 (float64 stays)."""
        quantized: Tensor = _LearnedInterval.apply(
            widened(x), self.centre, self.interval, self.exponent(), self.steps, self.signed
        )
        return quantized

    @torch.no_grad()
    def codes(self, x: Tensor) -> Codes:
        """What `forward` returns, as integers; what is pruned is not clipped."""
        x = widened(x)
        gamma = self.exponent()
        positions = _transform(x, self.centre, self.interval, self.signed).clamp_(min=0)
        if gamma is not None:
            positions.pow_(gamma)
        positions.mul_(self.steps)
        if self.signed:
            positions.mul_(x.sign())
        lowest = -self.steps if self.signed else 0
        return Codes(positions, x.new_full((), 1 / self.steps), None, lowest, self.steps)


class QILWeights(_LearnedIntervalQuantizer):
    """QIL of weights.

    Attributes:
        centre: c, a scalar parameter in the weights' own unit.
        interval: d, half the interval's width, a positive scalar parameter.
        gamma: the exponent, a scalar parameter; below 0.1 it acts as 0.1 (assumed: it must stay
            positive).
    """

    def __init__(self, bits: int, signed: bool) -> None:
        super().__init__(bits, signed)
        self.gamma = nn.Parameter(torch.ones(()))

    def exponent(self) -> Tensor | None:
        """The learned gamma."""
        return self.gamma.clamp(min=EXPONENT_FLOOR)


class QIL(_LearnedIntervalQuantizer):
    """QIL of activations; gamma is 1.

    Attributes:
        centre: c, a scalar parameter in the tensor's own unit.
        interval: d, half the interval's width, a positive scalar parameter.
    """

    weights: ClassVar[type[Quantizer]] = QILWeights
