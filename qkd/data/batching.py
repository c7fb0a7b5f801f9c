"""What batches of packed images and of photos share: which images a step has, and pixels as a
network sees them.
"""

from functools import lru_cache

import torch
from torch import Tensor

from qkd.spec import Data
from qkd.spec.history import seed_of

ALL = slice(None)  # a share of a batch that leaves nothing out


def generator_of(seed: int, stream: str, index: int) -> torch.Generator:
    """The source of a stream's draws at ``index``, on the CPU: the same for every device."""
    return torch.Generator().manual_seed(seed_of(seed, stream, index))


def chosen(seed: int, step: int, images: int, batch: int) -> Tensor:
    """Which of so many images a step has, by their places: int64 (batch).

    Each comes once in an epoch of ``images // batch`` steps, save those of the last incomplete
    batch. The step is not negative.
    """
    epoch, position = divmod(step, images // batch)
    begin = position * batch
    return _order(seed, epoch, images)[begin : begin + batch]


@lru_cache(maxsize=2)  # of the epoch that is trained, and of the next, which is decoded ahead
def _order(seed: int, epoch: int, images: int) -> Tensor:
    """The order of an epoch's images. Not to be written to: a step is given a part of it."""
    return torch.randperm(images, generator=generator_of(seed, "order", epoch))


class Normalise:
    """(pixel / 255 - mean) / std per channel, as one product and one sum.

    Two plain operations round alike on every device; torch's division by a number does not.
    """

    def __init__(self, data: Data, device: torch.device) -> None:
        mean = torch.tensor(data.mean, dtype=torch.float64)
        std = torch.tensor(data.std, dtype=torch.float64)
        self._scale = (1 / (255 * std)).float().view(-1, 1, 1).to(device)
        self._shift = (-mean / std).float().view(-1, 1, 1).to(device)

    def __call__(self, pixels: Tensor) -> Tensor:
        """Float32 (N, C, H, W) of uint8 (N, C, H, W), in the same memory format."""
        last = pixels.is_contiguous(memory_format=torch.channels_last)
        if last and not pixels.is_contiguous():
            # By rows of all channels, which a CPU computes as vectors: the same numbers, sooner.
            count, channels, height, width = pixels.shape
            rows = pixels.permute(0, 2, 3, 1).reshape(count, height, width * channels).float()
            scale, shift = self._scale.flatten().repeat(width), self._shift.flatten().repeat(width)
            rows.mul_(scale).add_(shift)
            return rows.view(count, height, width, channels).permute(0, 3, 1, 2)
        return pixels.float().mul_(self._scale).add_(self._shift)
