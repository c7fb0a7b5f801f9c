"""The form `qonnx`: QONNX's Quant nodes, which say the true bit widths, for FPGA flows.

A Quant node is quantize, clip and dequantize in one, with its bits, its sign, and whether the
lowest of its codes is left out (narrow). It has all codes of its bits or all but one. Other ranges,
and levels beside the multiples of the scale, no Quant node holds: they are refused.
"""

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from qkd.export.graph.layers import Quantizers, node
from qkd.export.graph.levels import Constants, NotExportable
from qkd.export.graph.tracing import INPUT, onnx_model
from qkd.measures.cost import PIXEL_BITS
from qkd.quantizers.codes import Codes
from qkd.quantizers.quantize import quantized_layers

DOMAIN = "qonnx.custom_op.general"


class Range(NamedTuple):
    """Which codes a Quant node has."""

    bits: int
    signed: bool
    narrow: bool

    @property
    def codes(self) -> tuple[int, int]:
        """The lowest and the highest code."""
        if self.signed:
            half = int(2 ** (self.bits - 1))
            return -half + self.narrow, half - 1
        return 0, int(2**self.bits) - 1 - self.narrow


def model(network: nn.Module, shape: tuple[int, int, int]) -> Any:
    """The network in this form, an onnx.ModelProto for one image at a time.

    Raises NotExportable.
    """
    if not any(quantized_layers(network)):
        raise NotExportable("no quantized layer")
    found = onnx_model(network, shape, Quantizers(input=_Quant, weight=_QuantWeight))
    _one_image(found.graph)
    _say_that_pixels_have_8_bits(found.graph)
    return found


def range_of(name: str, codes: Codes) -> Range:
    """The Quant node's range that the codes have. Raises NotExportable where it has none."""
    if codes.offset is not None:
        raise NotExportable(
            f"{name} has levels beside the multiples of its scale: no Quant node has such an offset"
        )
    for bits in range(2, 9):
        for signed, narrow in ((True, True), (True, False), (False, False)):
            found = Range(bits, signed, narrow)
            if found.codes == (codes.lowest, codes.highest):
                return found
    raise NotExportable(
        f"{name} has codes from {codes.lowest} to {codes.highest}, which is no range of a Quant "
        "node: it would become another function"
    )


class _Quant(Constants):
    """In place of an input's quantizer."""

    zero_point: Tensor
    bits: Tensor

    def __init__(self, name: str, codes: Codes) -> None:
        super().__init__(codes)
        self.range = range_of(name, codes)
        self.register_buffer("zero_point", torch.zeros(()))
        self.register_buffer("bits", torch.tensor(float(self.range.bits)))

    def forward(self, x: Tensor) -> Tensor:
        return node(
            f"{DOMAIN}::Quant",
            x,
            self.scale,
            self.zero_point,
            self.bits,
            dtype=torch.float32,
            signed=int(self.range.signed),
            narrow=int(self.range.narrow),
            rounding_mode="ROUND",
        )


class _QuantWeight(_Quant):
    """In place of a weight's quantizer: what it makes of the weight is a constant."""

    values: Tensor

    def __init__(self, name: str, codes: Codes) -> None:
        super().__init__(name, codes)
        self.register_buffer("values", codes.values.detach().float().contiguous())

    def forward(self, _weight: Tensor) -> Tensor:
        return super().forward(self.values)


def _one_image(graph: Any) -> None:
    """FPGA flows, and qonnx's executor, want every shape fixed."""
    for value in (*graph.input, *graph.output, *graph.value_info):
        for axis in value.type.tensor_type.shape.dim:
            if axis.dim_param:
                axis.dim_value = 1


def _say_that_pixels_have_8_bits(graph: Any) -> None:
    """The first layer's input is the exact image: 8-bit pixels, scaled and shifted."""
    note = graph.quantization_annotation.add()
    note.tensor_name = INPUT
    pair = note.quant_parameter_tensor_names.add()
    pair.key, pair.value = "finn_datatype", f"SCALEDINT<{PIXEL_BITS}>"
