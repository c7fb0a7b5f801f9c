"""The form `onnx-folded`: a batch norm behind a Conv goes into the weight's scales and the Add.

    factor (s w) x + shift = (s factor) w x + shift, factor and shift one for each output channel

The codes stay what they are, but for the sign of a channel whose factor is negative: scales stay
positive. So a consumer sees a Conv of integer weights with a scale for each channel, and an Add. A
batch norm stays where others read what comes before it, where the weight has a second reader, and
where a code with its sign turned does not fit into 8 bits.
"""

import copy
from typing import Any, NamedTuple

import numpy as np

from qkd.export.graph.levels import NotExportable
from qkd.export.graph.reading import Array, Wiring, add_constant, attributes, replace_node, wiring
from qkd.export.graph.tidy import drop_unread


class _Place(NamedTuple):
    """A batch norm that can be folded: its Conv, the Add of a bias between, and the nodes of the
    weight, the Add of whose offset may be missing too."""

    norm: Any
    conv: Any
    bias: Any | None
    weight: Any
    offset: Any | None


def model(clipped: Any) -> Any:
    """A model of the form `onnx` in this one.

    Raises NotExportable where nothing can be folded: the file would be that of `onnx`.
    """
    found = copy.deepcopy(clipped)
    graph = found.graph
    folded = 0
    for node in [one for one in graph.node if one.op_type == "BatchNormalization"]:
        wires = wiring(graph)
        place = _place(node, wires)
        folded += place is not None and _fold(graph, place, wires)
    if not folded:
        raise NotExportable("no batch norm that can be folded")
    drop_unread(graph)
    return found


def _place(norm: Any, wires: Wiring) -> _Place | None:
    """Where the batch norm can be folded; None where it cannot."""
    before = _before(norm, norm.input[0], wires)
    bias = None
    if before is not None and before.op_type == "Add" and before.input[1] in wires.constants:
        bias, before = before, _before(before, before.input[0], wires)
    if before is None or before.op_type != "Conv":
        return None
    weight, offset = _before(before, before.input[1], wires), None
    if weight is not None and weight.op_type == "Add" and weight.input[1] in wires.constants:
        offset, weight = weight, _before(weight, weight.input[0], wires)
    if weight is None or weight.op_type != "DequantizeLinear":
        return None
    return _Place(norm, before, bias, weight, offset)


def _before(node: Any, name: str, wires: Wiring) -> Any | None:
    """The node that makes a tensor which this one alone reads."""
    return wires.maker.get(name) if wires.only_reader(name) is node else None


def _fold(graph: Any, place: _Place, wires: Wiring) -> bool:
    """Folds it, and returns whether that was possible."""
    from onnx import helper

    gamma, beta, mean, variance = (_double(wires, name) for name in place.norm.input[1:])
    codes = wires.value(place.weight.input[0])
    scale = _double(wires, place.weight.input[1])
    factor = gamma / np.sqrt(variance + attributes(place.norm).get("epsilon", 1e-5))
    signed = None if codes is None else _signed(codes, factor)
    if signed is None or scale.ndim:
        return False
    name = place.norm.output[0]
    scales = (np.where(factor == 0, 1, np.abs(factor)) * scale).astype(np.float32)
    if not (np.isfinite(scales).all() and (scales > 0).all()):
        return False
    weight = f"{name}_weight"
    constants = [
        add_constant(graph, f"{weight}_codes", signed),
        add_constant(graph, f"{weight}_scales", scales),
        add_constant(graph, f"{weight}_zero_points", np.zeros(len(factor), signed.dtype)),
    ]
    made = [helper.make_node("DequantizeLinear", constants, [weight], axis=0)]
    if place.offset is not None:
        offsets = factor * _double(wires, place.offset.input[1])
        axes = (-1, *[1] * (signed.ndim - 1))
        value = add_constant(graph, f"{weight}_offset", offsets.astype(np.float32).reshape(axes))
        made[0].output[0] = f"{weight}_without_offset"
        made.append(helper.make_node("Add", [made[0].output[0], value], [weight]))
    bias = 0.0 if place.bias is None else _double(wires, place.bias.input[1]).reshape(-1)
    shift = (beta + factor * (bias - mean)).astype(np.float32).reshape(-1, 1, 1)
    replace_node(graph, place.weight, *made, place.weight)  # the old one is read no more
    place.conv.input[1] = weight
    constant = add_constant(graph, f"{name}_shift", shift)
    replace_node(
        graph, place.norm, helper.make_node("Add", [place.conv.output[0], constant], [name])
    )
    return True


def _double(wires: Wiring, name: str) -> Array:
    value = wires.value(name)
    assert value is not None  # noqa: S101 (the exporter writes them as constants)
    return value.astype(np.float64)


def _signed(codes: Array, factor: Array) -> Array | None:
    """The codes times each channel's sign, 0 where its factor is 0.

    None where one does not fit into 8 bits.
    """
    signs = np.sign(factor).reshape(-1, *[1] * (codes.ndim - 1))
    turned = codes.astype(np.int64) * signs.astype(np.int64)
    kind = np.int8 if codes.dtype == np.int8 or (signs < 0).any() else codes.dtype
    limits = np.iinfo(kind)
    fits = limits.min <= turned.min() and turned.max() <= limits.max
    return turned.astype(kind) if fits else None
