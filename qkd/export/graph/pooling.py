"""Means over an image and steps over its pixels as the pooling nodes that every consumer knows.

torch's exporter writes a global average as ReduceMean and a shortcut that skips pixels as Slice.
Tools that count operations (qonnx 1.0.0 is one) know neither.
"""

from typing import Any

from qkd.export.graph.reading import Wiring, attributes, replace_node, shapes, wiring
from qkd.export.graph.tidy import drop_unread


def as_pooling(model: Any) -> None:
    """Changes the model: ReduceMean over both axes of the pixels into AveragePool, Slice with a
    step into MaxPool of one pixel. Others stay."""
    graph, sizes, wires = model.graph, shapes(model), wiring(model.graph)
    for node in list(graph.node):
        if node.op_type == "ReduceMean":
            _average(graph, node, sizes, wires)
        if node.op_type == "Slice":
            _step(graph, node, sizes, wires)
    _join_steps(graph)
    drop_unread(graph)


def _average(graph: Any, node: Any, sizes: dict[str, list[int]], wires: Wiring) -> None:
    from onnx import helper

    size = sizes.get(node.input[0], [])
    axes = wires.value(node.input[1]) if len(node.input) > 1 else None
    if len(size) != 4 or axes is None or not all(size[2:]):
        return
    if sorted(int(axis) % 4 for axis in axes) != [2, 3]:
        return
    keeps = attributes(node).get("keepdims", 1)
    pooled = node.output[0] if keeps else f"{node.output[0]}_pooled"
    nodes = [helper.make_node("AveragePool", [node.input[0]], [pooled], kernel_shape=size[2:])]
    if not keeps:
        nodes.append(helper.make_node("Flatten", [pooled], [node.output[0]], axis=1))
    replace_node(graph, node, *nodes)


def _step(graph: Any, node: Any, sizes: dict[str, list[int]], wires: Wiring) -> None:
    from onnx import helper

    size = sizes.get(node.input[0], [])
    given = [wires.value(name) for name in node.input[1:]]
    if len(size) != 4 or len(given) != 4:
        return
    if any(one is None or one.size != 1 for one in given):
        return
    start, end, axis, step = (int(one.item()) for one in given if one is not None)
    if axis % 4 not in (2, 3) or start != 0 or step < 2 or not 0 < size[axis % 4] <= end:
        return
    strides = [step if axis % 4 == place else 1 for place in (2, 3)]
    pool = helper.make_node(
        "MaxPool", [node.input[0]], [node.output[0]], kernel_shape=[1, 1], strides=strides
    )
    replace_node(graph, node, pool)


def _join_steps(graph: Any) -> None:
    """One node where a step along rows follows one along columns that nothing else reads."""
    wires = wiring(graph)
    for node in list(graph.node):
        before: Any = wires.maker.get(node.input[0]) if _is_step(node) else None
        if before is None or not _is_step(before):
            continue
        is_alone = wires.only_reader(before.output[0]) is node
        if not is_alone:
            continue
        pairs = zip(attributes(before)["strides"], attributes(node)["strides"], strict=True)
        for attribute in node.attribute:
            if attribute.name == "strides":
                attribute.ints[:] = [first * second for first, second in pairs]
        node.input[0] = before.input[0]


def _is_step(node: Any) -> bool:
    return node.op_type == "MaxPool" and attributes(node).get("kernel_shape") == [1, 1]
