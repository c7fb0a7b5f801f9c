"""What each quantized layer gets to see when no quantizer is at work: for calibration."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from qkd.models.modes import as_tried
from qkd.quantizers.layers import QuantizedConv2d, QuantizedLinear

Layers = dict[str, QuantizedConv2d | QuantizedLinear]


def layer_inputs(network: nn.Module, layers: Layers, images: Tensor) -> dict[str, Tensor]:
    """The input of each of the layers, the network being in eval mode and left as it was.

    Of a layer that is called several times the inputs of all its calls follow each other, as one
    row of numbers; those of training's calls too, where training calls it more often.
    """
    seen: dict[str, list[Tensor]] = {name: [] for name in layers}
    with _in_float(layers):
        with as_tried(network, training=False), _kept(layers, seen):
            network(images)
        more = {name: one for name, one in layers.items() if one.calibrates_in_training}
        if more:
            with as_tried(network, training=True), _kept(more, seen):
                network(images)
    return {name: _together(every) for name, every in seen.items()}


def _together(inputs: list[Tensor]) -> Tensor:
    return inputs[0] if len(inputs) == 1 else torch.cat([one.flatten() for one in inputs])


@contextmanager
def _in_float(layers: Layers) -> Iterator[None]:
    """Within it the layers' quantizers return their input."""
    quantizers = [
        quantizer
        for layer in layers.values()
        for quantizer in (layer.weight_quantizer, layer.input_quantizer)
    ]
    hooks = [
        one.register_forward_hook(lambda _module, inputs, _output: inputs[0]) for one in quantizers
    ]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


@contextmanager
def _kept(layers: Layers, seen: dict[str, list[Tensor]]) -> Iterator[None]:
    hooks = [
        layer.register_forward_pre_hook(_keep_input(seen[name])) for name, layer in layers.items()
    ]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def _keep_input(seen: list[Tensor]) -> Callable[[nn.Module, tuple[Tensor]], None]:
    def keep(_layer: nn.Module, inputs: tuple[Tensor]) -> None:
        seen.append(inputs[0].detach().clone())  # a later layer may write into it in place

    return keep
