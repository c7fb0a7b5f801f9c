"""A convolution and a linear layer that see their input and their weight through quantizers."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any, TypeGuard

import torch
from torch import Tensor, nn
from torch.nn import functional

from qkd.quantizers.quantizer import ScaledQuantizer
from qkd.quantizers.rounding import round_to_scales, scaled_levels, widened


class QuantizedConv2d(nn.Conv2d):
    """A convolution of the quantized input and weight.

    With ``rounds_again`` neither is kept rounded: the backward pass rounds again.
    """

    input_quantizer: nn.Module
    weight_quantizer: nn.Module
    rounds_again = False
    calibrates_in_training = False

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 (torch's own name)
        """As nn.Conv2d, on the quantized input and weight."""
        x, weight, keeping = _rounded_operands(self, input)
        with keeping:
            output: Tensor = self._conv_forward(x, weight, self.bias)
        return output


class QuantizedLinear(nn.Linear):
    """A linear layer of the quantized input and weight.

    With ``rounds_again`` neither is kept rounded: the backward pass rounds again.
    """

    input_quantizer: nn.Module
    weight_quantizer: nn.Module
    rounds_again = False
    calibrates_in_training = False

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 (torch's own name)
        """As nn.Linear, on the quantized input and weight."""
        x, weight, keeping = _rounded_operands(self, input)
        with keeping:
            return functional.linear(x, weight, self.bias)


def _rounded_operands(
    layer: QuantizedConv2d | QuantizedLinear, x: Tensor
) -> tuple[Tensor, Tensor, AbstractContextManager[Any]]:
    """The layer's input and weight as it computes with them, and the context to do so in."""
    of_x, of_weight, again = layer.input_quantizer, layer.weight_quantizer, layer.rounds_again
    rounded, weight = round_layer(x, of_x, layer.weight, of_weight, again)
    if not (again and torch.is_grad_enabled()):
        return rounded, weight, nullcontext()
    made = rounding_again((x, of_x, rounded), (layer.weight, of_weight, weight))
    return rounded, weight, made


def round_layer(
    x: Tensor, of_x: nn.Module, weight: Tensor, of_weight: nn.Module, again: bool = False
) -> tuple[Tensor, Tensor]:
    """A layer's input and weight through their quantizers.

    Both are rounded together, as their intervals' gradients share a product (`round_to_scales`).
    So both must go into one operation that is linear in each, a bias aside, and into no other.
    Each is rounded by itself where a quantizer does more than round to its scale, where there is no
    gradient, and under autocast: a product of gradients in bfloat16 is too coarse to be shared.
    ``again``: the rounded weight is not kept. The backward pass rounds once more.
    """
    if not (
        torch.is_grad_enabled()
        and _only_rounds(of_x)
        and _only_rounds(of_weight)
        and not torch.is_autocast_enabled(x.device.type)
    ):
        return of_x(x), of_weight(weight)
    x, weight = widened(x), widened(weight)
    rounded, rounded_weight = round_to_scales(
        (x, *of_x.scale(x)), (weight, *of_weight.scale(weight)), again=again
    )
    return rounded, rounded_weight


def rounding_again(
    *rounded: tuple[Tensor, nn.Module, Tensor],
) -> AbstractContextManager[Any]:
    """A context in which no operation keeps a rounded tensor for its backward pass.

    The backward pass rounds it again: less memory, more time, the same numbers.

    Args:
        rounded: each a tensor, its quantizer, and what the quantizer made of it.
    """
    made = {output.data_ptr(): (x, quantizer) for x, quantizer, output in rounded}

    def pack(kept: Tensor) -> Tensor | Callable[[], Tensor]:
        x, quantizer = made.get(kept.data_ptr(), (kept, None))
        if quantizer is None or not _only_rounds(quantizer):
            return kept
        view = (kept.shape, kept.stride(), kept.storage_offset())  # a linear layer keeps W^T

        def round_once_more() -> Tensor:
            levels = scaled_levels(widened(x.detach()), *quantizer.scale(x))
            return levels.as_strided(*view).detach()

        return round_once_more

    def unpack(kept: Tensor | Callable[[], Tensor]) -> Tensor:
        return kept if isinstance(kept, Tensor) else kept()

    return torch.autograd.graph.saved_tensors_hooks(pack, unpack)


def _only_rounds(quantizer: nn.Module) -> TypeGuard[ScaledQuantizer]:
    """Whether it rounds to its scale and does nothing else (a subclass may)."""
    return type(quantizer).forward is ScaledQuantizer.forward
