"""Multiply-accumulates of a network's forward pass, counted on the network itself."""

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from qkd.imports import FACTORIES, resolve
from qkd.models.modes import as_tried
from qkd.spec import Network

# By this name: the products that no layer computes, of two activations or with a parameter.
BETWEEN = ""


def count(network: Network, shape: tuple[int, int, int]) -> int:
    """Multiply-accumulates of the network for one image (C, H, W)."""
    module: nn.Module = resolve(network.factory, FACTORIES)(**network.arguments)
    return sum(layer_macs(module, shape).values())


def layer_macs(module: nn.Module, shape: tuple[int, int, int]) -> dict[str, int]:
    """Multiply-accumulates for one image (C, H, W) of each convolution and linear layer by name.

    What is multiplied beside them (attention, recurrent cells, matrix products) is counted by
    torch and stands under `BETWEEN`, where there is any. A layer that is called twice counts
    twice. The module is left as it was.
    """
    found: dict[str, int] = {}
    hooks = [
        layer.register_forward_hook(_adding(found, name))
        for name, layer in module.named_modules()
        if isinstance(layer, (nn.Conv2d, nn.Linear))
    ]
    device = next((parameter.device for parameter in module.parameters()), None)
    counter = FlopCounterMode(display=False, custom_mapping=_BESIDE)
    try:
        with as_tried(module, training=False), torch.no_grad(), _as_plain_products(), counter:
            module(torch.zeros(1, *shape, device=device))
    finally:
        for hook in hooks:
            hook.remove()
    between = counter.get_total_flops() // 2 - sum(found.values())
    return {**found, BETWEEN: between} if between > 0 else found


def _adding(found: dict[str, int], name: str) -> Callable[..., None]:
    def add(layer: Any, _inputs: tuple[Tensor, ...], output: Tensor) -> None:
        # Each output element takes one product for each weight of its output channel.
        macs = output.numel() * layer.weight[0].numel()
        found[name] = found.get(name, 0) + macs

    return add


@contextmanager
def _as_plain_products() -> Iterator[None]:
    """Within it torch computes attention and recurrent cells by products that its counter sees."""
    mha = torch.backends.mha
    is_fast = mha.get_fastpath_enabled()
    mha.set_fastpath_enabled(False)
    try:
        with warnings.catch_warnings(), sdpa_kernel(SDPBackend.MATH):
            # Said of Intel's GPUs, which nobody has asked for.
            warnings.filterwarnings("ignore", "TF32 acceleration on top of oneDNN")
            with (
                torch.backends.mkldnn.flags(enabled=False),
                torch.backends.cudnn.flags(enabled=False),
            ):
                yield
    finally:
        mha.set_fastpath_enabled(is_fast)


def _of_vector(one: torch.Size, *_: Any, **__: Any) -> int:
    """A matrix or a vector times a vector: each element of the first takes one product."""
    return 2 * one.numel()


def _of_bilinear(one: torch.Size, weight: torch.Size, *_: Any, **__: Any) -> int:
    """A bilinear layer: each image takes one product for each weight."""
    return 2 * one[0] * weight.numel()


# What torch's counter leaves out. It counts a multiplication and its sum as two.
_BESIDE = {
    torch.ops.aten.mv: _of_vector,
    torch.ops.aten.dot: _of_vector,
    torch.ops.aten._trilinear: _of_bilinear,
}
