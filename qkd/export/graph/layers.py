"""Quantized layers as a graph shall have them: quantizers as nodes, the bias as an Add of its own.

A bias inside a Conv or Gemm is not safe: onnxruntime 1.32.0 rounds it to a multiple of the input's
scale times the weight's, where the layer stands between DequantizeLinear and QuantizeLinear. Behind
a Conv or a Gemm an Add stays an Add. Behind a MatMul it does not (the two are made a Gemm with a
bias again), so that a linear layer is a Gemm.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from qkd.export.graph.levels import evenly_spaced
from qkd.measures.cost import weight_codes
from qkd.quantizers.codes import Codes
from qkd.quantizers.layers import QuantizedConv2d, QuantizedLinear
from qkd.quantizers.quantize import quantized_layers

# 21 has 4-bit integers; onnx's own evaluator has no DequantizeLinear below 19.
OPSET = 21


class Quantizers(NamedTuple):
    """What a form puts in the place of a quantizer: modules that write its nodes.

    Each takes the layer's name and the quantizer's codes, and raises NotExportable where the form
    cannot hold them. ``weight`` returns the weight's values whatever it is given.
    """

    input: Callable[[str, Codes], nn.Module]
    weight: Callable[[str, Codes], nn.Module]


def node(
    kind: str,
    *inputs: Tensor,
    dtype: torch.dtype,
    shape: tuple[int, ...] | None = None,
    **attributes: Any,
) -> Tensor:
    """One node of the graph, its output of the first input's shape where no other is given."""
    made: Tensor = torch.onnx.ops.symbolic(
        kind,
        inputs,
        attributes,
        dtype=dtype,
        shape=inputs[0].shape if shape is None else shape,
        version=OPSET if "::" not in kind else 1,
    )
    return made


def with_nodes(network: nn.Module, quantizers: Quantizers) -> None:
    """Changes each quantized layer of the network into one that writes the form's nodes."""
    for name, layer in list(quantized_layers(network)):
        weight = quantizers.weight(f"the weight of {name}", weight_codes(layer))
        if not isinstance(layer.input_quantizer, nn.Identity):
            codes = evenly_spaced(name, layer.input_quantizer)
            layer.input_quantizer = quantizers.input(f"the input of {name}", codes)
        layer.weight_quantizer = weight
        layer.__class__ = _Conv if isinstance(layer, QuantizedConv2d) else _Gemm


class _Conv(QuantizedConv2d):
    """A Conv without a bias, and an Add."""

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 (torch's own name)
        x, weight = self.input_quantizer(input), self.weight_quantizer(self.weight)
        output: Tensor = self._conv_forward(x, weight, None)
        return output if self.bias is None else output + self.bias.view(-1, 1, 1)


class _Gemm(QuantizedLinear):
    """A Gemm without a bias, and an Add. Inputs of more axes are made rows and back again."""

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 (torch's own name)
        x, weight = self.input_quantizer(input), self.weight_quantizer(self.weight)
        rows = x if x.ndim == 2 else x.reshape(-1, self.in_features)
        shape = (rows.shape[0], self.out_features)
        output = node("Gemm", rows, weight, dtype=torch.float32, shape=shape, transB=1)
        output = output if self.bias is None else output + self.bias
        return output if x.ndim == 2 else output.reshape(*x.shape[:-1], self.out_features)
