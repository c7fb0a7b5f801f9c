"""The trained student run as integers, and how often it says what the student says.

A quantized layer computes with codes: its weights and its inputs are small integers, its sums are
integers that fit int32, and what follows (both scales, the bias, a batch norm) is one multiply-add
per channel in float64, whose result the next layer's quantizer turns into codes again. In float
stay residual sums, pooling, activation functions, the product with a gate (squeeze-and-excitation),
a batch norm that does not directly follow a convolution, and the first layer's input: the image is
exact, no interval was learned for it, so that the first layer sums integer weights times float
pixels.

The reference is the fake-quantized network in float64. In float32 a value on a rounding edge may
fall on either side, and the difference cascades: that agreement is recorded, and proves nothing.
"""

from typing import cast

import torch
from torch import Tensor, fx, nn
from torch.nn import functional

from qkd.quantizers.codes import TOLERANCE, Codes
from qkd.quantizers.layers import QuantizedConv2d, QuantizedLinear
from qkd.quantizers.quantizer import Quantizer
from qkd.quantizers.tracing import trace

INT32 = 2**31
# Every whole number up to here is a float32, so that sums below it are exact in any order.
EXACT_IN_FLOAT32 = 2**24


class NoProof(ValueError):
    """The network cannot be run as integers."""


class IntegerLayer(nn.Module):
    """A quantized layer in integers, with the batch norm that follows it.

    With k_x, k_w the codes, s_x, s_w the scales, b_x the offset of the inputs, and * the layer's
    own convolution or product, the quantized layer is

        (s_x k_x + b_x) * (s_w k_w) = s_x s_w (k_x * k_w) + b_x s_w (1 * k_w)

    where 1 is 1 inside the image and 0 in its padding: a padded zero is the float zero, whatever
    the offset. The last term is the same for all images: a shift that varies along the border.

    Integers are summed in float32 or float64, which are faster than torch's integers and exact,
    for no sum can leave the whole numbers that the type holds.

    Args:
        name: of the layer, for errors.
        layer: in float64.
        norm: follows the layer; in eval mode and float64.

    Raises:
        NoProof: a sum may leave int32, or the weights' levels are no integers of any scale.
    """

    factor: Tensor
    scale: Tensor
    shift: Tensor
    weight: Tensor

    def __init__(
        self,
        name: str,
        layer: QuantizedConv2d | QuantizedLinear,
        norm: nn.BatchNorm2d | None = None,
    ) -> None:
        super().__init__()
        self.layer, self.norm = layer, norm
        codes = cast(Quantizer, layer.weight_quantizer).codes(layer.weight)
        integers, scale = _without_offset(name, codes)
        bias = integers.new_zeros(len(integers)) if layer.bias is None else layer.bias.detach()
        factor, shift = normalisation(bias, norm)
        shape = (-1, 1, 1) if isinstance(layer, QuantizedConv2d) else (-1,)
        self.register_buffer("weight", integers)
        self.register_buffer("scale", scale)
        self.register_buffer("factor", (factor * scale).view(shape))
        self.register_buffer("shift", shift.clone().view(shape))
        self.sees_pixels = isinstance(layer.input_quantizer, nn.Identity)
        self.number = torch.float64 if self.sees_pixels else self._number(name)
        self.is_checked = False

    def _number(self, name: str) -> torch.dtype:
        """The fastest type in which every sum is exact, whatever the input's codes are."""
        quantizer = cast(Quantizer, self.layer.input_quantizer)
        _, _, _, lowest, highest = quantizer.codes(self.weight.new_zeros(1))
        bound = int(self.weight.abs().flatten(1).sum(1).max()) * max(-lowest, highest)
        if bound >= INT32:
            raise NoProof(f"a sum of layer {name} may reach {bound}, which int32 cannot hold")
        return torch.float32 if bound < EXACT_IN_FLOAT32 else torch.float64

    def forward(self, x: Tensor) -> Tensor:
        """The layer's output on float64 x, its batch norm applied, in float64."""
        if self.sees_pixels:
            return torch.addcmul(self.shift, self.sums(x), self.factor)
        codes = cast(Quantizer, self.layer.input_quantizer).codes(x)
        sums, shift = self.sums(codes.integers), self.shift
        if codes.offset is not None:
            shift = shift + codes.offset * self.factor * self.sums(torch.ones_like(x[:1]))
        return torch.addcmul(shift, sums, codes.scale * self.factor)

    def sums(self, integers: Tensor) -> Tensor:
        """k_x * k_w as float64 (batch, channels, ...): of codes whole numbers, exact.

        Those of the first batch are computed in float64 too: a machine's float32 convolution may be
        no sum of products (Winograd's, or by Fourier), and then float64 is used.
        """
        sums = self._computed(integers, self.number).double()
        if self.number == torch.float32 and not self.is_checked:
            exact = self._computed(integers, torch.float64)
            self.number = torch.float32 if torch.equal(sums, exact) else torch.float64
            self.is_checked, sums = True, exact
        return sums

    def _computed(self, integers: Tensor, number: torch.dtype) -> Tensor:
        return self.product(integers.to(number), self.weight.to(number))

    def product(self, integers: Tensor, weight: Tensor) -> Tensor:
        """The layer's own convolution or product, without the bias, in the type of both."""
        if isinstance(self.layer, QuantizedConv2d):
            convolved: Tensor = self.layer._conv_forward(integers, weight, None)
            return convolved
        return functional.linear(integers, weight)


