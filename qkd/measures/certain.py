"""The network of integers run quickly, and on which images its answer is certain.

Certain is an answer that both networks, the one of integers and the fake-quantized one, give when
they are computed in float64 (`qkd.measures.proof`). The argument, layer by layer:

1. A layer's two forms are the same function of the same codes. Its integers times their scale are
   the weights that its quantizer gives, each one compared; its factor and shift are what the batch
   norm's module does with the bias and with a number of either sign, compared for each channel.
   A convolution is linear, so that the rest is its sums of whole numbers, which are exact here.
2. So the two outputs of a layer differ by rounding alone, by at most the error that
   `qkd.measures.bounds` finds before any image is seen, if the codes of their inputs are equal.
3. The codes are equal where no input lies within that error of an edge between two levels. With d
   the error and s the scale, that is asked of each element of each image: its position, clamped to
   the levels, is at most 1/2 - d / s - 2^-50 L from the nearest whole number, L being the largest
   code. A quantizer with a forward of its own (any but of a `Scale`) is asked twice, d below and
   d above: it is taken to be monotone, and must both times give the level that its codes name.
4. The answers are equal where the two best logits are further apart than twice their error.

Where a layer's outputs go to the next through no more than a ReLU, its codes are a function of one
whole number for each channel. Then 3. is asked of every sum that the layer can have, once, and the
layer computes in float32 if that gives the same codes for all of them.
"""

import copy
import operator
from typing import cast

import torch
from torch import Tensor, fx, nn
from torch.nn import functional

from qkd.measures.bounds import ROUNDING, Bound, Unbounded, bounds, kind_of, may_be_written, sizes
from qkd.measures.integer import IntegerLayer
from qkd.measures.products import laid_out, product_of
from qkd.quantizers.quantizer import Quantizer, ScaledQuantizer

WIDE, NARROW = torch.float64, torch.float32
TABLE = 2**21  # sums times channels, at most, of what is tried for a layer
# Each of one exact operation an element: every machine computes them alike.
_ELEMENTWISE = {
    nn.ReLU,
    nn.ReLU6,
    nn.Identity,
    functional.relu,
    functional.relu6,
    torch.relu,
    "relu",
}


class Edges:
    """Codes of a layer's inputs, and which images have an input too near to an edge.

    Args:
        quantizer: of the inputs.
        inputs: their bound.
    """

    def __init__(self, quantizer: Quantizer, inputs: Bound, like: Tensor) -> None:
        self.quantizer = quantizer
        _, scale, offset, lowest, highest = quantizer.codes(like.new_zeros(1))
        others = quantizer.codes(like.new_full((2,), 3.0))
        largest = max(-lowest, highest)
        steps = inputs.error / float(scale) if scale > 0 else float("inf")
        self.limit = 0.5 - steps - 2.0**-50 * largest
        self.shift = inputs.error + 4 * ROUNDING * inputs.size
        self.rounding = 16 * ROUNDING * (float(scale) * largest + abs(float(offset or 0.0)))
        if not (self.limit > 0 and self.shift < float("inf")):
            raise Unbounded(f"a step of {float(scale)} is not above what two ways differ by")
        if others[1:] != (scale, offset, lowest, highest):
            raise Unbounded(f"the levels of a {type(quantizer).__name__} depend on its input")
        kind = type(quantizer)
        self.is_plain = (
            isinstance(quantizer, ScaledQuantizer)
            and kind.forward is ScaledQuantizer.forward
            and kind.codes is ScaledQuantizer.codes
        )
        self.per_step, self.lowest, self.highest = 1 / float(scale), lowest, highest

    def codes(self, x: Tensor) -> tuple[Tensor, Tensor | None]:
        """The codes of float64 x, and which images (batch) are not certain; None: all are."""
        if not self.is_plain:
            return self._codes_twice(x)
        # Faster than the quantizer's own division; the limit allows for the difference.
        positions = torch.mul(x, self.per_step).clamp_(self.lowest, self.highest)
        integers = positions.round()
        return integers, above(positions.sub_(integers).abs_(), self.limit)

    def codes_alone(self, x: Tensor) -> Tensor:
        """The codes of x, of float32 too, which may be written over."""
        if not self.is_plain:
            return self.quantizer.codes(x).integers
        return x.mul_(self.per_step).clamp_(self.lowest, self.highest).round_()

    def _codes_twice(self, x: Tensor) -> tuple[Tensor, Tensor | None]:
        codes = self.quantizer.codes(x)
        below, over = self.quantizer(x - self.shift), self.quantizer(x + self.shift)
        integers = codes.integers
        values = codes.scale * integers
        values = values if codes.offset is None else values + codes.offset
        return integers, _either(
            above((below - values).abs_(), self.rounding),
            above((over - values).abs_(), self.rounding),
        )


