"""Rounding to evenly spaced levels, and its gradient: the arithmetic of quantizers that learn one
scalar.

Each output is (I / u) round(clip(x u / I, lowest, highest)), where the learned I is the interval
(u steps long), or the step itself (u = 1).
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, NamedTuple, TypeGuard

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from qkd.quantizers.codes import Codes, uniform_codes


class Scale(NamedTuple):
    """Evenly spaced levels: interval / ``unit`` times the whole numbers from lowest to highest.

    ``gradient_scale`` is a factor on the interval's gradient. With ``rounded_bounds`` the gradient
    of x passes where the rounded value lies within the bounds, by default where the value itself
    lies strictly within them.
    """

    unit: int
    lowest: int
    highest: int
    gradient_scale: float = 1.0
    rounded_bounds: bool = False


class _Round(torch.autograd.Function):
    """Rounds one tensor, or a layer's input and its weight.

    Gradient, straight through the rounding: gx = g inside the bounds, 0 outside. That of I follows
    from the equation: the output x_hat is homogeneous in (x, I), so that
    d x_hat / d I = (x_hat - x d x_hat / d x) / I (Euler), hence gI = (<g, x_hat> - <gx, x>) / I.

    Of a layer the two <g, x_hat> are one number: its output is y = x_hat * w_hat, linear in each,
    so that <g of x_hat, x_hat> = <g of y, y> = <g of w_hat, w_hat>. It is taken from the weight,
    the smaller. So x_hat is not needed here, and only x is kept, as its producer does anyway.
    """

    @staticmethod
    def forward(
        ctx: Any, scales: tuple[Scale, ...], again: bool, *tensors: Tensor
    ) -> tuple[Tensor, ...]:
        """``tensors``: x and its interval; of a layer, then the weight and its interval.

        ``again``: the last rounded one is not kept but made anew in the backward pass.
        """
        pairs = zip(tensors[::2], tensors[1::2], scales, strict=True)
        rounded = tuple(_rounded(x, interval, scale) for x, interval, scale in pairs)
        ctx.scales, ctx.again = scales, again
        ctx.save_for_backward(*tensors, None if again else rounded[-1])
        return rounded

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        *tensors, last = ctx.saved_tensors
        if ctx.again:
            last = _rounded(tensors[-2], tensors[-1], ctx.scales[-1])
        whole = product(gradients[-1], last)
        found: list[Tensor | None] = [None, None]
        for place, scale in enumerate(ctx.scales):
            x, interval = tensors[2 * place : 2 * place + 2]
            kept = _inside(gradients[place], x, interval, scale)
            found.append(kept)
            if not ctx.needs_input_grad[len(found)]:
                found.append(None)
                continue
            of_interval = torch.sub(whole, product(kept, x)).reshape(interval.shape).div_(interval)
            if scale.gradient_scale != 1:
                of_interval.mul_(scale.gradient_scale)
            found.append(of_interval)
        return tuple(found)


def _rounded(x: Tensor, interval: Tensor, scale: Scale) -> Tensor:
    """The nearest levels, written over one new tensor."""
    step = interval / scale.unit
    return torch.div(x, step).clamp_(scale.lowest, scale.highest).round_().mul_(step)


def _inside(gradient: Tensor, x: Tensor, interval: Tensor, scale: Scale) -> Tensor:
    """The gradient where x lies within the bounds, 0 elsewhere.

    hardtanh's backward does it in one pass, but its bounds are numbers. On a CPU they are read off
    the interval; a GPU's host would have to wait for it, and a compiler would have to stop: there
    x is scaled instead.
    """
    backward: Callable[..., Tensor] = torch.ops.aten.hardtanh_backward
    if scale.rounded_bounds:
        codes = torch.div(x, interval / scale.unit).round_()
        return backward(gradient, codes, scale.lowest - 0.5, scale.highest + 0.5)
    lowest, highest = scale.lowest / scale.unit, scale.highest / scale.unit
    if x.device.type != "cpu" or torch.compiler.is_compiling():
        return backward(gradient, torch.div(x, interval), lowest, highest)
    number = interval.item()
    return backward(gradient, x, lowest * number, highest * number)


def product(a: Tensor, b: Tensor) -> Tensor:
    """The scalar product <a, b> of two tensors of one shape, whatever their memory formats.

    A flat product pairs elements by address: where the formats differ (a convolution's weight
    gradient comes in another than its weight), the first is copied into that of the second.
    """
    if torch.compiler.is_compiling():
        return (a * b).sum()
    for layout in (torch.contiguous_format, torch.channels_last):
        if b.is_contiguous(memory_format=layout):
            a = a.contiguous(memory_format=layout)
            size = (b.numel(),)
            a, b = a.as_strided(size, (1,)), b.as_strided(size, (1,))
            break
    return torch.dot(a.reshape(-1), b.reshape(-1))


def widened(x: Tensor) -> Tensor:
    """The tensor in float32, float64 staying: in bfloat16 a tenth of the 8-bit codes would move."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


