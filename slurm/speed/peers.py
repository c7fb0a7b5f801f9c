"""Other libraries' quantization-aware training, to be measured beside ours."""

from collections.abc import Callable
from typing import NamedTuple

from torch import Tensor, nn


class Peer(NamedTuple):
    """A library: ``prepare`` quantizes a float network for a batch of images."""

    name: str
    prepare: Callable[[nn.Module, Tensor], nn.Module]


def peers() -> tuple[list[Peer], dict[str, str]]:
    """Those that are installed, and for each missing one a word why it is skipped."""
    return [], {}
