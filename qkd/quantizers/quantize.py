"""A float network in, the quantized one out.

The inputs and the weights of convolutions and linear layers are quantized, nothing else: residual
sums see float. The first layer's input, the image, stays exact. The first and last layer have their
own bits, and depthwise convolutions may. All of this is assumed: see qkd.marks.
"""

from collections.abc import Callable, Iterator
from inspect import isabstract
from typing import cast

import torch
from torch import Tensor, fx, nn
from torch.nn import functional

from qkd.imports import QUANTIZERS, resolve
from qkd.quantizers.gradients import say_what_learns_not
from qkd.quantizers.layers import QuantizedConv2d, QuantizedLinear
from qkd.quantizers.quantizer import Quantizer
from qkd.quantizers.signs import layers_in_order, non_negative_nodes, trace
from qkd.spec import Bits, Quantization

QuantizerFactory = Callable[[int, bool], nn.Module]

_QUANTIZED: dict[type[nn.Module], type[nn.Module]] = {
    nn.Conv2d: QuantizedConv2d,
    nn.Linear: QuantizedLinear,
}


# Layers and calls that multiply by weights as a quantized layer does, but would stay in float.
_LEFT_IN_FLOAT: tuple[type[nn.Module], ...] = (
    nn.Conv1d,
    nn.Conv3d,
    nn.ConvTranspose1d,
    nn.ConvTranspose2d,
    nn.ConvTranspose3d,
    nn.Bilinear,
    nn.MultiheadAttention,
    nn.RNNBase,
)
_CALLS_IN_FLOAT: set[object] = {
    functional.linear,
    functional.bilinear,
    functional.conv1d,
    functional.conv2d,
    functional.conv3d,
    functional.conv_transpose1d,
    functional.conv_transpose2d,
    functional.conv_transpose3d,
}


def quantize(network: nn.Module, quantization: Quantization) -> nn.Module:
    """The same network with its layers quantized; intervals still at 1 (see `set_intervals`).

    The layers keep their names and weights, so that a float network's state loads into it.

    Raises:
        ValueError: the network cannot be traced, has fewer than two layers to quantize, one that
            is of a subclass, or a convolution or linear layer of a kind that would stay in float;
            depthwise convolutions have bits and it has none; or the quantizer cannot give its
            output as integers.
    """
    graph = trace(network)
    _refuse_what_stays_in_float(graph)
    calls = layers_in_order(graph, tuple(_QUANTIZED))
    names = list(dict.fromkeys(name for name, _ in calls))
    if len(names) < 2:
        raise ValueError(
            f"{type(network).__name__} has {len(names)} convolutions and linear layers: "
            "a first and a last one are needed"
        )
    non_negative = non_negative_nodes(graph)
    signed = {name for name, node in calls if node.all_input_nodes[0] not in non_negative}
    quantizer = cast(QuantizerFactory, resolve(quantization.quantizer, QUANTIZERS))
    of_weights = cast(QuantizerFactory, getattr(quantizer, "weights", quantizer))
    bits = _bits_by_layer(network, names, quantization.bits)
    for name in names:
        layer = network.get_submodule(name)
        weight_bits, activation_bits = bits[name]
        layer.__class__ = _quantized_class(name, layer)
        layer.weight_quantizer = _built(of_weights, weight_bits, True)
        exact = name == names[0]
        layer.input_quantizer = (
            nn.Identity() if exact else _built(quantizer, activation_bits, name in signed)
        )
    return network


def _bits_by_layer(network: nn.Module, names: list[str], bits: Bits) -> dict[str, tuple[int, int]]:
    """Bits of each layer's weights and of its inputs, the layers being named in their order."""
    found = dict.fromkeys(names, (bits.weight, bits.activation))
    if bits.depthwise is not None:
        depthwise = [name for name in names if _is_depthwise(network.get_submodule(name))]
        if not depthwise:
            raise ValueError(
                f"{type(network).__name__} has no depthwise convolution, which {bits.label} has "
                "bits for: leave them out"
            )
        found |= dict.fromkeys(depthwise, (bits.depthwise, bits.depthwise))
    return found | dict.fromkeys((names[0], names[-1]), (bits.edge, bits.edge))


def _is_depthwise(layer: nn.Module) -> bool:
    """Whether each output channel sees one input channel, and there are several."""
    return isinstance(layer, nn.Conv2d) and 1 < layer.groups == layer.in_channels


def _refuse_what_stays_in_float(graph: fx.GraphModule) -> None:
    for node in graph.graph.nodes:
        kind: object = node.target
        if node.op == "call_module":
            kind = type(graph.get_submodule(str(node.target)))
        left = isinstance(kind, type) and issubclass(kind, _LEFT_IN_FLOAT)
        if left or (node.op == "call_function" and kind in _CALLS_IN_FLOAT):
            name = getattr(kind, "__name__", str(kind))
            raise ValueError(
                f"{node.name} is a {name}, which would stay in float: a network to be quantized is "
                "made of nn.Conv2d and nn.Linear"
            )


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

    The activations are those of the float network in eval mode: its quantizers return their input.
    This happens once, when the first quantized stage is built, before its optimiser.

    Args:
        network: what `quantize` returned, its float weights loaded.
        images: (batch, channels, height, width), as the network sees them in training.
        quantization: names the rule.
    """
    inputs = _layer_inputs(network, images)
    for name, layer in quantized_layers(network):
        pairs = [(layer.weight_quantizer, layer.weight), (layer.input_quantizer, inputs[name])]
        for quantizer, tensor in pairs:
            if not isinstance(quantizer, nn.Identity):
                cast(Quantizer, quantizer).initialise(tensor, quantization.initial_interval)


def _layer_inputs(network: nn.Module, images: Tensor) -> dict[str, Tensor]:
    """What each quantized layer gets to see when no quantizer is at work."""
    seen: dict[str, Tensor] = {}
    quantizers = [
        quantizer
        for _, layer in quantized_layers(network)
        for quantizer in (layer.weight_quantizer, layer.input_quantizer)
    ]
    hooks = [
        quantizer.register_forward_hook(lambda _module, inputs, _output: inputs[0])
        for quantizer in quantizers
    ]
    for name, layer in quantized_layers(network):
        hooks.append(layer.register_forward_pre_hook(_keep_input(seen, name)))
    was_training = network.training
    try:
        network.eval()(images)
    finally:
        network.train(was_training)
        for hook in hooks:
            hook.remove()
    return seen


def _keep_input(seen: dict[str, Tensor], name: str) -> Callable[[nn.Module, tuple[Tensor]], None]:
    def keep(_layer: nn.Module, inputs: tuple[Tensor]) -> None:
        seen[name] = inputs[0].detach().clone()  # a later layer may write into it in place

    return keep
