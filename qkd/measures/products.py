"""Exact sums of products of whole numbers, as fast as the machine has them.

In float32 and float64 they are exact in any order of summation while no sum leaves the whole
numbers that the type holds, and so they are as bytes, summed in int32. Of oneDNN's algorithms torch
asks for the direct one, never for Winograd's, whose transforms round.
"""

import functools
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from qkd.measures.integer import IntegerLayer

Product = Callable[[Tensor], Tensor]
# Processors without a dot product of bytes add two products in 16 bits first.
PAIR = 2**15


def product_of(whole: IntegerLayer, lowest: int, highest: int) -> Product:
    """What sums a layer's products exactly: codes (batch, ...) to sums, both channels last.

    The sums are of the layer's own type, float32 or float64, and may be written over.

    Args:
        whole: the layer, which knows in what type its sums are exact.
        lowest: the lowest code of its inputs.
        highest: the highest.
    """
    weight = laid_out(whole.weight.to(whole.number))
    largest = int(whole.weight.abs().max())
    is_small = lowest >= 0 and highest < 2**8 and 2 * highest * largest < PAIR and largest < 2**7
    if is_small and whole.number == torch.float32 and _has_bytes(whole):
        return _Bytes(whole.layer, whole.weight)
    return lambda codes: whole.product(laid_out(codes.to(whole.number)), weight)


def laid_out(x: Tensor) -> Tensor:
    """Channels last, as convolutions are fastest."""
    return x.contiguous(memory_format=torch.channels_last) if x.ndim == 4 else x


def _has_bytes(whole: IntegerLayer) -> bool:
    """Whether oneDNN has convolutions of bytes here, for this layer."""
    layer = whole.layer
    if not isinstance(layer, nn.Conv2d) or layer.padding_mode != "zeros":
        return False
    is_numbers = not isinstance(layer.padding, str)
    return is_numbers and whole.weight.device.type == "cpu" and _convolves_bytes()


class _Bytes:
    """A convolution of uint8 with int8, summed in int32, its sums given in float32."""

    def __init__(self, layer: Any, weight: Tensor) -> None:
        self.layer, self.weight = layer, weight.to(torch.int8).contiguous()
        self.ones = torch.ones(len(weight))
        self.zeros = torch.zeros(len(weight), dtype=torch.int32)
        self.packed: dict[torch.Size, Tensor] = {}

    def __call__(self, codes: Tensor) -> Tensor:
        shape, onednn = codes.shape, torch.ops.onednn
        layer = self.layer
        where = (layer.stride, layer.padding, layer.dilation, layer.groups)
        if shape not in self.packed:
            self.packed[shape] = onednn.qconv_prepack(
                self.weight, self.ones, 1.0, 0, *where, list(shape)
            )
        # By int16, as torch's own way from float32 to uint8 takes four times as long.
        whole = laid_out(codes.to(torch.int16).to(torch.uint8))
        sums: Tensor = onednn.qconv2d_pointwise(
            whole,
            1.0,
            0,
            self.packed[shape],
            self.ones,
            self.zeros,
            None,
            *where,
            1.0,
            0,
            torch.float32,
            "none",
            [],
            "",
        )
        return sums


@functools.cache
def _convolves_bytes() -> bool:
    """Whether this torch has the convolution, and computes a small one rightly."""
    layer = nn.Conv2d(2, 1, 2)
    codes = torch.tensor([1.0, 2.0, 3.0, 4.0]).view(1, 1, 2, 2).repeat(1, 2, 1, 1)
    weight = torch.tensor([1.0, -2.0, 3.0, 5.0, 7.0, 0.0, -1.0, 1.0]).view(1, 2, 2, 2)
    try:
        return bool(_Bytes(layer, weight)(codes).flatten().tolist() == [34.0])
    except (AttributeError, RuntimeError):
        return False
