"""In which memory format a network computes.

Channels last, as convolutions are fastest. A network that views its features by the order of their
memory (``x.view(len(x), -1)``) breaks there: it computes in torch's own format.
"""

import torch
from torch import Tensor, nn

from qkd.models.modes import as_tried

_MARK = "computes_contiguously"
Shape = tuple[int, int, int]


def laid_out(network: nn.Module, images: Tensor) -> Tensor:
    """The images (batch, C, H, W) in the memory format in which the network computes."""
    return images.to(memory_format=format_of(network))


def format_of(network: nn.Module) -> torch.memory_format:
    """The memory format in which the network computes."""
    is_contiguous = getattr(network, _MARK, False)
    return torch.contiguous_format if is_contiguous else torch.channels_last


def lay_out(network: nn.Module, shape: Shape | None = None) -> nn.Module:
    """The network itself, its weights in the memory format in which it is to compute.

    Args:
        network: in either mode, which stays.
        shape: of an image (C, H, W), on which it is tried; None: it is channels last untried.
    """
    _convert(network, torch.channels_last)
    if shape is None or _runs(network, shape):
        return network
    setattr(network, _MARK, True)
    _convert(network, torch.contiguous_format)
    if not _runs(network, shape):  # something else is wrong, and to be said as it is
        delattr(network, _MARK)
        _convert(network, torch.channels_last)
    return network


def lay_out_again(network: nn.Module) -> nn.Module:
    """The network itself, weights that it was given since then in the same memory format."""
    _convert(network, format_of(network))
    return network


def _convert(network: nn.Module, memory_format: torch.memory_format) -> None:
    """As nn.Module.to, which refuses tensors of five dimensions: those stay as they are."""
    network._apply(  # type: ignore[no-untyped-call]
        lambda tensor: tensor.to(memory_format=memory_format) if tensor.ndim == 4 else tensor
    )


def _runs(network: nn.Module, shape: Shape) -> bool:
    device = next((one.device for one in network.parameters()), torch.device("cpu"))
    images = laid_out(network, torch.zeros(2, *shape, device=device))
    try:
        with as_tried(network, training=False), torch.no_grad():
            network(images)
    except RuntimeError:
        return False
    return True
