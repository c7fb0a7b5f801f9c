"""What the rivals' quantizers share: their interface, and rounding to evenly spaced levels."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from qkd.quantizers.calibration import INITIAL_INTERVALS
from qkd.quantizers.interval import IntervalQuantizer
from qkd.quantizers.rounding import product


class RivalQuantizer(nn.Module):
    """A quantizer of ``bits`` bits; `quantize` builds it and calls `initialise` once.

    A class whose paper treats weights otherwise than activations is the activations' own; its
    attribute ``weights`` names the class for weights.

    Args:
        bits: 2 to 8.
        signed: whether the tensor has negative values.

    Raises:
        ValueError: bits outside 2 to 8.
    """

    def __init__(self, bits: int, signed: bool) -> None:
        super().__init__()
        if not 2 <= bits <= 8:
            raise ValueError(f"bits is {bits}: it must be 2 to 8")
        self.bits = bits
        self.signed = signed

    @property
    def levels(self) -> int:
        """The number of distinct values that the output can take."""
        return int(2**self.bits)

    def initialise(self, tensor: Tensor, rule: str) -> None:  # noqa: ARG002 (the interface)
        """Gives the parameters their initial values; here there are none.

        ``rule`` is used where the paper gives no initial value of its own. Raises ValueError for
        one other than those of `qkd.quantizers.calibration`.
        """
        require_rule(rule)

    def extra_repr(self) -> str:
        """The arguments, as print shows them."""
        return f"bits={self.bits}, signed={self.signed}"


def require_rule(rule: str) -> None:
    """Raises ValueError for a rule other than those of `qkd.quantizers.calibration`."""
    if rule not in INITIAL_INTERVALS:
        raise ValueError(f"initial interval {rule!r} is none of {sorted(INITIAL_INTERVALS)}")


def clipping_value(bits: int, signed: bool, tensor: Tensor, rule: str) -> Tensor:
    """The clipping value that ``rule`` finds for our symmetric quantizer."""
    quantizer = IntervalQuantizer(bits, signed).to(tensor)
    quantizer.initialise(tensor, rule)
    return quantizer.interval.detach()


class _RoundUniformly(torch.autograd.Function):
    """x_hat = s clip(round(v), low, high) + beta, v = (x - beta) / s.

    Gradient, straight through the rounding: gx = g where v is within the bounds, 0 outside. With
    c the code, x_hat = s c + beta and d c / d v = 1 inside, 0 outside; so

        gs    = sum of g (c - v) inside + g c outside = (<g, x_hat - beta> - <gx, x - beta>) / s
        gbeta = sum of g outside                      = sum g - sum gx

    which needs x and x_hat alone, that the neighbouring layers keep anyway.
    """

    @staticmethod
    def forward(  # noqa: PLR0917 (autograd passes no names)
        ctx: Any, x: Tensor, step: Tensor, offset: Tensor | None, low: int, high: int,
        gradient_scale: float, rounded_bounds: bool,
    ) -> Tensor:  # fmt: skip
        codes = torch.div(x, step) if offset is None else torch.sub(x, offset).div_(step)
        quantized = codes.clamp_(low, high).round_().mul_(step)
        if offset is not None:
            quantized.add_(offset)
        ctx.save_for_backward(x, step, offset, quantized)
        ctx.low, ctx.high = low, high
        ctx.gradient_scale, ctx.rounded_bounds = gradient_scale, rounded_bounds
        return quantized

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        x, step, offset, quantized = ctx.saved_tensors
        codes = torch.div(x, step) if offset is None else torch.sub(x, offset).div_(step)
        low, high = float(ctx.low), float(ctx.high)
        if ctx.rounded_bounds:
            codes.round_()
            low, high = low - 0.5, high + 0.5
        # hardtanh's backward is g strictly inside and 0 elsewhere, in one pass.
        clipped = torch.ops.aten.hardtanh_backward(gradient, codes, low, high)
        of_step, of_offset = None, None
        if ctx.needs_input_grad[1]:
            total = product(gradient, quantized) - product(clipped, x)
            if offset is not None:
                total = total - offset * (gradient.sum() - clipped.sum())
            of_step = (ctx.gradient_scale * total / step).reshape(step.shape)
        if offset is not None and ctx.needs_input_grad[2]:
            outside = gradient.sum() - clipped.sum()
            of_offset = (ctx.gradient_scale * outside).reshape(offset.shape)
        return clipped, of_step, of_offset, None, None, None, None


def round_uniformly(
    x: Tensor, step: Tensor, low: int, high: int, *,
    offset: Tensor | None = None, gradient_scale: float = 1.0, rounded_bounds: bool = False,
) -> Tensor:  # fmt: skip
    """The levels ``step`` * (low, ..., high) + ``offset`` nearest to x, straight through.

    Args:
        x: of any shape and memory format, in float32 or float64.
        step: a positive scalar tensor; it may learn.
        low: the lowest code.
        high: the highest code.
        offset: a scalar tensor; it may learn. None: 0.
        gradient_scale: a factor on the gradients of step and offset.
        rounded_bounds: the gradient passes where low <= round(v) <= high; by default where
            low < v < high.

    Returns:
        Of x's shape and type.
    """
    rounded: Tensor = _RoundUniformly.apply(
        x, step, offset, low, high, gradient_scale, rounded_bounds
    )
    return rounded
