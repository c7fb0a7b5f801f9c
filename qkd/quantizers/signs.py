"""Which layers' inputs are proven non-negative by the traced graph (torch.fx)."""

import math
import operator
from typing import Any

import torch
from torch import fx, nn
from torch.nn import functional

# What comes out is never negative, whatever goes in.
_NON_NEGATIVE: set[Any] = {
    nn.ReLU,
    nn.ReLU6,
    nn.Sigmoid,
    nn.Hardsigmoid,
    nn.Softmax,
    torch.relu,
    torch.relu_,
    torch.sigmoid,
    torch.softmax,
    torch.abs,
    functional.relu,
    functional.relu6,
    functional.hardsigmoid,
    functional.sigmoid,
    functional.softmax,
    "relu",
    "relu_",
    "sigmoid",
    "softmax",
    "abs",
}

# What comes out is never negative where nothing that goes in is.
_KEEPS_SIGN: set[Any] = {
    nn.MaxPool2d,
    nn.AvgPool2d,
    nn.AdaptiveAvgPool2d,
    nn.AdaptiveMaxPool2d,
    nn.Flatten,
    nn.Identity,
    nn.Dropout,
    nn.Dropout2d,
    nn.ZeroPad2d,
    functional.max_pool2d,
    functional.avg_pool2d,
    functional.adaptive_avg_pool2d,
    functional.adaptive_max_pool2d,
    functional.dropout,
    functional.dropout2d,
    torch.flatten,
    torch.reshape,
    torch.mean,
    torch.sum,
    torch.cat,
    torch.add,
    torch.mul,
    torch.transpose,
    torch.permute,
    operator.add,
    operator.iadd,
    operator.mul,
    operator.imul,
    operator.getitem,
    "flatten",
    "reshape",
    "view",
    "mean",
    "sum",
    "contiguous",
    "transpose",
    "permute",
    "add",
    "add_",
    "mul",
    "mul_",
    "size",
}

# These combine two tensors or numbers; the others of the above look at their first alone.
_BINARY: set[Any] = {
    operator.add,
    operator.mul,
    operator.iadd,
    operator.imul,
    torch.add,
    torch.mul,
    "add",
    "add_",
    "mul",
    "mul_",
}
_OPERANDS = ("input", "other", "tensors")
_IN_PLACE_OPERATORS: set[Any] = {
    operator.iadd,
    operator.isub,
    operator.imul,
    operator.itruediv,
    operator.ifloordiv,
    operator.imod,
    operator.ipow,
    operator.iand,
    operator.ior,
    operator.ixor,
    operator.setitem,
}


class _Tracer(fx.Tracer):
    """Looks into every module but torch's own, and into no layer that may be quantized."""

    def is_leaf_module(self, module: nn.Module, name: str) -> bool:
        """Whether the module is one node of the graph."""
        own = isinstance(module, (nn.Conv2d, nn.Linear))  # of a subclass too: to be refused
        return own or super().is_leaf_module(module, name)


def trace(network: nn.Module) -> fx.GraphModule:
    """The network's graph.

    Raises ValueError where its forward depends on values, which a graph cannot show.
    """
    try:
        return fx.GraphModule(network, _Tracer().trace(network))
    except Exception as error:
        raise ValueError(
            f"{type(network).__name__} cannot be traced, so its layers cannot be quantized: "
            f"{error}. Its forward must not branch on tensors (torch.fx, symbolic tracing)"
        ) from error


def layers_in_order(
    graph: fx.GraphModule, kinds: tuple[type[nn.Module], ...]
) -> list[tuple[str, fx.Node]]:
    """Name and node of each call of a layer of these kinds, in the order of execution."""
    calls = [node for node in graph.graph.nodes if node.op == "call_module"]
    return [
        (str(node.target), node)
        for node in calls
        if isinstance(graph.get_submodule(str(node.target)), kinds)
    ]


def non_negative_nodes(graph: fx.GraphModule) -> set[fx.Node]:
    """The nodes whose values are proven to be never negative, and stay so.

    A later operation may write negative values into a tensor in place: then the proofs of all
    that may lie in the same memory are void.
    """
    proven: set[fx.Node] = set()
    for node in graph.graph.nodes:
        if _is_non_negative(node, graph, proven):
            proven.add(node)
        elif _writes_in_place(node, graph):
            proven -= _in_the_same_memory(node, graph)
    return proven


def _is_non_negative(node: fx.Node, graph: fx.GraphModule, proven: set[fx.Node]) -> bool:
    kind = _kind(node, graph)
    if kind in _NON_NEGATIVE:
        return True
    if kind is functional.pad:
        return _pads_non_negative(node) and _combines_non_negative(node, 1, proven)
    return kind in _KEEPS_SIGN and _combines_non_negative(node, 2 if kind in _BINARY else 1, proven)


def _kind(node: fx.Node, graph: fx.GraphModule) -> Any:
    """The class of module, function or method name that the node calls; None: it calls nothing."""
    if node.op == "call_module":
        return type(graph.get_submodule(str(node.target)))
    return node.target if node.op in ("call_function", "call_method") else None


def _pads_non_negative(node: fx.Node) -> bool:
    mode = node.args[2] if len(node.args) > 2 else node.kwargs.get("mode", "constant")
    value = node.args[3] if len(node.args) > 3 else node.kwargs.get("value", 0.0)
    number = 0.0 if value is None else value
    return bool(mode != "constant") or (isinstance(number, (int, float)) and number >= 0)


def _combines_non_negative(node: fx.Node, count: int, proven: set[fx.Node]) -> bool:
    """Whether the ``count`` tensors or numbers that the node combines are all non-negative."""
    named = [value for name, value in node.kwargs.items() if name in _OPERANDS]
    operands = [*node.args[:count], *named]
    items = [item for o in operands for item in (o if isinstance(o, (tuple, list)) else (o,))]
    alpha = node.kwargs.get("alpha", 1)
    return len(operands) >= count and all(_is_operand(item, proven) for item in (*items, alpha))


def _is_operand(item: object, proven: set[fx.Node]) -> bool:
    if isinstance(item, fx.Node):
        return item in proven
    return isinstance(item, (int, float)) and item >= 0 and math.isfinite(item)


def _writes_in_place(node: fx.Node, graph: fx.GraphModule) -> bool:
    if node.op == "call_module":
        return bool(getattr(graph.get_submodule(str(node.target)), "inplace", False))
    if node.op not in ("call_function", "call_method"):
        return False
    name = node.target if isinstance(node.target, str) else node.target.__name__
    is_in_place = name.endswith("_") or node.target in _IN_PLACE_OPERATORS
    flags = (*node.args[1:], node.kwargs.get("inplace"))
    return is_in_place or "out" in node.kwargs or any(flag is True for flag in flags)


def _in_the_same_memory(writer: fx.Node, graph: fx.GraphModule) -> set[fx.Node]:
    """What may share memory with what ``writer`` writes to: along views and in-place operations."""
    edges = [
        (node, node.all_input_nodes[0])
        for node in graph.graph.nodes
        if node.all_input_nodes
        and (_kind(node, graph) in _KEEPS_SIGN or _writes_in_place(node, graph))
    ]
    out = writer.kwargs.get("out")
    found = {writer, out if isinstance(out, fx.Node) else writer.all_input_nodes[0]}
    size = 0
    while size < len(found):
        size = len(found)
        for pair in edges:
            if found.intersection(pair):
                found.update(pair)
    return found