class ScaledQuantizer(nn.Module, ABC):
    """A quantizer whose levels are a `Scale` of one positive scalar, which may learn."""

    @abstractmethod
    def scale(self, x: Tensor) -> tuple[Tensor, Scale]:
        """The interval and its levels, for this tensor."""

    @torch.no_grad()
    def codes(self, x: Tensor) -> Codes:
        """What `forward` returns, as integers."""
        x = widened(x)
        interval, scale = self.scale(x)
        return uniform_codes(x, interval / scale.unit, scale.lowest, scale.highest)

    def forward(self, x: Tensor) -> Tensor:
        """The quantized and dequantized tensor, of x's shape, in float32 (float64 stays)."""
        x = widened(x)
        interval, scale = self.scale(x)
        rounded: tuple[Tensor] = _Round.apply((scale,), False, x, interval)
        return rounded[0]


def round_layer(
    x: Tensor, of_x: nn.Module, weight: Tensor, of_weight: nn.Module, again: bool = False
) -> tuple[Tensor, Tensor]:
    """A layer's input and weight through their quantizers.

    Both must go, and nothing else, into an operation that is linear in each of them, a bias aside.
    Each is rounded by itself where a quantizer has a way of its own, where there is no gradient,
    and under autocast: a product of bfloat16's rounded gradients is too coarse to be shared.
    ``again``: the rounded weight is not kept, but made anew in the backward pass.
    """
    if not (
        torch.is_grad_enabled()
        and _is_plain(of_x)
        and _is_plain(of_weight)
        and not torch.is_autocast_enabled(x.device.type)
    ):
        return of_x(x), of_weight(weight)
    x, weight = widened(x), widened(weight)
    interval, scale = of_x.scale(x)
    weight_interval, weight_scale = of_weight.scale(weight)
    rounded: tuple[Tensor, Tensor] = _Round.apply(
        (scale, weight_scale), again, x, interval, weight, weight_interval
    )
    return rounded


def rounding_again(
    *rounded: tuple[Tensor, nn.Module, Tensor],
) -> AbstractContextManager[Any]:
    """Within it no operation keeps a rounded tensor for its backward pass: it is rounded again
    there. Less memory for one more rounding, and the same numbers.

    Args:
        rounded: each a tensor, its quantizer, and what the quantizer made of it.
    """
    made = {output.data_ptr(): (x, quantizer) for x, quantizer, output in rounded}

    def pack(kept: Tensor) -> Tensor | Callable[[], Tensor]:
        x, quantizer = made.get(kept.data_ptr(), (kept, None))
        if quantizer is None or not _is_plain(quantizer):
            return kept
        view = (kept.shape, kept.stride(), kept.storage_offset())  # a linear layer keeps W^T
        return lambda: _rounded(widened(x.detach()), *quantizer.scale(x)).as_strided(*view).detach()

    def unpack(kept: Tensor | Callable[[], Tensor]) -> Tensor:
        return kept if isinstance(kept, Tensor) else kept()

    return torch.autograd.graph.saved_tensors_hooks(pack, unpack)


def _is_plain(quantizer: nn.Module) -> TypeGuard[ScaledQuantizer]:
    """Whether it rounds to its scale and does nothing else (a subclass may)."""
    return type(quantizer).forward is ScaledQuantizer.forward
