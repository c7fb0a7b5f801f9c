"""What a network multiplies by that no quantizer sees: refused, or kept in float where it is said.

Whatever has a weight is a quantized layer, a norm or an embedding, or it would stay in float.
"""

from collections.abc import Iterable, Iterator
from fnmatch import fnmatchcase
from typing import Any, NamedTuple

from torch import fx, nn
from torch.nn import functional
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.parameter import is_lazy

from qkd.quantizers.tracing import attribute, kind_of

# They scale and look up, and multiply no two tensors.
_NO_PRODUCTS: tuple[type[nn.Module], ...] = (
    _NormBase,
    nn.LayerNorm,
    nn.GroupNorm,
    nn.RMSNorm,
    nn.Embedding,
    nn.EmbeddingBag,
)
_PRODUCTS: set[Any] = {
    functional.linear,
    functional.bilinear,
    functional.conv1d,
    functional.conv2d,
    functional.conv3d,
    functional.conv_transpose1d,
    functional.conv_transpose2d,
    functional.conv_transpose3d,
}
LISTED = 3  # names in an error


class Float(NamedTuple):
    """Something that would stay in float: its name, what it is, and the node that reads it."""

    name: str
    what: str
    node: fx.Node


def floats(graph: fx.GraphModule, network: nn.Module, kinds: tuple[type, ...]) -> Iterator[Float]:
    """What the graph's calls read that is no layer of these kinds, no norm and no embedding.

    It is a module with a weight of two or more dimensions, such a parameter that is read by itself
    (a layer's own too, which then goes past its quantizer), or a call that multiplies by a weight
    that is neither.
    """
    for node in graph.graph.nodes:
        name = str(node.target)
        if node.op == "call_module":
            module = graph.get_submodule(name)
            if not isinstance(module, (*kinds, *_NO_PRODUCTS)) and _has_weight(module):
                yield Float(name, f"a {type(module).__name__}", node)
        elif node.op == "get_attr":
            value = attribute(graph, name)
            if isinstance(value, nn.Parameter) and value.ndim >= 2 and not _is_norms(network, name):
                shape = " x ".join(map(str, value.shape))
                yield Float(name, f"a parameter of {shape} read by itself", node)
        elif kind_of(node, graph) in _PRODUCTS:
            weight = _weight_read(node)
            if not isinstance(weight and attribute(graph, weight), nn.Parameter):
                yield Float(weight or node.name, f"a call of {node.target.__name__}", node)


def chosen(found: Iterable[Float], names: tuple[str, ...]) -> tuple[list[Float], list[Float]]:
    """Those that the names cover, and the others. A name covers what lies within it, and may hold
    the wildcards of `fnmatch`."""
    kept: list[Float] = []
    others: list[Float] = []
    for one in found:
        (kept if covers(names, one.name) else others).append(one)
    return kept, others


def covers(names: Iterable[str], name: str) -> bool:
    """Whether one of the names is this one, or what it lies within."""
    return any(fnmatchcase(name, own) or fnmatchcase(name, f"{own}.*") for own in names)


def refusal(network: nn.Module, others: Iterable[Float]) -> str:
    """Why a network of such things is refused, and what to do, in a line."""
    every = list({one.name: one for one in others}.values())
    listed = ", ".join(f"{one.name} ({one.what})" for one in every[:LISTED])
    more = f" and {len(every) - LISTED} more" if len(every) > LISTED else ""
    return (
        f"{type(network).__name__}: {listed}{more} would stay in float: make it of nn.Conv2d and "
        f"nn.Linear, or keep it so by in_float=({every[0].name!r},) of the grid, which the label "
        "then says"
    )


def _has_weight(module: nn.Module) -> bool:
    return any(is_lazy(one) or one.ndim >= 2 for one in module.parameters())


def _is_norms(network: nn.Module, name: str) -> bool:
    try:
        owner = network.get_submodule(name.rpartition(".")[0])
    except AttributeError:
        return False
    return isinstance(owner, _NO_PRODUCTS) and not isinstance(
        owner, (nn.Embedding, nn.EmbeddingBag)
    )


def _weight_read(node: fx.Node) -> str:
    """The name of the parameter or buffer that is the call's weight; "": it is computed."""
    weight: Any = node.args[1] if len(node.args) > 1 else node.kwargs.get("weight")
    if isinstance(weight, fx.Node) and weight.op == "get_attr":
        return str(weight.target)
    return ""
