"""Which nodes of a graph write into a tensor in place, and what lies in the same memory."""

import operator
from typing import Any

from torch import fx

from qkd.quantizers.operations import ALLOCATES, KEEPS_SIGN, NON_NEGATIVE, PRODUCTS, SUMS
from qkd.quantizers.tracing import kind_of

_OPERATORS: set[Any] = {
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
_KNOWN = KEEPS_SIGN | SUMS | PRODUCTS


def writes_in_place(node: fx.Node, graph: fx.GraphModule) -> bool:
    """Whether the node writes into a tensor that was there before, as far as its call says."""
    if node.op == "call_module":
        return bool(getattr(graph.get_submodule(str(node.target)), "inplace", False))
    if node.op not in ("call_function", "call_method"):
        return False
    name = node.target if isinstance(node.target, str) else node.target.__name__
    is_in_place = name.endswith("_") or node.target in _OPERATORS
    flags = (*node.args[1:], node.kwargs.get("inplace"))
    return is_in_place or "out" in node.kwargs or any(flag is True for flag in flags)


def in_the_same_memory(writer: fx.Node, graph: fx.GraphModule) -> set[fx.Node]:
    """What may share memory with what ``writer`` writes to: along views, in-place operations, and
    whatever may be one of both."""
    edges = [(node, source) for node in graph.graph.nodes for source in _sources(node, graph)]
    out = writer.kwargs.get("out")
    found = {writer, out if isinstance(out, fx.Node) else writer.all_input_nodes[0]}
    size = 0
    while size < len(found):
        size = len(found)
        for pair in edges:
            if found.intersection(pair):
                found.update(pair)
    return found


def _sources(node: fx.Node, graph: fx.GraphModule) -> list[fx.Node]:
    """The nodes of whose memory what this one gives may be a part."""
    kind = kind_of(node, graph)
    if kind in _KNOWN or writes_in_place(node, graph):
        return node.all_input_nodes[:1]
    if node.op == "call_module" or kind is None or kind in NON_NEGATIVE | ALLOCATES:
        return []
    return node.all_input_nodes  # a function that nothing is known of may give a view
