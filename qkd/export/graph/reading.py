"""What a graph says of its nodes: who makes a tensor, who reads it, which constant it is."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


class Wiring(NamedTuple):
    """Of each tensor's name: the node that makes it, the nodes that read it, and its value where it
    is a constant (an onnx.TensorProto)."""

    maker: Mapping[str, Any]
    readers: Mapping[str, list[Any]]
    constants: Mapping[str, Any]

    def only_reader(self, name: str) -> Any | None:
        """The node that alone reads a tensor; None where there is another or none."""
        found = self.readers.get(name, [])
        return found[0] if len(found) == 1 else None

    def value(self, name: str) -> Array | None:
        """A constant's value; None where the tensor is none."""
        if name not in self.constants:
            return None
        from onnx import numpy_helper

        return np.asarray(numpy_helper.to_array(self.constants[name]))


def wiring(graph: Any) -> Wiring:
    """How the nodes of a graph hang together. The graph's outputs count as read by the graph."""
    readers: dict[str, list[Any]] = {output.name: [graph] for output in graph.output}
    for node in graph.node:
        for name in dict.fromkeys(node.input):
            readers.setdefault(name, []).append(node)
    maker = {name: node for node in graph.node for name in node.output}
    return Wiring(maker, readers, {tensor.name: tensor for tensor in graph.initializer})


def attributes(node: Any) -> dict[str, Any]:
    """A node's attributes by name."""
    from onnx import helper

    return {one.name: helper.get_attribute_value(one) for one in node.attribute}


def shapes(model: Any) -> dict[str, list[int]]:
    """The shape of each tensor that has one, 0 where an axis is the batch."""
    from onnx import shape_inference

    graph = shape_inference.infer_shapes(model).graph
    found = {}
    for value in (*graph.value_info, *graph.input, *graph.output):
        kind = value.type.tensor_type
        if kind.HasField("shape"):
            found[value.name] = [axis.dim_value for axis in kind.shape.dim]
    return found


def replace_node(graph: Any, old: Any, *new: Any) -> None:
    """Puts nodes in the place of one."""
    place = list(graph.node).index(old)
    graph.node.remove(old)
    for shift, node in enumerate(new):
        graph.node.insert(place + shift, node)


def add_constant(graph: Any, name: str, value: Array) -> str:
    """A new constant of the graph; returns its name."""
    from onnx import numpy_helper

    graph.initializer.append(numpy_helper.from_array(value, name))
    return name
