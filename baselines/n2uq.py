"""N2UQ: thresholds that learn, levels that stay evenly spaced.

Source: Liu, Cheng, Huang, Xing, Shen: Nonuniform-to-Uniform Quantization: Towards Accurate
Quantization via Generalized Straight-Through Estimation, CVPR 2022, arXiv 2111.14826, section 3
(learnable thresholds, generalized straight-through estimator, entropy preserving weights).

    activations: p(x) = i + (x - T_i) / a_i where T_i <= x < T_(i + 1),  T_(i + 1) = T_i + a_i
                 x_q = s / n round(clip(p(x), 0, n)),  n = 2^bits - 1; the rounding's slope is 1
    weights:     w_q = m (2 k / n - 1),  k = round(n (clip(w / m, -1, 1) + 1) / 2),
                 m = mean|w| (2^bits - 1) / 2^(bits - 1), of the present weights: no gradient
                 d w_q / d w = 1 where |w| < m, 0 elsewhere

So the threshold between levels i and i + 1 is in the middle of a_i, and the gradient of x is there
s / (n a_i). T_0, each a_i and s learn. Weights have 2^bits levels, none of them zero.

Marks: the paper was not at hand, section and equations are second-hand (the authors' code); a_i is
at least 1e-3 of its initial value (theirs, whose unit is another). Here m is one for a layer, there
one for each output channel, with a clipping value that learns beside it (assumed: a layer's codes
have one scale). T_0 = 0 and equal a_i begin at the rule's clipping value (assumed), in units of
which they learn. Signed activations are the same of |x| with x's sign, n = 2^(bits - 1) - 1
(assumed: the paper has none).
"""

from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from baselines.clipping import clipping_value
from qkd.quantizers.codes import Codes, uniform_codes
from qkd.quantizers.quantizer import Quantizer, SymmetricQuantizer, require_rule
from qkd.quantizers.rounding import round_with_offset, widened

NARROWEST = 1e-3


class N2UQWeights(Quantizer):
    """N2UQ of weights: nothing is learned but the weights. ``signed`` is not looked at."""

    @torch.no_grad()
    def largest(self, weight: Tensor) -> Tensor:
        """The highest level m of these weights, a positive scalar."""
        gamma = float(2**self.bits - 1) / 2 ** (self.bits - 1)
        # In one order whatever the memory format: another sum moves codes on an edge.
        mean: Tensor = weight.abs().contiguous().mean() * gamma
        return mean.clamp(min=torch.finfo(weight.dtype).tiny * 2**self.bits)

    def forward(self, x: Tensor) -> Tensor:
        """The quantized and dequantized weights, of x's shape, in float32 (float64 stays)."""
        x = widened(x)
        most, steps = self.largest(x.detach()), self.levels - 1
        return round_with_offset(x, 2 * most / steps, 0, steps, offset=-most)

    @torch.no_grad()
    def codes(self, x: Tensor) -> Codes:
        """What `forward` returns, as integers."""
        x = widened(x)
        most, steps = self.largest(x), self.levels - 1
        return uniform_codes(x, 2 * most / steps, 0, steps, -most)


class _Places(torch.autograd.Function):
    """The whole numbers round(clip(p(x), 0, n)), by the equations of this file's head."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, start: Tensor, widths: Tensor, signed: bool) -> Tensor:
        ctx.save_for_backward(x, start, widths)
        ctx.signed = signed
        positions, _ = positions_of(x, start, widths, signed)
        return positions.clamp_(-len(widths) if signed else 0, len(widths)).round_()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        x, start, widths = ctx.saved_tensors
        positions, place = positions_of(x, start, widths, ctx.signed)
        size = positions.abs() if ctx.signed else positions
        inside = (size > 0) & (size < len(widths))
        of_x = torch.where(inside, gradient / widths[place], torch.zeros_like(gradient))
        along = of_x * x.sign() if ctx.signed else of_x
        # By the interval that x is in: the whole of those before it moves x's place, and its share
        # of this one.
        whole, share = (
            torch.zeros_like(widths).index_add_(0, place.flatten(), one.flatten())
            for one in (along, along * (size - place))
        )
        of_widths = whole.cumsum(0) - whole.sum() - share
        return of_x, -along.sum().reshape(start.shape), of_widths, None


def positions_of(x: Tensor, start: Tensor, widths: Tensor, signed: bool) -> tuple[Tensor, Tensor]:
    """Where x lies, p, not clipped above, and its i; signed: of |x|, at least 0, with x's sign."""
    size = (x.abs() if signed else x).contiguous()
    edges = torch.cat([start.reshape(1), start + widths.cumsum(0)])
    place = (torch.bucketize(size, edges, right=True) - 1).clamp_(0, len(widths) - 1)
    positions = place + (size - edges[place]) / widths[place]
    return (positions.clamp_(min=0) * x.sign() if signed else positions), place


class N2UQ(SymmetricQuantizer):
    """N2UQ of activations.

    Attributes:
        interval: s, the highest level, a positive scalar parameter in the tensor's own unit.
        start: T_0, a scalar parameter in units of ``unit``.
        widths: a, parameters (n), likewise.
        unit: what each a_i began at, a scalar in the tensor's own unit; it does not learn.
    """

    weights: ClassVar[type[Quantizer]] = N2UQWeights
    unit: Tensor

    def __init__(self, bits: int, signed: bool) -> None:
        super().__init__(bits, signed)
        self.interval = nn.Parameter(torch.ones(()))
        self.start = nn.Parameter(torch.zeros(()))
        self.widths = nn.Parameter(torch.ones(self.steps))
        self.register_buffer("unit", torch.ones(()))

    @torch.no_grad()
    def initialise(self, tensor: Tensor, rule: str) -> None:
        """Even thresholds up to the rule's clipping value."""
        require_rule(rule)
        value = clipping_value(self.bits, self.signed, widened(tensor), rule)
        self.interval.copy_(value)
        self.unit.copy_(value / self.steps)
        self.start.zero_()
        self.widths.fill_(1.0)

    def _thresholds(self) -> tuple[Tensor, Tensor]:
        """T_0 and a in the tensor's own unit."""
        return self.start * self.unit, self.widths.clamp(min=NARROWEST) * self.unit

    def forward(self, x: Tensor) -> Tensor:
        """The quantized tensor, of x's shape, in float32 (float64 stays)."""
        codes: Tensor = _Places.apply(widened(x), *self._thresholds(), self.signed)
        return codes * (self.interval / self.steps)

    @torch.no_grad()
    def codes(self, x: Tensor) -> Codes:
        """What `forward` returns, as integers."""
        positions, _ = positions_of(widened(x), *self._thresholds(), self.signed)
        lowest = -self.steps if self.signed else 0
        return Codes(positions, self.interval / self.steps, None, lowest, self.steps)
