"""Multiply-accumulates of a network's forward pass, counted on the network itself."""

from typing import Any

import torch
from torch import Tensor, nn

from qkd.imports import FACTORIES, resolve
from qkd.spec import Network


def count(network: Network, shape: tuple[int, int, int]) -> int:
    """Multiply-accumulates of the convolutions and linear layers for one image (C, H, W)."""
    module: nn.Module = resolve(network.factory, FACTORIES)(**network.arguments)
    total = 0

    def add(layer: Any, _inputs: tuple[Tensor, ...], output: Tensor) -> None:
        nonlocal total
        # Each output element takes one product for each weight of its output channel.
        total += output[0].numel() * layer.weight[0].numel()

    for layer in module.modules():
        if isinstance(layer, (nn.Conv2d, nn.Linear)):
            layer.register_forward_hook(add)
    with torch.no_grad():
        module.eval()(torch.zeros(1, *shape))
    return total
