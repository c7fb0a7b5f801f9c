"""What torch's exporter leaves in a graph that shall not stay there."""

from typing import Any


def forget_where_it_was_made(model: Any) -> None:
    """Drops the exporter's notes: stack traces, which name folders of this machine."""
    graph = model.graph
    for part in (model, graph, *graph.node, *graph.input, *graph.output, *graph.value_info):
        del part.metadata_props[:]
    for tensor in graph.initializer:
        del tensor.metadata_props[:]


def own_zero_points(model: Any) -> None:
    """Gives every QuantizeLinear and DequantizeLinear a zero point that no other node reads.

    The exporter makes equal constants one. onnxruntime 1.32.0 refuses its option for right sums on
    x86 processors without VNNI (session.x64quantprecision) where two weights share one.
    """
    graph = model.graph
    held = {tensor.name: tensor for tensor in graph.initializer}
    for number, node in enumerate(graph.node):
        if node.op_type not in ("QuantizeLinear", "DequantizeLinear"):
            continue
        own = type(held[node.input[2]])()
        own.CopyFrom(held[node.input[2]])
        own.name = f"zero_point_{number}"
        graph.initializer.append(own)
        node.input[2] = own.name
    drop_unread(graph)


def drop_unread(graph: Any) -> None:
    """Drops nodes and constants that nothing reads."""
    while True:
        read = {name for node in graph.node for name in node.input}
        read |= {output.name for output in graph.output}
        unread = [node for node in graph.node if not read & set(node.output)]
        if not unread:
            break
        for node in unread:
            graph.node.remove(node)
    for tensor in [one for one in graph.initializer if one.name not in read]:
        graph.initializer.remove(tensor)
    made = {name for node in graph.node for name in node.output}
    for value in [one for one in graph.value_info if one.name not in made]:
        graph.value_info.remove(value)
