"""Straight-through rounding to evenly spaced levels, and its gradients.

Each output is s round(clip((x - beta) / s, lowest, highest)) + beta, the rounding's derivative
being taken as 1. `round_to_scales` learns one scalar and has beta = 0. `round_with_offset` may
learn s and beta.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from qkd.quantizers.codes import positions_of


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


def nearest_levels(
    x: Tensor, step: Tensor, lowest: int, highest: int, offset: Tensor | None = None
) -> Tensor:
    """The levels ``step`` * (lowest, ..., highest) + ``offset`` nearest to x; ties go to even.

    No gradient: one new tensor of x's shape is written over. ``step`` and ``offset`` (None: 0) are
    scalar tensors.
    """
    levels = positions_of(x, step, offset).clamp_(lowest, highest).round_().mul_(step)
    return levels if offset is None else levels.add_(offset)


def gradient_inside(gradient: Tensor, x: Tensor, lowest: float, highest: float) -> Tensor:
    """The gradient where lowest < x < highest, 0 elsewhere: hardtanh's backward, one pass."""
    backward: Callable[..., Tensor] = torch.ops.aten.hardtanh_backward
    return backward(gradient, x, lowest, highest)


def _gradient_inside_rounded(
    gradient: Tensor, positions: Tensor, lowest: int, highest: int
) -> Tensor:
    """The gradient where lowest <= round(positions) <= highest, 0 elsewhere.

    It overwrites the positions.
    """
    return gradient_inside(gradient, positions.round_(), lowest - 0.5, highest + 0.5)


class _RoundToScales(torch.autograd.Function):
    """Rounds one tensor, or a layer's input and its weight, x_hat = (I / u) round(clip(x u / I)).

    The learned I is the interval (u steps long), or the step itself (u = 1).

    Gradient, straight through the rounding: gx = g inside the bounds, 0 outside. That of I follows
    from the equation: the output x_hat is homogeneous in (x, I), so that
    d x_hat / d I = (x_hat - x d x_hat / d x) / I (Euler), hence gI = (<g, x_hat> - <gx, x>) / I.

    Of a layer the two <g, x_hat> are one number: its output is y = x_hat * w_hat, linear in each,
    so that <g of x_hat, x_hat> = <g of y, y> = <g of w_hat, w_hat>. It is computed from the weight,
    the smaller tensor. So x_hat is not kept for the backward pass. Only x is, and the layer that
    made x keeps it anyway.
    """

    @staticmethod
    def forward(
        ctx: Any, scales: tuple[Scale, ...], again: bool, *tensors: Tensor
    ) -> tuple[Tensor, ...]:
        """``tensors``: x and its interval; of a layer, then the weight and its interval.

        ``again``: the last rounded tensor is not kept. The backward pass rounds once more.
        """
        pairs = zip(tensors[::2], tensors[1::2], scales, strict=True)
        rounded = tuple(scaled_levels(x, interval, scale) for x, interval, scale in pairs)
        ctx.scales, ctx.again = scales, again
        ctx.save_for_backward(*tensors, None if again else rounded[-1])
        return rounded

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        *tensors, last = ctx.saved_tensors
        if ctx.again:
            last = scaled_levels(tensors[-2], tensors[-1], ctx.scales[-1])
        whole = product(gradients[-1], last)
        found: list[Tensor | None] = [None, None]
        for place, scale in enumerate(ctx.scales):
            x, interval = tensors[2 * place : 2 * place + 2]
            kept = _inside_scale(gradients[place], x, interval, scale)
            found.append(kept)
            if not ctx.needs_input_grad[len(found)]:
                found.append(None)
                continue
            of_interval = torch.sub(whole, product(kept, x)).reshape(interval.shape).div_(interval)
            if scale.gradient_scale != 1:
                of_interval.mul_(scale.gradient_scale)
            found.append(of_interval)
        return tuple(found)


