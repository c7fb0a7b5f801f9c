"""The layers of CIFAR's networks, as a plan counts them (torch-free)."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple


class Layer(NamedTuple):
    """A convolution followed by a batch norm, or (``normed`` is False) a linear layer with biases.

    ``side`` is that of its output in pixels, ``weights`` how many numbers it multiplies by for each
    of them, ``outputs`` its channels.
    """

    side: int
    weights: int
    outputs: int
    normed: bool = True

    @property
    def macs(self) -> int:
        """Its multiply-accumulates for one image."""
        return self.side**2 * self.weights

    @property
    def parameters(self) -> int:
        """Its weights, and scale and shift of the batch norm or the biases."""
        return self.weights + self.outputs * (2 if self.normed else 1)

    @property
    def statistics(self) -> int:
        """The running means and variances of its batch norm."""
        return 2 * self.outputs if self.normed else 0


def macs_of(layers: Iterable[Layer]) -> int:
    """Multiply-accumulates of a network's layers for one image."""
    return sum(layer.macs for layer in layers)


def resnet_layers(
    depth: int, width: int, channels: int, classes: int, size: int = 32
) -> Iterator[Layer]:
    """The layers of a ResNet for ``size`` x ``size`` images; its shortcuts have no parameters."""
    blocks = (depth - 2) // 6
    yield Layer(size, 9 * channels * width, width)
    before = width
    for group in range(3):
        after, side = width * 2**group, -(-size // 2**group)
        yield Layer(side, 9 * before * after, after)
        yield from [Layer(side, 9 * after * after, after)] * (2 * blocks - 1)
        before = after
    yield Layer(1, before * classes, classes, normed=False)


# Of each group: expansion, channels at width 1, blocks, stride of the first.
_MOBILENET_GROUPS = (
    (1, 16, 1, 1),
    (6, 24, 2, 1),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)


def mobilenet_layers(width: float, channels: int, classes: int, size: int = 32) -> Iterator[Layer]:
    """The layers of a MobileNetV2 for ``size`` x ``size`` images."""
    before, side, last = _rounded(32 * width), size, _rounded(1280 * max(1.0, width))
    yield Layer(side, 9 * channels * before, before)
    for expansion, output, blocks, first_stride in _MOBILENET_GROUPS:
        after = _rounded(output * width)
        for stride in (first_stride, *[1] * (blocks - 1)):
            hidden = expansion * before
            if expansion > 1:
                yield Layer(side, before * hidden, hidden)
            side = -(-side // stride)
            yield Layer(side, 9 * hidden, hidden)
            yield Layer(side, hidden * after, after)
            before = after
    yield Layer(side, before * last, last)
    yield Layer(1, last * classes, classes, normed=False)


def _rounded(channels: float) -> int:
    """The nearest multiple of 8, or the next above where that loses more than a tenth."""
    near = max(8, int(channels + 4) // 8 * 8)
    return near + 8 if near < 0.9 * channels else near
