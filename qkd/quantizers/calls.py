"""Which layers of a network are quantized, and how they are called.

Evaluation and training may be two networks: an auxiliary head, a block that is left out at random.
Quantized is what evaluation calls; whether an input may be negative is asked of both.
"""

from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

from torch import fx, nn

from qkd.quantizers.in_float import chosen, covers, floats, refusal
from qkd.quantizers.signs import non_negative_nodes
from qkd.quantizers.tracing import Graphs, layers_in_order, trace_both

KINDS = (nn.Conv2d, nn.Linear)


class Calls(NamedTuple):
    """How a layer is called.

    Attributes:
        is_exact: every call sees what was made of the image alone, by no other layer.
        is_signed: the input of some call is not proven to be never negative.
        calls_more_in_training: training calls it more often than evaluation does.
    """

    is_exact: bool
    is_signed: bool
    calls_more_in_training: bool


def layers_of(network: nn.Module, in_float: tuple[str, ...] = ()) -> dict[str, Calls]:
    """The layers to quantize by name, in the order in which evaluation first calls them.

    Args:
        network: in full precision.
        in_float: what stays in float: names of layers, other modules, parameters or calls.

    Raises:
        ValueError: see `qkd.quantizers.quantize.quantize`.
    """
    graphs = trace_both(network)
    names = list(dict.fromkeys(name for name, _ in _calls(graphs.evaluation, in_float)))
    _require_all_said(network, graphs, in_float)
    if len(names) < 2:
        raise ValueError(
            f"{type(network).__name__} has {len(names)} convolutions and linear layers: "
            "a first and a last one are needed"
        )
    seen = [_Seen(graph, network) for graph in graphs]
    return {
        name: Calls(
            is_exact=all(one.exact[name] for one in seen if name in one.exact),
            is_signed=any(one.signed[name] for one in seen if name in one.signed),
            calls_more_in_training=seen[1].count[name] > seen[0].count[name],
        )
        for name in names
    }


def only_in_training(network: nn.Module) -> tuple[str, ...]:
    """Names of what multiplies by weights in training alone: it is no part of what is evaluated,
    and stays in float."""
    graphs = trace_both(network)
    evaluated, trained = ({*_products(graph, network)} for graph in graphs)
    return tuple(sorted(trained - evaluated))


def _products(graph: fx.GraphModule, network: nn.Module) -> list[str]:
    layers = [name for name, _ in layers_in_order(graph, KINDS)]
    return layers + [one.name for one in floats(graph, network, KINDS)]


def _require_all_said(network: nn.Module, graphs: Graphs, in_float: tuple[str, ...]) -> None:
    """Raises ValueError where evaluation has something in float that is not named so, or a name is
    of nothing."""
    _, others = chosen(floats(graphs.evaluation, network, KINDS), in_float)
    if others:
        raise ValueError(refusal(network, others))
    every = [name for graph in graphs for name in _products(graph, network)]
    for own in in_float:
        if not any(covers((own,), name) for name in every):
            raise ValueError(
                f"in_float names {own!r}, which is nothing of {type(network).__name__} that "
                f"multiplies by weights: it has {', '.join(dict.fromkeys(every))}"
            )


def _calls(graph: fx.GraphModule, in_float: tuple[str, ...]) -> list[tuple[str, fx.Node]]:
    every = layers_in_order(graph, KINDS)
    return [(name, node) for name, node in every if not covers(in_float, name)]


class _Seen:
    """What one graph says of each layer that it calls, by name."""

    def __init__(self, graph: fx.GraphModule, network: nn.Module) -> None:
        calls = layers_in_order(graph, KINDS)
        products = {node for _, node in calls}
        products |= {one.node for one in floats(graph, network, KINDS)}
        after = _reached(graph, products)
        image = _reached(graph, {node for node in graph.graph.nodes if node.op == "placeholder"})
        proven = non_negative_nodes(graph)
        self.count: Counter[str] = Counter()
        self.exact: dict[str, bool] = {}
        self.signed: dict[str, bool] = {}
        for name, node in calls:
            x = node.all_input_nodes[0]
            self.count[name] += 1
            self.exact[name] = self.exact.get(name, True) and x in image and x not in after
            self.signed[name] = self.signed.get(name, False) or x not in proven


def _reached(graph: fx.GraphModule, begin: Iterable[fx.Node]) -> set[fx.Node]:
    """The nodes that are computed from some of these, and these themselves."""
    found = set(begin)
    for node in graph.graph.nodes:  # each stands after what it reads
        if not found.isdisjoint(node.all_input_nodes):
            found.add(node)
    return found
