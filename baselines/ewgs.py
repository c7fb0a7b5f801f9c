"""EWGS: element-wise gradient scaling.

Source: Lee, Kim, Ham: Network Quantization with Element-wise Gradient Scaling, CVPR 2021, arXiv
2104.00903, section 3 (quantizer, gradient scaling).

    x_n = clip((x - l) / (u - l), 0, 1),  x_q = round(n x_n) / n,  n = 2^bits - 1
    weights: alpha (2 x_q - 1);  activations: c x_q
    g_n = g_q (1 + delta sign(g_q) (x_n - x_q))

g_q and g_n are the gradients of x_q and of x_n; l and u learn through x_n, the clipping's
derivative being 0 outside (0, 1). Weights have 2^bits levels, none of them zero.

Marks: the paper was not at hand, section and equations are second-hand (the authors' code).
delta = 1e-3 is theirs for a fixed one; that it follows the Hessian's trace is left out. u and l of
weights begin at 3 sigma on either side; of activations at 0 and 3 sigma / sqrt(1 - 2 / pi)
(second-hand, likewise). alpha scales a layer's output there (c being 1), and begins where the
outputs' mean size is that of the float layer. Here it stands on the weights and begins where their
mean size is, and c is u as it began, fixed: the same but for alpha's unit (assumed). Signed
activations are c (2 x_q - 1), beginning as weights do (assumed: the paper has none), and u - l is
at least 1e-6 (assumed).
"""

import math
from abc import abstractmethod
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional

from qkd.quantizers.codes import Codes
from qkd.quantizers.quantizer import Quantizer, require_rule
from qkd.quantizers.rounding import widened

DELTA = 1e-3
NARROWEST = 1e-6


class _Discretized(torch.autograd.Function):
    """round(n x_n), whose gradient is that of n x_n, each element's scaled by how far it moved."""

    @staticmethod
    def forward(ctx: Any, normalised: Tensor, steps: int) -> Tensor:
        codes = normalised.mul(steps).round_()
        ctx.save_for_backward(normalised - codes / steps)
        ctx.steps = steps
        return codes

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        (moved,) = ctx.saved_tensors
        of_levels = gradient * ctx.steps
        return of_levels * (1 + DELTA * of_levels.sign() * moved), None


class _Bounded(Quantizer):
    """What weights and activations have in common: 2^bits levels between two bounds."""

    def __init__(self, bits: int, signed: bool) -> None:
        super().__init__(bits, signed)
        self.lower = nn.Parameter(torch.full((), -1.0 if signed else 0.0))
        self.upper = nn.Parameter(torch.ones(()))

    @abstractmethod
    def output(self) -> tuple[Tensor, Tensor]:
        """The distance of two levels, and the lowest level: scalars."""

    def _bound(self, high: Tensor) -> None:
        high = torch.where(high > 0, high, torch.ones_like(high))
        self.upper.copy_(high)
        self.lower.copy_(-high if self.signed else torch.zeros_like(high))

    @property
    def steps(self) -> int:
        """n, the number of steps between the lowest and the highest level."""
        return int(2**self.bits) - 1

    def _normalised(self, x: Tensor) -> Tensor:
        """(x - l) / (u - l), not yet clipped."""
        return (x - self.lower) / (self.upper - self.lower).clamp(min=NARROWEST)

    def forward(self, x: Tensor) -> Tensor:
        """The quantized tensor, of x's shape, in float32 (float64 stays)."""
        normalised = functional.hardtanh(self._normalised(widened(x)), 0.0, 1.0)
        codes: Tensor = _Discretized.apply(normalised, self.steps)
        step, lowest = self.output()
        return codes * step + lowest

    @torch.no_grad()
    def codes(self, x: Tensor) -> Codes:
        """What `forward` returns, as integers."""
        x = widened(x)
        positions = self._normalised(x).mul_(self.steps)
        step, lowest = self.output()
        return Codes(positions, step, lowest if lowest != 0 else None, 0, self.steps)


class EWGSWeights(_Bounded):
    """EWGS of weights: 2^bits levels, from -alpha to alpha.

    Attributes:
        lower: l, a scalar parameter in the tensor's own unit.
        upper: u, likewise.
        interval: alpha, a positive scalar parameter.
    """

    def __init__(self, bits: int, signed: bool) -> None:
        super().__init__(bits, signed)
        self.interval = nn.Parameter(torch.ones(()))

    @torch.no_grad()
    def initialise(self, tensor: Tensor, rule: str) -> None:
        """Bounds at three standard deviations, alpha by the weights' size, whatever the rule."""
        require_rule(rule)
        values = widened(tensor)
        self._bound(3 * values.std(correction=0))
        self.interval.fill_(1.0)
        size, own = values.abs().mean(), self(values).abs().mean()
        self.interval.copy_(torch.where(size > 0, size / own, torch.ones_like(size)))

    def output(self) -> tuple[Tensor, Tensor]:
        """The distance of two levels, and the lowest level, -alpha."""
        return 2 * self.interval / self.steps, -self.interval


class EWGS(_Bounded):
    """EWGS of activations: 2^bits levels from 0 to c, or from -c to c where signed.

    Attributes:
        lower: l, a scalar parameter in the tensor's own unit.
        upper: u, likewise.
        unit: c, a scalar likewise; it does not learn.
    """

    weights: ClassVar[type[Quantizer]] = EWGSWeights
    unit: Tensor

    def __init__(self, bits: int, signed: bool) -> None:
        super().__init__(bits, signed)
        self.register_buffer("unit", torch.ones(()))

    @torch.no_grad()
    def initialise(self, tensor: Tensor, rule: str) -> None:
        """Bounds by the standard deviation, whatever the rule."""
        require_rule(rule)
        half = 1.0 if self.signed else math.sqrt(1 - 2 / math.pi)  # that of a normal's absolute
        self._bound(3 * widened(tensor).std(correction=0) / half)
        self.unit.copy_(self.upper)

    def output(self) -> tuple[Tensor, Tensor]:
        """The distance of two levels, and the lowest level: 0, or -c where signed."""
        if self.signed:
            return 2 * self.unit / self.steps, -self.unit
        return self.unit / self.steps, torch.zeros_like(self.unit)
