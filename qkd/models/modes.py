"""A network in evaluation or in training for a while."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from qkd.models.draws import tried


@contextmanager
def as_tried(network: nn.Module, training: bool) -> Iterator[None]:
    """Within it the network is in that mode and learns nothing: its buffers, the mode of each
    module and what is drawn are afterwards as before. Tensors on a meta device have no values.
    """
    modes = {module: module.training for module in network.modules()}
    buffers: dict[Tensor, Tensor] = {}
    if training:
        buffers = {one: one.detach().clone() for one in network.buffers() if not one.is_meta}
    network.train(training)
    try:
        with tried():
            yield
    finally:
        for module, mode in modes.items():
            module.training = mode
        with torch.no_grad():
            for buffer, kept in buffers.items():
                buffer.copy_(kept)