def _without_offset(name: str, codes: Codes) -> tuple[Tensor, Tensor]:
    """Integers and scale of weights: an offset of half a step makes odd integers of half the scale.

    Raises NoProof for any other offset.
    """
    if codes.offset is None:
        return codes.integers, codes.scale
    halves = 2 * codes.offset / codes.scale
    if abs(halves - halves.round()) > TOLERANCE * TOLERANCE:
        raise NoProof(
            f"the weights of layer {name} have an offset of {float(halves / 2):.6g} steps: they "
            "are integers only where it is a multiple of a half"
        )
    return 2 * codes.integers + halves.round(), codes.scale / 2


def normalisation(bias: Tensor, norm: nn.BatchNorm2d | None) -> tuple[Tensor, Tensor]:
    """Factor and shift per output channel of a bias (channels) and the batch norm after it."""
    one = torch.ones_like(bias)
    if norm is None:
        return one, bias
    mean, variance = cast(Tensor, norm.running_mean), cast(Tensor, norm.running_var)
    factor = one / (variance + norm.eps).sqrt()
    if norm.affine:
        factor = factor * norm.weight.detach()
    shift = factor * (bias - mean)
    return factor, shift + norm.bias.detach() if norm.affine else shift


@torch.no_grad()
def as_integers(network: nn.Module) -> fx.GraphModule:
    """The same network with every quantized layer as an `IntegerLayer`.

    Args:
        network: quantized, in float64 and eval mode; it is left as it is.

    Raises:
        NoProof: see `IntegerLayer`.
        ValueError: it cannot be traced.
    """
    whole = trace(network)
    for number, node in enumerate(list(whole.graph.nodes)):
        layer = _module(node, whole)
        if not isinstance(layer, (QuantizedConv2d, QuantizedLinear)):
            continue
        follower = _norm_after(node, whole) if isinstance(layer, QuantizedConv2d) else None
        norm = cast(nn.BatchNorm2d, _module(follower, whole)) if follower else None
        whole.add_submodule(f"integer_{number}", IntegerLayer(str(node.target), layer, norm))
        node.target = f"integer_{number}"
        if follower is not None:
            follower.replace_all_uses_with(node)
            whole.graph.erase_node(follower)
    whole.recompile()
    return whole.eval()


def _module(node: fx.Node, whole: fx.GraphModule) -> nn.Module | None:
    return whole.get_submodule(str(node.target)) if node.op == "call_module" else None


def _norm_after(node: fx.Node, whole: fx.GraphModule) -> fx.Node | None:
    """The batch norm that alone sees what the node gives."""
    if len(node.users) != 1:
        return None
    (user,) = node.users
    norm = _module(user, whole)
    if type(norm) not in (nn.BatchNorm2d, nn.SyncBatchNorm):
        return None
    return user if cast(nn.BatchNorm2d, norm).running_mean is not None else None
