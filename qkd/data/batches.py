"""Batches as pure functions of (seed, step): of packed images, augmented as whole tensors on the
device, or of photos (qkd.data.photos.batches).
"""

from collections.abc import Iterator
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from qkd.data.batching import ALL, Normalise, chosen, generator_of
from qkd.data.images import DataError, Images
from qkd.data.photos.files import Files, Part
from qkd.spec import Data

HELD_OUT_SEED = 0


class Batches(Protocol):
    """What a seed trains on."""

    steps_per_epoch: int
    shape: tuple[int, int, int]  # of an image: channels, height, width

    def batch(self, step: int, share: slice = ALL) -> tuple[Tensor, Tensor]:
        """Step ``step``'s images, float32 (B, C, H, W) and normalised, and labels, int64 (B).

        ``share`` picks places of the batch, as a slice: the images there are those of the whole
        batch. Ask for one share a step; what is less than that can be cut from it.
        """


def training_batches(
    data: Data, train: Part, seed: int, batch: int, device: torch.device
) -> Batches:
    """The batches of ``train``, in canonical order and with the held-out images, for a seed.

    Raises as `TrainingBatches` does.
    """
    if isinstance(train, Images):
        return TrainingBatches(data, train, seed, batch, device)
    from qkd.data.photos.batches import PhotoBatches  # torchvision, which packed images do not need

    _require_whole(data, train)
    _require_a_batch(data, batch)
    return PhotoBatches(data, train.part(trained_indices(data)), seed, batch, device)


def held_out_indices(data: Data) -> NDArray[np.int64]:
    """Which images of the canonical training order are held out: int64 (held_out), ascending.

    The same for every seed, bit width and method, so that all are compared on the same images: the
    beginning of one fixed permutation. More held out therefore includes fewer held out.
    """
    generator = np.random.Generator(np.random.PCG64(HELD_OUT_SEED))
    order: NDArray[np.int64] = generator.permutation(data.train_images)
    return np.sort(order[: data.held_out])


def trained_indices(data: Data) -> NDArray[np.int64]:
    """Which images of the canonical training order are trained on: int64, ascending."""
    return np.delete(np.arange(data.train_images), held_out_indices(data))


def held_out(data: Data, train: Part) -> Part:
    """The training images that are never trained on, in canonical order.

    Raises DataError if ``train`` does not hold ``data.train_images`` images.
    """
    _require_whole(data, train)
    return train.part(held_out_indices(data))


class TrainingBatches:
    """The batches that a seed trains on, each a function of its step alone.

    The images that are not held out lie on the device once, as uint8, with a black border of
    ``data.pad`` pixels. Order, crops and flips are drawn on the CPU from streams of their own, so
    that every device gets the same images.
    """

    def __init__(
        self, data: Data, train: Images, seed: int, batch: int, device: torch.device
    ) -> None:
        """Take ``train`` in canonical order, ``batch`` images a step.

        Raises DataError if ``train`` does not hold ``data.train_images`` images, ValueError if they
        are fewer than a batch.
        """
        _require_whole(data, train)
        _require_a_batch(data, batch)
        self.steps_per_epoch = data.epoch_steps(batch)
        self._data, self._seed, self._batch, self._device = data, seed, batch, device
        self.shape = train.shape
        height, width = train.images.shape[2:]
        kept = trained_indices(data)
        images = torch.from_numpy(train.images[kept]).to(device)
        padded = functional.pad(images, (data.pad,) * 4)
        # A view (N, C, 2 pad + 1, 2 pad + 1, H, W): every crop of every image, without a copy.
        self._crops = padded.unfold(2, height, 1).unfold(3, width, 1)
        self._labels = torch.from_numpy(train.labels[kept]).to(device)
        self._normalise = Normalise(data, device)

    def batch(self, step: int, share: slice = ALL) -> tuple[Tensor, Tensor]:
        """Step ``step``'s images, float32 (B, C, H, W) and normalised, and labels, int64 (B).

        ``share`` picks places of the batch: what is there does not depend on it. Every image that
        is trained on comes once in an epoch of ``steps_per_epoch`` steps, save those of the last
        incomplete batch. Raises ValueError if ``step`` is negative.
        """
        if step < 0:
            raise ValueError(f"step {step} is negative: steps count from 0")
        order = chosen(self._seed, step, len(self._labels), self._batch)
        # One transfer for all draws: on a GPU four small ones would cost four waits.
        draws = torch.stack([order, *self._augmentation(step)])[:, share].to(self._device)
        index, top, left, flip = draws.unbind()
        images = self._crops[index, :, top, left]
        if self._data.flip:
            images = torch.where(flip.bool()[:, None, None, None], images.flip(-1), images)
        return self._normalise(images), self._labels[index]

    def _augmentation(self, step: int) -> tuple[Tensor, Tensor, Tensor]:
        """Row and column at which each crop begins, and 1 where it is mirrored: int64 (B) each."""
        generator = generator_of(self._seed, "augment", step)
        places = 2 * self._data.pad + 1
        top, left = torch.randint(places, (2, self._batch), generator=generator)
        return top, left, torch.randint(2, (self._batch,), generator=generator)


def evaluation_batches(
    images: Part, data: Data, device: torch.device, batch: int = 500
) -> Iterator[tuple[Tensor, Tensor]]:
    """Every image once and in order, not augmented: float32 (B, C, H, W) and labels int64 (B).

    The last batch may be smaller; of photos none is larger than 100.
    """
    if isinstance(images, Files):
        from qkd.data.photos.batches import EVALUATED, photos_to_evaluate

        yield from photos_to_evaluate(images, data, device, min(batch, EVALUATED))
        return
    normalise = Normalise(data, device)
    for begin in range(0, len(images.labels), batch):
        part = slice(begin, begin + batch)
        # Copied: torch wants memory that can be written, and a cache is mapped read-only.
        pixels = torch.from_numpy(np.array(images.images[part])).to(device)
        yield normalise(pixels), torch.from_numpy(np.array(images.labels[part])).to(device)


def _require_a_batch(data: Data, batch: int) -> None:
    if data.epoch_steps(batch) < 1:
        raise ValueError(
            f"a batch of {batch} is more than the {data.train_images - data.held_out} images "
            f"of {data.name} that are trained on: lower it"
        )


def _require_whole(data: Data, train: Part) -> None:
    if len(train.labels) != data.train_images:
        raise DataError(
            f"{len(train.labels)} training images given for {data.name}, which has "
            f"{data.train_images}: pass them all, the held-out ones too"
        )
