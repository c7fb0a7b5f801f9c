"""A float network in, the quantized one out.

The inputs and the weights of convolutions and linear layers are quantized, nothing else: residual
sums see float. The first layer's input, the image, stays exact. The first and last layer have their
own bits, and depthwise convolutions may. All of this is assumed: see qkd.marks.
"""

from collections.abc import Callable, Iterator
from inspect import isabstract
from typing import Any, cast

import torch
from torch import Tensor, nn

from qkd.imports import QUANTIZERS, resolve
from qkd.quantizers.calls import Calls, layers_of
from qkd.quantizers.gradients import say_what_learns_not
from qkd.quantizers.in_float import LISTED
from qkd.quantizers.inputs import layer_inputs
from qkd.quantizers.layers import QuantizedConv2d, QuantizedLinear
from qkd.quantizers.quantizer import Quantizer
from qkd.spec import Bits, Quantization

QuantizerFactory = Callable[[int, bool], nn.Module]

_QUANTIZED: dict[type[nn.Module], type[nn.Module]] = {
    nn.Conv2d: QuantizedConv2d,
    nn.Linear: QuantizedLinear,
}


def quantize(network: nn.Module, quantization: Quantization) -> nn.Module:
    """The same network with its layers quantized; intervals still at 1 (see `set_intervals`).

    The layers keep their names and weights, so that a float network's state loads into it.
    Quantized is what evaluation calls. What training calls beside that stays in float, and so does
    what ``quantization.in_float`` names.

    Raises:
        ValueError: the network cannot be traced, or has something that would stay in float
            (`qkd.quantizers.in_float`); it has fewer than two layers to quantize, none that would
            have the bits in question, or one that is of a subclass; ``in_float`` names nothing
            that it calls; depthwise convolutions have bits and it has none; or the quantizer
            cannot give its output as integers.
    """
    found = layers_of(network, quantization.in_float)
    quantizer = cast(QuantizerFactory, resolve(quantization.quantizer, QUANTIZERS))
    of_weights = cast(QuantizerFactory, getattr(quantizer, "weights", quantizer))
    classes = {name: _quantized_class(name, network.get_submodule(name)) for name in found}
    bits = _bits_by_layer(network, found, quantization.bits)
    for name, own in found.items():
        layer: Any = network.get_submodule(name)
        weight_bits, activation_bits = bits[name]
        layer.__class__ = classes[name]
        layer.calibrates_in_training = own.calls_more_in_training
        device = layer.weight.device  # a loop of one's own may have moved the network before
        layer.weight_quantizer = _built(of_weights, weight_bits, True).to(device)
        layer.input_quantizer = (
            nn.Identity()
            if own.is_exact
            else _built(quantizer, activation_bits, own.is_signed).to(device)
        )
    return network


def _bits_by_layer(
    network: nn.Module, layers: dict[str, Calls], bits: Bits
) -> dict[str, tuple[int, int]]:
    """Bits of each layer's weights and of its inputs, the layers being named in their order.

    Raises ValueError where none has the bits that the network is named after.
    """
    name_of_network, names = type(network).__name__, list(layers)
    declared = bits.weight, bits.activation
    found = dict.fromkeys(names, declared)
    if bits.depthwise is not None:
        depthwise = [name for name in names if _is_depthwise(network.get_submodule(name))]
        if not depthwise:
            raise ValueError(
                f"{name_of_network} has no depthwise convolution, which {bits.label} has "
                "bits for: leave them out"
            )
        found |= dict.fromkeys(depthwise, (bits.depthwise, bits.depthwise))
    edges = [name for name, own in layers.items() if own.is_exact]
    found |= dict.fromkeys((names[0], *edges, names[-1]), (bits.edge, bits.edge))
    if declared not in found.values():
        raise ValueError(
            f"{name_of_network} has no layer at {bits.label}: {', '.join(names[:LISTED])} are its "
            f"first and last or depthwise ones, whose bits are others (edge={bits.edge}). It needs "
            "one more layer between them"
        )
    return found


def _is_depthwise(layer: nn.Module) -> bool:
    """Whether each output channel sees one input channel, and there are several."""
    return isinstance(layer, nn.Conv2d) and 1 < layer.groups == layer.in_channels


def _built(factory: QuantizerFactory, bits: int, signed: bool) -> nn.Module:
    quantizer = None if isabstract(factory) else factory(bits, signed)
    if quantizer is None or not callable(getattr(quantizer, "codes", None)):
        kind = factory if quantizer is None else type(quantizer)
        raise ValueError(
            f"the quantizer {kind.__name__} has no method codes(x), which gives its output as "
            "integers: inherit one, or write it as baselines/README.md says"
        )
    say_what_learns_not(factory, bits, signed)
    return quantizer


def _quantized_class(name: str, layer: nn.Module) -> type[nn.Module]:
    if type(layer) not in _QUANTIZED:
        raise ValueError(
            f"layer {name} is a {type(layer).__name__}, a subclass that cannot be quantized: "
            "use nn.Conv2d or nn.Linear itself"
        )
    return _QUANTIZED[type(layer)]


def quantized_layers(
    network: nn.Module,
) -> Iterator[tuple[str, QuantizedConv2d | QuantizedLinear]]:
    """Name and module of each quantized layer."""
    for name, module in network.named_modules():
        if isinstance(module, (QuantizedConv2d, QuantizedLinear)):
            yield name, module


def interval_parameters(network: nn.Module) -> tuple[dict[str, nn.Parameter], ...]:
    """The quantizers' parameters by name: those of the weights, those of the activations."""
    weights, activations = {}, {}
    for name, parameter in network.named_parameters():
        if ".weight_quantizer." in name:
            weights[name] = parameter
        elif ".input_quantizer." in name:
            activations[name] = parameter
    return weights, activations


@torch.no_grad()
def set_intervals(network: nn.Module, images: Tensor, quantization: Quantization) -> None:
    """Gives every quantizer its initial interval: of the weights, and of one calibration batch.

    The activations are those of the float network in eval mode, and of all calls of a layer.
    This happens once, when the first quantized stage is built, before its optimiser.

    Args:
        network: what `quantize` returned, its float weights loaded.
        images: (batch, channels, height, width), as the network sees them in training.
        quantization: names the rule.
    """
    layers = dict(quantized_layers(network))
    inputs = layer_inputs(network, layers, images)
    for name, layer in layers.items():
        pairs = [(layer.weight_quantizer, layer.weight), (layer.input_quantizer, inputs[name])]
        for quantizer, tensor in pairs:
            if not isinstance(quantizer, nn.Identity):
                cast(Quantizer, quantizer).initialise(tensor, quantization.initial_interval)
