"""Buffers that hold infinities by design: attention masks."""

from torch import Tensor, nn


def masks(network: nn.Module) -> set[str]:
    """The names of the buffers that hold an infinity: of a network as it was built, those that are
    meant to.
    """
    return {
        name
        for name, buffer in network.named_buffers()
        if not buffer.is_meta and bool(buffer.isinf().any())
    }


def is_sound(tensor: Tensor, is_mask: bool) -> bool:
    """Whether every value is finite; of a mask, whether every value is a number."""
    return not bool(tensor.isnan().any()) if is_mask else bool(tensor.isfinite().all())
