"""A trained network as ONNX: quantize, clip, dequantize around each quantized layer.

Weights lie in the file as int8 or uint8, whatever their bits; a layer's input goes through
QuantizeLinear, Clip to the codes that its bits allow, and DequantizeLinear. Levels that lie beside
the multiples of the scale (LSQ+, SAWB, DoReFa's weights) get a Sub before and an Add behind.
torch's own exporter writes all other layers.
"""

import copy
import warnings
from typing import Any

import torch
from torch import Tensor, nn

from qkd.measures.cost import weight_codes
from qkd.quantizers.codes import Codes
from qkd.quantizers.quantize import quantized_layers

OPSET = 18
INPUT, OUTPUT = "images", "logits"
LONGEST = 300  # characters of an error of torch's
INSTALL = "install the project's extra 'export': pip install -e '.[export]'"


class NotExportable(ValueError):
    """A network that this form cannot hold, or a library that is not there."""


def onnx_bytes(network: nn.Module, shape: tuple[int, int, int]) -> bytes:
    """The file's bytes: from images (batch, C, H, W) in float32 to logits, for any batch.

    Raises NotExportable where onnx is not installed, where an input's quantizer rounds at other
    places than its levels' (QIL), and where torch cannot export a layer.
    """
    try:
        import onnx
        import onnxscript  # noqa: F401 (torch's exporter needs it)
    except ImportError as error:
        raise NotExportable(f"{error}: {INSTALL}") from error
    try:
        network = _with_its_codes(network)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # those of torch's exporter, about itself
            program = torch.onnx.export(
                network,
                (torch.zeros(2, *shape),),
                dynamo=True,
                verbose=False,
                opset_version=OPSET,
                input_names=[INPUT],
                output_names=[OUTPUT],
                dynamic_shapes=({0: torch.export.Dim("batch")},),
            )
        assert program is not None  # noqa: S101 (dynamo's exporter always returns one)
        model: Any = program.model_proto
        _forget_where_it_was_made(model)
        onnx.checker.check_model(model, full_check=True)
    except NotExportable:
        raise
    except Exception as error:  # torch copies, traces and writes whatever the network is
        reason = in_one_line(error)
        raise NotExportable(f"torch cannot export the network: {reason}") from error
    return bytes(model.SerializeToString())


def in_one_line(error: Exception) -> str:
    """What an error says, without torch's pages of explanation."""
    words = " ".join(str(error).split())
    short = words if len(words) <= LONGEST else f"{words[:LONGEST]}..."
    return f"{type(error).__name__}: {short}"


def _with_its_codes(network: nn.Module) -> nn.Module:
    """A copy whose quantized layers hold their weights' codes, and round their inputs as the
    graph will."""
    network = copy.deepcopy(network).cpu().eval().to(memory_format=torch.contiguous_format)
    for name, layer in quantized_layers(network):
        weight = _Dequantized(name, weight_codes(layer))
        if not isinstance(layer.input_quantizer, nn.Identity):
            layer.input_quantizer = _Clipped(name, _evenly_spaced(name, layer.input_quantizer))
        layer.weight_quantizer = weight
    return network


def _forget_where_it_was_made(model: Any) -> None:
    """Drops the exporter's notes: stack traces, which name folders of this machine."""
    graph = model.graph
    for part in (model, graph, *graph.node, *graph.input, *graph.output, *graph.value_info):
        del part.metadata_props[:]
    for tensor in graph.initializer:
        del tensor.metadata_props[:]


def _evenly_spaced(name: str, quantizer: nn.Module) -> Codes:
    """What the quantizer makes of values around every level, a quarter of a step above it.

    Raises NotExportable where that is not always the level's own code.
    """
    assert callable(quantizer.codes)  # noqa: S101 (qkd.quantizers.quantize refuses any other)
    codes: Codes = quantizer.codes(torch.zeros(1))
    wanted = torch.arange(codes.lowest - 2, codes.highest + 3, dtype=torch.float32)
    probe = (wanted + 0.25) * codes.scale
    if codes.offset is not None:
        probe = probe + codes.offset
    found: Codes = quantizer.codes(probe)
    if not torch.equal(found.integers, wanted.clamp(codes.lowest, codes.highest)):
        raise NotExportable(
            f"the input of {name} goes through {type(quantizer).__name__}, which rounds elsewhere "
            "than at its levels: quantize and dequantize with one scale cannot say so"
        )
    return codes


class _Levels(nn.Module):
    """Scale, offset and container of codes, as the graph's constants."""

    scale: Tensor
    zero_point: Tensor
    offset: Tensor | None

    def __init__(self, name: str, codes: Codes) -> None:
        super().__init__()
        self.kind = torch.int8 if codes.lowest < 0 else torch.uint8
        limits = torch.iinfo(self.kind)
        if not limits.min <= codes.lowest <= codes.highest <= limits.max:
            raise NotExportable(
                f"{name} has codes from {codes.lowest} to {codes.highest}, which no 8-bit integer "
                "holds"
            )
        self.register_buffer("scale", codes.scale.detach().clone().float())
        self.register_buffer("zero_point", torch.zeros((), dtype=self.kind))
        offset = None if codes.offset is None else codes.offset.detach().clone().float()
        self.register_buffer("offset", offset)

    def node(self, kind: str, *inputs: Tensor, dtype: torch.dtype) -> Tensor:
        """One node of the graph, its output of the first input's shape."""
        made: Tensor = torch.onnx.ops.symbolic(
            kind, inputs, dtype=dtype, shape=inputs[0].shape, version=OPSET
        )
        return made

    def dequantized(self, codes: Tensor) -> Tensor:
        """The values that the codes stand for."""
        constants = (self.scale, self.zero_point)
        values = self.node("DequantizeLinear", codes, *constants, dtype=torch.float32)
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
        codes = self.node("QuantizeLinear", x, self.scale, self.zero_point, dtype=self.kind)
        codes = self.node("Clip", codes, self.lowest, self.highest, dtype=self.kind)
        return self.dequantized(codes)
