"""The form `onnx`: quantize, clip, dequantize around each quantized layer.

Weights lie in the file as int8 or uint8, whatever their bits; a layer's input goes through
QuantizeLinear, Clip to the codes that its bits allow, and DequantizeLinear. Levels that lie beside
the multiples of the scale (LSQ+, SAWB, DoReFa's weights) get a Sub before and an Add behind.
"""

from typing import Any

import torch
from torch import Tensor, nn

from qkd.export.graph.layers import Quantizers, node
from qkd.export.graph.levels import Constants, container
from qkd.export.graph.tracing import onnx_model
from qkd.quantizers.codes import Codes


def model(network: nn.Module, shape: tuple[int, int, int]) -> Any:
    """The network in this form, an onnx.ModelProto. Raises NotExportable."""
    return onnx_model(network, shape, Quantizers(input=_Clipped, weight=_Dequantized))


class _Levels(Constants):
    """Scale, offset and container of codes, as the graph's constants."""

    zero_point: Tensor

    def __init__(self, name: str, codes: Codes) -> None:
        super().__init__(codes)
        self.kind = container(name, codes)
        self.register_buffer("zero_point", torch.zeros((), dtype=self.kind))

    def dequantized(self, codes: Tensor) -> Tensor:
        """The values that the codes stand for."""
        constants = (self.scale, self.zero_point)
        values = node("DequantizeLinear", codes, *constants, dtype=torch.float32)
        return values if self.offset is None else values + self.offset


class _Dequantized(_Levels):
    """In place of a weight's quantizer: the weight's codes are constants, whatever comes in."""

    integers: Tensor

    def __init__(self, name: str, codes: Codes) -> None:
        super().__init__(name, codes)
        self.register_buffer("integers", codes.integers.to(self.kind).contiguous())

    def forward(self, _weight: Tensor) -> Tensor:
        return self.dequantized(self.integers)


class _Clipped(_Levels):
    """In place of an input's quantizer."""

    lowest: Tensor
    highest: Tensor

    def __init__(self, name: str, codes: Codes) -> None:
        super().__init__(name, codes)
        self.register_buffer("lowest", torch.tensor(codes.lowest, dtype=self.kind))
        self.register_buffer("highest", torch.tensor(codes.highest, dtype=self.kind))

    def forward(self, x: Tensor) -> Tensor:
        if self.offset is not None:
            x = x - self.offset
        codes = node("QuantizeLinear", x, self.scale, self.zero_point, dtype=self.kind)
        codes = node("Clip", codes, self.lowest, self.highest, dtype=self.kind)
        return self.dequantized(codes)
