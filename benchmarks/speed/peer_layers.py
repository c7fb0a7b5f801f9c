"""Layers of a float network whose weights and inputs pass through quantizers of any library."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from qkd.quantizers.signs import non_negative_nodes
from qkd.quantizers.tracing import layers_in_order, trace

BITS = 4


class Layer(NamedTuple):
    """A layer to quantize. ``signed``: whether its input may be negative; None: it stays exact."""

    name: str
    module: nn.Module
    signed: bool | None


def layers_of(network: nn.Module) -> list[Layer]:
    """The layers in the order in which they are called."""
    graph = trace(network)
    non_negative = non_negative_nodes(graph)
    layers: list[Layer] = []
    for name, node in layers_in_order(graph, (nn.Conv2d, nn.Linear)):
        signed = node.all_input_nodes[0] not in non_negative if layers else None
        layers.append(Layer(name, network.get_submodule(name), signed))
    return layers


class _Convolution(nn.Conv2d):
    input_quantizer: nn.Module
    weight_quantizer: nn.Module

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 (torch's own name)
        weight = self.weight_quantizer(self.weight)
        output: Tensor = self._conv_forward(self.input_quantizer(input), weight, self.bias)
        return output


class _Linear(nn.Linear):
    input_quantizer: nn.Module
    weight_quantizer: nn.Module

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 (torch's own name)
        weight = self.weight_quantizer(self.weight)
        return functional.linear(self.input_quantizer(input), weight, self.bias)


def with_quantizers(
    make: Callable[[bool], nn.Module], begin: Callable[[nn.Module, Tensor], object]
) -> Callable[[nn.Module, Tensor], nn.Module]:
    """What quantizes each tensor by a module of its own, and nothing around it.

    Args:
        make: the quantizer of a tensor, which may be negative or not.
        begin: sets a quantizer's scale for a tensor such as it will quantize.
    """

    def prepare(network: nn.Module, images: Tensor) -> nn.Module:
        quantizers: list[nn.Module] = []
        for _, layer, signed in layers_of(network):
            layer.__class__ = _Convolution if isinstance(layer, nn.Conv2d) else _Linear
            layer.weight_quantizer = make(True)
            layer.input_quantizer = nn.Identity() if signed is None else make(signed)
            quantizers += [layer.weight_quantizer]
            quantizers += [] if signed is None else [layer.input_quantizer]
        network.to(images.device)
        hooks = [quantizer.register_forward_pre_hook(_calling(begin)) for quantizer in quantizers]
        with torch.no_grad():
            network.train()(images)
        for hook in hooks:
            hook.remove()
        return network

    return prepare


def _calling(
    begin: Callable[[nn.Module, Tensor], object],
) -> Callable[[nn.Module, tuple[Tensor, ...]], None]:
    def hook(quantizer: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        begin(quantizer, inputs[0])

    return hook
