"""The trainable uniform quantizer: quantize, then dequantize, with one learned interval.

Source: the paper (a trainable interval for a layer's weights and one for its input activations,
learned from the task and distillation losses); the equations are assumed, see qkd.marks.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from qkd.calibration import INITIAL_INTERVALS
from qkd.codes import Codes, uniform_codes


def flat(tensor: Tensor, like: Tensor) -> Tensor:
    """The elements in the order in which ``like`` lies in memory.

    A dot product of two tensors of different memory format must not pair their elements by
    address: both go through the same permutation, and a copy is made only where formats differ.
    """
    order = sorted(range(like.ndim), key=like.stride().__getitem__, reverse=True)
    return tensor.permute(order).reshape(-1)


class _Quantize(torch.autograd.Function):
    """I / n * round(n * clip(x / I, low, 1)), low being -1 (signed) or 0.

    Gradient, straight through the rounding: gx = g inside the interval, 0 outside. That of I
    follows from the equation: with x_hat the output, x_hat = I f(x / I), so that
    d x_hat / d I = (x_hat - x d x_hat / d x) / I. Hence gI = (<g, x_hat> - <gx, x>) / I: two dot
    products of tensors that the neighbouring layers keep anyway.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, interval: Tensor, steps: int, signed: bool) -> Tensor:
        # n clip(x / I, low, 1) is clip(x / (I / n), n low, n): one pass over memory less.
        step = interval / steps
        codes = torch.div(x, step).clamp_(-steps if signed else 0, steps).round_()
        quantized = codes.mul_(step)
        ctx.save_for_backward(x, interval, quantized)
        ctx.signed = signed
        return quantized

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor | None, None, None]:
        x, interval, quantized = ctx.saved_tensors
        # hardtanh's backward is g inside and 0 outside in one pass. Its bounds are numbers: so x is
        # scaled to [low, 1], for reading the interval would make a GPU's host wait.
        low = -1.0 if ctx.signed else 0.0
        clipped = torch.ops.aten.hardtanh_backward(gradient, torch.div(x, interval), low, 1.0)
        if not ctx.needs_input_grad[1]:
            return clipped, None, None, None
        whole = torch.dot(flat(gradient, x), flat(quantized, x))
        kept = torch.dot(flat(clipped, x), flat(x, x))
        return clipped, ((whole - kept) / interval).reshape(interval.shape), None, None


class IntervalQuantizer(nn.Module):
    """Quantizes a tensor to ``bits`` bits by one learned interval, and back to float.

    Signed: 2^bits - 1 levels in [-interval, interval], n = 2^(bits - 1) - 1 of them on each side
    of zero. Unsigned: 2^bits levels in [0, interval], n = 2^bits - 1. Always in float32 at least,
    under autocast too: in bfloat16 a tenth of the 8-bit codes would move.

    Args:
        bits: 2 to 8.
        signed: whether the tensor has negative values.

    Attributes:
        interval: the scalar parameter, in the tensor's own unit; positive. It starts at 1 until
            `qkd.quantize` gives it its initial value.

    Raises:
        ValueError: bits outside 2 to 8.
    """

    def __init__(self, bits: int, signed: bool) -> None:
        super().__init__()
        if not 2 <= bits <= 8:
            raise ValueError(f"bits is {bits}: it must be 2 to 8")
        self.bits = bits
        self.signed = signed
        self.interval = nn.Parameter(torch.ones(()))

    @property
    def steps(self) -> int:
        """The equation's n: steps between zero and the interval."""
        return int(2 ** (self.bits - 1) - 1 if self.signed else 2**self.bits - 1)

    @property
    def levels(self) -> int:
        """The number of distinct values that the output can take."""
        return 2 * self.steps + 1 if self.signed else self.steps + 1

    @torch.no_grad()
    def initialise(self, tensor: Tensor, rule: str) -> None:
        """Sets the interval from the weights, or from a calibration batch's activations.

        Raises ValueError for a rule other than those of `qkd.calibration`.
        """
        if rule not in INITIAL_INTERVALS:
            raise ValueError(f"initial interval {rule!r} is none of {sorted(INITIAL_INTERVALS)}")
        self.interval.copy_(INITIAL_INTERVALS[rule](self, tensor))

    def forward(self, x: Tensor) -> Tensor:
        """The quantized and dequantized tensor, of x's shape, in float32 (float64 stays)."""
        x = x.to(torch.promote_types(x.dtype, torch.float32))
        quantized: Tensor = _Quantize.apply(x, self.interval, self.steps, self.signed)
        return quantized

    @torch.no_grad()
    def codes(self, x: Tensor) -> Codes:
        """What `forward` returns, as integers."""
        x = x.to(torch.promote_types(x.dtype, torch.float32))
        lowest = -self.steps if self.signed else 0
        return uniform_codes(x, self.interval / self.steps, lowest, self.steps)

    def extra_repr(self) -> str:
        """The arguments, as print shows them."""
        return f"bits={self.bits}, signed={self.signed}"
