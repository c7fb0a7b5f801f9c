"""Multiply-accumulates of a network's forward pass, counted on the network itself."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from qkd.imports import FACTORIES, resolve
from qkd.spec import Network


def count(network: Network, shape: tuple[int, int, int]) -> int:
    """Multiply-accumulates of the convolutions and linear layers for one image (C, H, W)."""
    module: nn.Module = resolve(network.factory, FACTORIES)(**network.arguments)
    return sum(layer_macs(module, shape).values())


def layer_macs(module: nn.Module, shape: tuple[int, int, int]) -> dict[str, int]:
    """Multiply-accumulates for one image (C, H, W) of each convolution and linear layer by name.

    A layer that is called twice counts twice. The module is left as it was.
    """
    found: dict[str, int] = {}
    hooks = [
        layer.register_forward_hook(_adding(found, name))
        for name, layer in module.named_modules()
        if isinstance(layer, (nn.Conv2d, nn.Linear))
    ]
    was_training = module.training
    device = next((parameter.device for parameter in module.parameters()), None)
    try:
        with torch.no_grad():
            module.eval()(torch.zeros(1, *shape, device=device))
    finally:
        module.train(was_training)
        for hook in hooks:
            hook.remove()
    return found


def _adding(found: dict[str, int], name: str) -> Callable[..., None]:
    def add(layer: Any, _inputs: tuple[Tensor, ...], output: Tensor) -> None:
        # Each output element takes one product for each weight of its output channel.
        macs = output.numel() * layer.weight[0].numel()
        found[name] = found.get(name, 0) + macs

    return add