def above(values: Tensor, limit: float) -> Tensor | None:
    """Which of the batch hold a value above the limit, or one that is no number; None: none do."""
    if float(values.amax()) <= limit:
        return None
    return ~(values.flatten(1).amax(1) <= limit)


def _either(one: Tensor | None, other: Tensor | None) -> Tensor | None:
    return other if one is None else one if other is None else one | other


class CertainLayer(nn.Module):
    """An `IntegerLayer` that is run quickly.

    Args:
        whole: the layer.
        edges: of its inputs; None where they are exact pixels.

    Attributes:
        doubt: the images (batch) of the last call whose codes are not certain; None: no image.
        is_narrow: whether its outputs are float32.
        is_tried: whether its inputs' codes were tried out for every sum, so that none is in doubt.
    """

    def __init__(self, whole: IntegerLayer, edges: Edges | None) -> None:
        super().__init__()
        self.whole, self.edges = whole, edges
        self.doubt: Tensor | None = None
        self.is_narrow = self.is_tried = False
        if edges is None:
            return
        codes = edges.quantizer.codes(whole.weight.new_zeros(1))
        self.offset, self.factor = codes.offset, codes.scale * whole.factor
        self.product = product_of(whole, codes.lowest, codes.highest)
        self._factors = {number: self.factor.to(number) for number in (WIDE, NARROW)}
        self._shifts: dict[tuple[torch.Size, torch.dtype], Tensor] = {}

    def forward(self, x: Tensor) -> Tensor:
        """The layer's output, in float64 or, where narrow, float32."""
        if self.edges is None:
            return laid_out(cast(Tensor, self.whole(x)))
        if self.is_tried:
            integers = self.edges.codes_alone(x)
        else:
            integers, self.doubt = self.edges.codes(x)
        return self.scaled(self.product(integers), x)

    def scaled(self, sums: Tensor, x: Tensor) -> Tensor:
        """What follows the sums for inputs x; the sums are written over."""
        number = NARROW if self.is_narrow else WIDE
        return sums.to(number).mul_(self._factors[number]).add_(self._shift(x, number))

    def _shift(self, x: Tensor, number: torch.dtype) -> Tensor:
        """The shift, which varies along the border where codes have an offset."""
        key = x.shape[1:], number
        if key not in self._shifts:
            shift = self.whole.shift
            if self.offset is not None:
                ones = self.whole.sums(torch.ones_like(x[:1], dtype=WIDE))
                shift = shift + self.offset * self.whole.factor * ones
            self._shifts[key] = shift.to(number)
        return self._shifts[key]

    def all_sums(self, edges: Edges) -> Tensor | None:
        """Every sum that the layer can have, float64 (sums, channels, ...); None: too many."""
        weight = self.whole.weight.flatten(1)
        above, below = weight.clamp(min=0).sum(1), weight.clamp(max=0).sum(1)
        largest = int((above * edges.highest + below * edges.lowest).max())
        smallest = int((above * edges.lowest + below * edges.highest).min())
        channels = len(weight)
        if (largest - smallest + 1) * channels > TABLE:
            return None
        values = torch.arange(smallest, largest + 1, dtype=weight.dtype, device=weight.device)
        shape = (-1, 1, *(1 for _ in self.whole.shift.shape[1:]))
        return values.view(shape).repeat(1, channels, *shape[2:])


@torch.no_grad()
def certain(integer: nn.Module, pixels: float) -> "Certain":
    """The quick form of a network that `qkd.measures.integer.as_integers` returned.

    Args:
        integer: it has seen a batch, so that its layers know in what type their sums are exact.
        pixels: images with a larger pixel are in doubt.

    Raises:
        Unbounded: nothing can be said without running both networks, for the reason that it gives.
    """
    if not isinstance(integer, fx.GraphModule):
        raise Unbounded(f"{type(integer).__name__} is no graph of layers")
    found = bounds(integer, pixels)
    layers = {}
    quick = fx.GraphModule(integer, _in_place(integer))
    for node in list(integer.graph.nodes):
        if kind_of(node, integer) is not IntegerLayer:
            continue
        whole = cast(IntegerLayer, integer.get_submodule(str(node.target)))
        require_equal(whole)
        quantizer = cast(Quantizer, whole.layer.input_quantizer)
        seen = None if whole.sees_pixels else Edges(quantizer, found[node.args[0]], whole.weight)
        layers[node] = CertainLayer(whole, seen)
        quick.set_submodule(str(node.target), layers[node])
    for node in layers:
        _try_out(node, integer, layers)
    output = next(node for node in integer.graph.nodes if node.op == "output")
    return Certain(quick, list(layers.values()), pixels, found[output].error)


