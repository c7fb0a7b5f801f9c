"""The graph of a network (torch.fx): which layers it calls, on what, in which order."""

from typing import Any, NamedTuple

from torch import fx, nn

from qkd.models.modes import as_tried


class _Tracer(fx.Tracer):
    """Looks into every module but torch's own, and into no layer that may be quantized."""

    def is_leaf_module(self, module: nn.Module, name: str) -> bool:
        """Whether the module is one node of the graph."""
        own = isinstance(module, (nn.Conv2d, nn.Linear))  # of a subclass too: to be refused
        return own or super().is_leaf_module(module, name)


class Graphs(NamedTuple):
    """A network as evaluation calls it, and as training does."""

    evaluation: fx.GraphModule
    training: fx.GraphModule


def trace(network: nn.Module) -> fx.GraphModule:
    """The network's graph in the mode that it is in.

    Raises ValueError where its forward depends on values, which a graph cannot show.
    """
    try:
        return fx.GraphModule(network, _Tracer().trace(network))
    except Exception as error:
        raise ValueError(
            f"{type(network).__name__} cannot be traced, so its layers cannot be quantized: "
            f"{error}. Its forward must not branch on tensors (torch.fx, symbolic tracing)"
        ) from error


def trace_both(network: nn.Module) -> Graphs:
    """The network's graphs in both modes; it is left as it was.

    What a forward draws decides on the graph, so both draw the same each time: of a block that
    training leaves out at random, the training's graph shows one draw.

    Raises ValueError as `trace` does.
    """
    graphs = []
    for training in (False, True):
        with as_tried(network, training):
            graphs.append(trace(network))
    return Graphs(*graphs)


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


def kind_of(node: fx.Node, graph: fx.GraphModule) -> Any:
    """The class of module, function or method name that the node calls; None: it calls nothing."""
    if node.op == "call_module":
        return type(graph.get_submodule(str(node.target)))
    return node.target if node.op in ("call_function", "call_method") else None


def attribute(graph: fx.GraphModule, name: str) -> Any:
    """What a ``get_attr`` node reads: a parameter, a buffer or a constant."""
    owner, _, own = name.rpartition(".")
    return getattr(graph.get_submodule(owner), own)
