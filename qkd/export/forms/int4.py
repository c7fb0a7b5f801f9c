"""The form `onnx-int4`: weights of 4 bits and less in ONNX's 4-bit integers, two in a byte.

Everything else is as in the form `onnx`: activations stay 8-bit integers with a Clip, since
onnxruntime 1.32.0 refuses a Clip before 4-bit ones and drops a Relu before signed ones.
"""

import copy
from typing import Any

import numpy as np

from qkd.export.graph.levels import NotExportable
from qkd.export.graph.reading import Array, wiring

RANGES = {"INT4": (-8, 7), "UINT4": (0, 15)}


def model(clipped: Any) -> Any:
    """A model of the form `onnx` in this one.

    Raises NotExportable where no weight fits into 4 bits: the file would be that of `onnx`.
    """
    found = copy.deepcopy(clipped)
    graph = found.graph
    wires = wiring(graph)
    narrowed = 0
    for node in graph.node:
        if node.op_type != "DequantizeLinear":
            continue
        codes = wires.value(node.input[0])
        kind = None if codes is None else _kind(codes)
        if codes is None or kind is None:
            continue
        for name, value in ((node.input[0], codes), (node.input[2], np.zeros((), codes.dtype))):
            wires.constants[name].CopyFrom(_packed(name, value, kind))
        narrowed += 1
    if not narrowed:
        raise NotExportable("no weights of 4 bits or less")
    return found


def _kind(codes: Array) -> str | None:
    """The 4-bit type that holds the codes, the sign being that of their 8-bit one."""
    kind = "INT4" if codes.dtype == np.int8 else "UINT4"
    low, high = RANGES[kind]
    fits = codes.dtype in (np.int8, np.uint8) and low <= codes.min() and codes.max() <= high
    return kind if fits else None


def _packed(name: str, value: Array, kind: str) -> Any:
    """A constant of a 4-bit type: the first of two codes in the low half of a byte."""
    import onnx

    halves = np.append(value.reshape(-1), np.zeros(value.size % 2, value.dtype)) & 15
    tensor = onnx.TensorProto(name=name, data_type=getattr(onnx.TensorProto, kind))
    tensor.dims.extend(value.shape)
    pairs = halves.astype(np.uint8).reshape(-1, 2)
    tensor.raw_data = (pairs[:, 0] | (pairs[:, 1] << 4)).tobytes()
    return tensor
