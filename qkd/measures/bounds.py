"""How large a network's values can be, and how far two ways to compute them in float64 can differ.

The two ways are the fake-quantized network and the network of integers (`qkd.measures.integer`),
with equal codes in every layer. They differ by rounding alone. With u = 2^-53, n the products of an
output and, for one output channel, w_hat the weights, b the bias, and m, f and t the mean, factor
and shift of the batch norm, no output of a layer is larger than

    G = |f| (X sum |w_hat| + |b| + |m|) + |t|

where X is the largest input that the codes allow. Each way rounds n products, n sums and a few
operations more, each by at most u G: in any order of summation they differ by at most
4 (n + 16) u G. What is between two layers carries the difference on: a sum adds the differences of
its terms, a ReLU keeps it, a sigmoid divides it by four, and each adds its own rounding.
"""

import operator
from collections.abc import Callable
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor, fx, nn
from torch.nn import functional

from qkd.measures.integer import IntegerLayer, normalisation
from qkd.quantizers.quantizer import Quantizer

ROUNDING = 2.0**-53
# What a mean of that many elements, or an exponential, may lose: more than any here does.
ELEMENTS = 2**16


class Unbounded(ValueError):
    """The network computes something that no bound is known for."""


class Bound(NamedTuple):
    """No value of a node is above ``size``; two ways to compute one differ by ``error`` at most."""

    size: float
    error: float


@torch.no_grad()
def bounds(whole: fx.GraphModule, pixels: float) -> dict[fx.Node, Bound]:
    """The bound of each node's value.

    Args:
        whole: what `qkd.measures.integer.as_integers` returned.
        pixels: no pixel is larger.

    Raises:
        Unbounded: it names what no bound is known for.
    """
    found: dict[fx.Node, Bound] = {}
    for node in whole.graph.nodes:
        if node.op == "placeholder":
            found[node] = Bound(pixels, 0.0)
        elif node.op == "output":
            found[node] = _of_operand(node.args[0], found)
        else:
            found[node] = _of_node(node, whole, found)
    return found


def kind_of(node: fx.Node, whole: fx.GraphModule) -> Any:
    """The class of module, the function or the method name that the node calls."""
    if node.op == "call_module":
        return type(whole.get_submodule(str(node.target)))
    return node.target if node.op in ("call_function", "call_method") else None


def may_be_written(node: fx.Node, whole: fx.GraphModule) -> bool:
    """Whether the first operand is a tensor of its own that nobody else reads."""
    operand = node.args[0] if node.args else None
    if not isinstance(operand, fx.Node) or len(operand.users) > 1:
        return False
    return kind_of(operand, whole) in {IntegerLayer, nn.BatchNorm2d, *_SUMS, *_PRODUCTS}


def largest_input(whole: IntegerLayer) -> float:
    """The largest value that the codes of a layer's inputs stand for; not of exact pixels."""
    quantizer = cast(Quantizer, whole.layer.input_quantizer)
    _, scale, offset, lowest, highest = quantizer.codes(whole.weight.new_zeros(1))
    size = float(scale) * max(-lowest, highest)
    return size if offset is None else size + abs(float(offset))


def sizes(whole: IntegerLayer, largest: float) -> Tensor:
    """G of each output channel, its inputs being at most ``largest``: float64 (channels)."""
    layer, norm = whole.layer, whole.norm
    products = (whole.weight.abs().flatten(1).sum(1) * whole.scale) * largest
    size = products if layer.bias is None else products + layer.bias.abs()
    if norm is None:
        return size
    mean = cast(Tensor, norm.running_mean)
    factor, shift = normalisation(torch.zeros_like(mean), norm)
    return factor.abs() * (size + 2 * mean.abs()) + shift.abs()


def _of_node(node: fx.Node, whole: fx.GraphModule, found: dict[fx.Node, Bound]) -> Bound:
    kind = kind_of(node, whole)
    rule = _RULES.get(kind, _RULES_BY_NAME.get(getattr(kind, "__name__", "")))
    if rule is None:
        raise Unbounded(f"no bound is known for {node.name}, {getattr(kind, '__name__', kind)}")
    operands = tuple(_of_operand(value, found) for value in node.args[:2])
    if not operands:
        raise Unbounded(f"{node.name} names its operands")
    if kind in _IN_PLACE and not may_be_written(node, whole):
        raise Unbounded(f"{node.name} writes into what others may read")
    module = whole.get_submodule(str(node.target)) if node.op == "call_module" else None
    return rule(_Call(node, module, operands))


def _of_operand(value: Any, found: dict[fx.Node, Bound]) -> Bound:
    """What is neither a tensor nor a number is nothing that a bound is about."""
    if isinstance(value, fx.Node):
        return found[value]
    return Bound(abs(float(value)) if isinstance(value, (int, float)) else float("inf"), 0.0)


class _Call(NamedTuple):
    """A node, the module that it calls, and the bounds of its first operands."""

    node: fx.Node
    module: Any
    operands: tuple[Bound, ...]

    def argument(self, place: int, name: str, default: Any) -> Any:
        """What is given at that place, or by that name."""
        given = self.node.args[place] if len(self.node.args) > place else default
        return self.node.kwargs.get(name, given)


def _kept(call: _Call) -> Bound:
    return call.operands[0]