def _in_place(integer: fx.GraphModule) -> fx.Graph:
    """Its graph, sums and ReLUs written over a tensor that nobody else reads."""
    graph = copy.deepcopy(integer.graph)
    for node in graph.nodes:
        if not may_be_written(node, integer):
            continue
        if node.target is operator.add and isinstance(node.args[1], fx.Node):
            node.target = operator.iadd
        elif kind_of(node, integer) is nn.ReLU:
            node.op, node.target, node.args = "call_function", torch.relu_, node.args[:1]
    return graph


class Certain:
    """A network that is run quickly, and says on which images its answer is certain."""

    def __init__(
        self, network: nn.Module, layers: list[CertainLayer], pixels: float, error: float
    ) -> None:
        self.network, self.layers = network.eval(), layers
        self.pixels, self.error = pixels, error

    def logits(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Logits (batch, classes) of float64 images, and whether each is certain: bool (batch)."""
        logits = self.network(x.to(memory_format=torch.channels_last))
        best = logits.topk(min(2, logits.shape[1]), dim=1).values
        sure = best[:, 0] - best[:, -1] > 2 * self.error
        for doubt in (above(x.abs(), self.pixels), *(layer.doubt for layer in self.layers)):
            if doubt is not None:
                sure &= ~doubt
        return logits, sure

    def agrees(self, x: Tensor, *others: Tensor) -> bool:
        """Whether it is certain of an image, and others' logits are within the error on all that
        it is certain of."""
        logits, sure = self.logits(x)
        near = (bool(((logits - other).abs()[sure] <= self.error).all()) for other in others)
        return bool(sure.any()) and all(near)


@torch.no_grad()
def require_equal(whole: IntegerLayer) -> None:
    """Raises Unbounded where the integers, the factor or the shift are not those of the layer."""
    layer = whole.layer
    weight = layer.weight_quantizer(layer.weight)
    largest = float(whole.weight.abs().max() * whole.scale)
    apart = (whole.weight * whole.scale - weight).abs().max()
    channels = sizes(whole, 1.0)
    number = (whole.weight.abs().flatten(1).sum(1) * whole.scale).clamp(min=1.0)
    bias = torch.zeros_like(number) if layer.bias is None else layer.bias
    wrong = not float(apart) <= 16 * ROUNDING * largest
    for sign in (-1.0, 0.0, 1.0):
        output = bias + sign * number
        if whole.norm is not None:
            output = whole.norm(output.view(1, -1, 1, 1)).flatten()
        ours = whole.shift.flatten() + sign * number * (whole.factor.flatten() / whole.scale)
        wrong |= not bool(((output - ours).abs() <= 64 * ROUNDING * (channels + 1)).all())
    if wrong:
        raise Unbounded("a layer's integers are not what its quantizer and its batch norm give")


def _try_out(node: fx.Node, integer: fx.GraphModule, layers: dict[fx.Node, CertainLayer]) -> None:
    """Makes the layer narrow if float32 gives the next the same codes for every sum."""
    layer, (between, after) = layers[node], _what_reads(node, integer)
    following = layers.get(after) if after else None
    if layer.edges is None or following is None or following.edges is None:
        return
    is_small = layer.offset is None and layer.whole.number == torch.float32
    sums = layer.all_sums(layer.edges) if is_small else None
    if sums is None:
        return
    wide = _through(layer.scaled(sums.clone(), sums), between, integer)
    codes, doubt = following.edges.codes(wide)
    layer.is_narrow = True
    narrowed = _through(layer.scaled(sums, sums), between, integer)
    same = torch.equal(following.edges.codes_alone(narrowed).double(), codes)
    layer.is_narrow = following.is_tried = doubt is None and same


def _what_reads(node: fx.Node, integer: fx.GraphModule) -> tuple[list[fx.Node], fx.Node | None]:
    """The elementwise operations through which alone a node is read, and what reads the last of
    them; None: more than one do."""
    between: list[fx.Node] = []
    while len(node.users) == 1:
        (node,) = node.users
        if kind_of(node, integer) not in _ELEMENTWISE:
            return between, node
        between.append(node)
    return between, None


def _through(x: Tensor, between: list[fx.Node], integer: fx.GraphModule) -> Tensor:
    for node in between:
        if node.op == "call_module":
            x = integer.get_submodule(str(node.target))(x)
        elif node.op == "call_method":
            x = getattr(x, str(node.target))()
        else:
            x = cast(Tensor, node.target(x))  # type: ignore[operator]
    return x
