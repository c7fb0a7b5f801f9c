"""Which values of a traced network are proven to be never negative."""

import math
from collections.abc import Callable
from typing import Any

from torch import fx, nn
from torch.nn import functional

from qkd.quantizers.in_place import in_the_same_memory, writes_in_place
from qkd.quantizers.operations import (
    CLAMPS,
    KEEPS_SIGN,
    LARGEST,
    NON_NEGATIVE,
    POWERS,
    PRODUCTS,
    SMALLEST,
    SUMS,
)
from qkd.quantizers.tracing import kind_of

_OPERANDS = ("input", "other", "tensors", "tensor")
_NAMED_PARTS = ("values", "indices")  # of what a maximum along a dimension gives


def non_negative_nodes(graph: fx.GraphModule) -> set[fx.Node]:
    """The nodes whose values are proven to be never negative, and stay so.

    Of a node that gives several tensors (a chunk, a maximum with its places) all are meant. A later
    operation may write negative values into a tensor in place: then the proofs of all that may lie
    in the same memory are void.
    """
    proven: set[fx.Node] = set()
    for node in graph.graph.nodes:
        call = _Call(node, graph, proven)
        if call.is_non_negative():
            proven.add(node)
        elif writes_in_place(node, graph):
            proven -= in_the_same_memory(node, graph)
    return proven


class _Call:
    """A node that is called, and what is proven of those before it."""

    def __init__(self, node: fx.Node, graph: fx.GraphModule, proven: set[fx.Node]) -> None:
        self.node, self.proven = node, proven
        self.kind = kind_of(node, graph)
        is_module = node.op == "call_module"
        self.module = graph.get_submodule(str(node.target)) if is_module else None

    def is_non_negative(self) -> bool:
        """Whether what it gives is proven to be never negative."""
        if self.kind in NON_NEGATIVE:
            return True
        rule = _RULES.get(self.kind)
        return rule is not None and rule(self)

    def argument(self, place: int, name: str, default: Any = None) -> Any:
        """What is given at that place, or by that name; a module's attribute of that name."""
        if self.module is not None and hasattr(self.module, name):
            return getattr(self.module, name)
        given = self.node.args[place] if len(self.node.args) > place else default
        return self.node.kwargs.get(name, given)

    def operands(self, count: int) -> list[Any]:
        """The first ``count`` tensors or numbers that it combines."""
        named = [value for name, value in self.node.kwargs.items() if name in _OPERANDS]
        return [*self.node.args[:count], *named]

    def all_non_negative(self, count: int) -> bool:
        """Whether the first ``count`` tensors, numbers or lists of them are all non-negative."""
        operands = self.operands(count)
        items = [one for o in operands for one in (o if isinstance(o, (tuple, list)) else (o,))]
        return len(operands) >= count and all(map(self.is_proven, items))

    def is_proven(self, item: object) -> bool:
        """Whether it is a number, or a tensor proven to be such, that is not negative."""
        if isinstance(item, fx.Node):
            return item in self.proven
        return isinstance(item, (int, float)) and item >= 0 and math.isfinite(item)


def _first(call: _Call) -> bool:
    return call.all_non_negative(1)


def _sum(call: _Call) -> bool:
    return call.all_non_negative(2) and call.is_proven(call.node.kwargs.get("alpha", 1))


def _product(call: _Call) -> bool:
    operands = call.operands(2)
    is_square = len(operands) == 2 and operands[0] is operands[1]
    return (is_square and isinstance(operands[0], fx.Node)) or call.all_non_negative(2)


def _padding(call: _Call) -> bool:
    mode, value = call.argument(2, "mode", "constant"), call.argument(3, "value", 0.0)
    number = 0.0 if value is None else value
    is_kept = bool(mode != "constant") or (isinstance(number, (int, float)) and number >= 0)
    return is_kept and call.all_non_negative(1)


def _between(lowest: str, highest: str, usual: tuple[float | None, float | None]) -> "_Rule":
    """Of what cuts off below and above; torch gives the upper bound where both contradict."""

    def rule(call: _Call) -> bool:
        low, high = call.argument(1, lowest, usual[0]), call.argument(2, highest, usual[1])
        is_above = low is not None and call.is_proven(low)
        return (is_above or call.all_non_negative(1)) and (high is None or call.is_proven(high))

    return rule


def _largest(call: _Call) -> bool:
    """Of one tensor, or of two: one of both is enough. A size names a dimension."""
    nodes = [one for one in call.operands(2) if isinstance(one, fx.Node)]
    return any(one in call.proven and not _is_size(one) for one in nodes)


def _is_size(node: fx.Node) -> bool:
    return any(one.target == "size" for one in (node, *node.all_input_nodes))


def _smallest(call: _Call) -> bool:
    operands = call.operands(2)
    others = [one for one in operands[1:] if isinstance(one, fx.Node)]
    return bool(operands) and all(map(call.is_proven, (operands[0], *others)))


def _power(call: _Call) -> bool:
    exponent = call.argument(1, "exponent")
    if not isinstance(exponent, (int, float)) or exponent < 0:
        return False
    is_even = exponent % 2 == 0 and isinstance(call.operands(1)[0], fx.Node)
    return is_even or call.all_non_negative(1)


def _softplus(call: _Call) -> bool:
    beta = call.argument(1, "beta", 1.0)
    return isinstance(beta, (int, float)) and beta > 0


def _part(call: _Call) -> bool:
    return call.node.args[1] in _NAMED_PARTS and call.all_non_negative(1)


_Rule = Callable[[_Call], bool]
_RULES: dict[Any, _Rule] = {
    **dict.fromkeys(KEEPS_SIGN, _first),
    **dict.fromkeys(SUMS, _sum),
    **dict.fromkeys(PRODUCTS, _product),
    **dict.fromkeys(LARGEST, _largest),
    **dict.fromkeys(SMALLEST, _smallest),
    **dict.fromkeys(POWERS, _power),
    **dict.fromkeys(CLAMPS, _between("min", "max", (None, None))),
    **dict.fromkeys((nn.Softplus, functional.softplus), _softplus),
    **dict.fromkeys(
        (nn.Hardtanh, functional.hardtanh), _between("min_val", "max_val", (-1.0, 1.0))
    ),
    functional.pad: _padding,
    getattr: _part,
}
