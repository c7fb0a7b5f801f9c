"""How many numbers one of our networks holds, by its factory and arguments (torch-free).

A plan computes the disk for checkpoints from them. A test counts them again on the networks.
"""

from collections.abc import Callable, Iterable
from functools import partial
from typing import NamedTuple

from benchmarks.imagenet_networks import CLASSES, NUMBERS
from benchmarks.layers import Layer, mobilenet_layers, resnet_layers
from qkd.spec import Network


class Size(NamedTuple):
    """Numbers that are learned in full precision, and batch norms' running statistics."""

    parameters: int
    statistics: int


def size_of(network: Network) -> Size | None:
    """The size of one of our networks; None for a user's network or unknown arguments."""
    counted = _COUNTED.get(network.factory)
    try:
        return counted(**network.arguments) if counted else None
    except TypeError:
        return None


def _imagenet(name: str, classes: int = CLASSES) -> Size:
    """Torchvision's network, its last layer being one of so many classes."""
    parameters, statistics, features = NUMBERS[name]
    return Size(parameters - (CLASSES - classes) * (features + 1), statistics)


def _sum(layers: Callable[..., Iterable[Layer]], **arguments: int) -> Size:
    found = list(layers(**arguments))
    return Size(sum(one.parameters for one in found), sum(one.statistics for one in found))


_COUNTED: dict[str, Callable[..., Size]] = {
    "qkd.models.resnet_cifar:resnet": partial(_sum, resnet_layers),
    "qkd.models.mobilenet_cifar:mobilenet_v2": partial(_sum, mobilenet_layers),
    **{f"qkd.models.imagenet:{name}": partial(_imagenet, name) for name in NUMBERS},
}
