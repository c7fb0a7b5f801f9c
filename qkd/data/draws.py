"""What is drawn at random for batches, of packed images or photos: functions of seed and step."""

from functools import lru_cache

import torch
from torch import Tensor

from qkd.data.streams import seed_of


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