def round_to_scales(
    *operands: tuple[Tensor, Tensor, Scale], again: bool = False
) -> tuple[Tensor, ...]:
    """Rounds a tensor, or a layer's input and its weight together, straight through.

    Args:
        operands: each a tensor (any shape and memory format, float32 or float64), its interval (a
            positive scalar tensor; it may learn) and its levels. Two of them must be the factors of
            an operation that is linear in each, as their intervals' gradients share a product.
        again: the last rounded tensor is not kept. The backward pass rounds once more.

    Returns:
        The rounded tensors, of the shapes and types of those given.
    """
    scales = tuple(scale for _, _, scale in operands)
    tensors = [tensor for x, interval, _ in operands for tensor in (x, interval)]
    rounded: tuple[Tensor, ...] = _RoundToScales.apply(scales, again, *tensors)
    return rounded


def scaled_levels(x: Tensor, interval: Tensor, scale: Scale) -> Tensor:
    """The levels of the scale nearest to x, without a gradient."""
    return nearest_levels(x, interval / scale.unit, scale.lowest, scale.highest)


def _inside_scale(gradient: Tensor, x: Tensor, interval: Tensor, scale: Scale) -> Tensor:
    """The gradient where x lies within the bounds of the scale, 0 elsewhere.

    On a CPU the bounds are read off the interval as numbers. A GPU's host would have to wait for
    them, and a compiler would have to stop there: on those x is divided by the interval instead.
    """
    if scale.rounded_bounds:
        positions = positions_of(x, interval / scale.unit)
        return _gradient_inside_rounded(gradient, positions, scale.lowest, scale.highest)
    lowest, highest = scale.lowest / scale.unit, scale.highest / scale.unit
    if x.device.type != "cpu" or torch.compiler.is_compiling():
        return gradient_inside(gradient, torch.div(x, interval), lowest, highest)
    number = interval.item()
    return gradient_inside(gradient, x, lowest * number, highest * number)


class _RoundWithOffset(torch.autograd.Function):
    """x_hat = s round(clip(v, lowest, highest)) + beta, v = (x - beta) / s.

    Gradient, straight through the rounding: gx = g where v is within the bounds, 0 outside. With
    c the code, x_hat = s c + beta and d c / d v = 1 inside, 0 outside; so

        gs    = sum of g (c - v) inside + g c outside = (<g, x_hat - beta> - <gx, x - beta>) / s
        gbeta = sum of g outside                      = sum g - sum gx

    This needs only x and x_hat, which the neighbouring layers keep anyway.
    """

    @staticmethod
    def forward(  # noqa: PLR0917 (autograd passes no names)
        ctx: Any,
        x: Tensor,
        step: Tensor,
        offset: Tensor | None,
        lowest: int,
        highest: int,
        gradient_scale: float,
        rounded_bounds: bool,
    ) -> Tensor:
        quantized = nearest_levels(x, step, lowest, highest, offset)
        ctx.save_for_backward(x, step, offset, quantized)
        ctx.lowest, ctx.highest = lowest, highest
        ctx.gradient_scale, ctx.rounded_bounds = gradient_scale, rounded_bounds
        return quantized

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        x, step, offset, quantized = ctx.saved_tensors
        inside = _gradient_inside_rounded if ctx.rounded_bounds else gradient_inside
        clipped = inside(gradient, positions_of(x, step, offset), ctx.lowest, ctx.highest)
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


def round_with_offset(
    x: Tensor,
    step: Tensor,
    lowest: int,
    highest: int,
    *,
    offset: Tensor | None = None,
    gradient_scale: float = 1.0,
    rounded_bounds: bool = False,
) -> Tensor:
    """The levels ``step`` * (lowest, ..., highest) + ``offset`` nearest to x, straight through.

    Args:
        x: of any shape and memory format, in float32 or float64.
        step: a positive scalar tensor; it may learn.
        lowest: the lowest code.
        highest: the highest code.
        offset: a scalar tensor; it may learn. None: 0.
        gradient_scale: a factor on the gradients of step and offset.
        rounded_bounds: the gradient passes where lowest <= round(v) <= highest; by default where
            lowest < v < highest.

    Returns:
        Of x's shape and type.
    """
    rounded: Tensor = _RoundWithOffset.apply(
        x, step, offset, lowest, highest, gradient_scale, rounded_bounds
    )
    return rounded


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