def _kept_in_eval(place: int) -> "_Rule":
    """Of a function whose argument ``training`` is at that place."""

    def rule(call: _Call) -> Bound:
        if call.argument(place, "training", True) is not False:
            raise Unbounded(f"{call.node.name} is run as in training")
        return call.operands[0]

    return rule


def _mean(call: _Call) -> Bound:
    if getattr(call.module, "divisor_override", call.argument(6, "divisor_override", None)):
        raise Unbounded(f"{call.node.name} is no mean")
    size, error = call.operands[0]
    return Bound(size, error + ELEMENTS * ROUNDING * size)


def _smooth(slope: float, largest: float = float("inf")) -> "_Rule":
    """Of a function of one number, its largest slope and its largest value."""

    def rule(call: _Call) -> Bound:
        size = min(call.operands[0].size, largest) if slope >= 1 else largest
        return Bound(size, slope * call.operands[0].error + ELEMENTS * ROUNDING * (size + 1))

    return rule


def _sum(call: _Call) -> Bound:
    (size, error), (other, apart) = _both(call)
    return Bound(size + other, error + apart + 2 * ROUNDING * (size + other))


def _product(call: _Call) -> Bound:
    (size, error), (other, apart) = _both(call)
    both = error * other + apart * size + error * apart
    return Bound(size * other, both + 4 * ROUNDING * size * other)


def _both(call: _Call) -> tuple[Bound, ...]:
    if len(call.operands) != 2 or call.node.kwargs:
        raise Unbounded(f"{call.node.name} is no plain sum or product of two")
    return call.operands


def _padding(call: _Call) -> Bound:
    value = call.argument(3, "value", None) or 0.0
    if call.argument(2, "mode", "constant") != "constant" or not isinstance(value, (int, float)):
        raise Unbounded(f"{call.node.name} does not pad with a number")
    return Bound(max(call.operands[0].size, abs(value)), call.operands[0].error)


def _norm(call: _Call) -> Bound:
    norm: nn.BatchNorm2d = call.module
    mean = norm.running_mean
    if mean is None:
        raise Unbounded("a batch norm without running statistics depends on the other images")
    size, error = call.operands[0]
    factor, shift = normalisation(torch.zeros_like(mean), norm)
    sizes = factor.abs() * (size + 2 * mean.abs()) + shift.abs()
    errors = factor.abs() * error + 16 * ROUNDING * sizes
    return Bound(float(sizes.max()), float(errors.max()))


def _layer(call: _Call) -> Bound:
    whole: IntegerLayer = call.module
    largest = call.operands[0].size if whole.sees_pixels else largest_input(whole)
    size = float(sizes(whole, largest).max())
    return Bound(size, 4 * (whole.weight[0].numel() + 16) * ROUNDING * size)


_Rule = Callable[[_Call], Bound]
_KEEPS: set[Any] = {
    nn.ReLU,
    nn.ReLU6,
    nn.Identity,
    nn.Dropout,
    nn.Dropout2d,
    nn.Flatten,
    nn.MaxPool2d,
    nn.AdaptiveMaxPool2d,
    nn.ZeroPad2d,
    torch.relu,
    torch.relu_,
    torch.flatten,
    torch.reshape,
    torch.transpose,
    torch.permute,
    functional.relu,
    functional.relu_,
    functional.relu6,
    functional.max_pool2d,
    functional.adaptive_max_pool2d,
    operator.getitem,
    "relu",
    "relu_",
    "flatten",
    "reshape",
    "view",
    "contiguous",
    "transpose",
    "permute",
}
_MEANS: set[Any] = {
    nn.AvgPool2d,
    nn.AdaptiveAvgPool2d,
    functional.avg_pool2d,
    functional.adaptive_avg_pool2d,
    torch.mean,
    "mean",
}
_SUMS: set[Any] = {operator.add, operator.iadd, torch.add, "add", "add_"}
_PRODUCTS: set[Any] = {operator.mul, operator.imul, torch.mul, "mul", "mul_"}
_IN_PLACE: set[Any] = {operator.iadd, operator.imul, "add_", "mul_"}
_RULES: dict[Any, _Rule] = {
    IntegerLayer: _layer,
    **dict.fromkeys(_KEEPS, _kept),
    **dict.fromkeys(_MEANS, _mean),
    **dict.fromkeys(_SUMS, _sum),
    **dict.fromkeys(_PRODUCTS, _product),
    **dict.fromkeys((nn.BatchNorm2d, nn.SyncBatchNorm), _norm),
    **dict.fromkeys((nn.Sigmoid, torch.sigmoid, functional.sigmoid), _smooth(0.25, 1.0)),
    **dict.fromkeys((nn.Hardsigmoid, functional.hardsigmoid), _smooth(0.25, 1.0)),
    **dict.fromkeys((nn.SiLU, functional.silu), _smooth(1.25)),
    **dict.fromkeys((nn.Hardswish, functional.hardswish), _smooth(1.5)),
    **dict.fromkeys((functional.dropout, functional.dropout2d), _kept_in_eval(2)),
    functional.pad: _padding,
}
_RULES_BY_NAME: dict[str, _Rule] = {
    "stochastic_depth": _kept_in_eval(3),  # torchvision's, which is not imported for it
}
