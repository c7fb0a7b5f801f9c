"""Batches of photos: which images and which crops is a function of (seed, step), as of packed
images; the pixels come from files."""

from collections.abc import Iterator
from itertools import count

import numpy as np
import torch
from torch import Tensor

from qkd.data.batching import ALL, Normalise, chosen, generator_of
from qkd.data.images import DataError
from qkd.data.photos.crops import DRAWS
from qkd.data.photos.decoding import Decoded, Pool, Request, Stream, pool_of, require_readable
from qkd.data.photos.files import Files
from qkd.spec import Data

EVALUATED = 100  # at most, in a batch: a few of them are decoded ahead


class PhotoBatches:
    """The batches that a seed trains on, each a function of its step alone.

    What follows the last step that was asked for is decoded ahead; asking for another one begins
    there. As random draws are the image's own, a share of a batch is that part of the whole batch.
    """

    def __init__(
        self, data: Data, kept: Files, seed: int, batch: int, device: torch.device
    ) -> None:
        """Take the files that are trained on, in canonical order, ``batch`` images a step."""
        self._data, self._files, self._seed = data, kept, seed
        self._batch, self._device = batch, device
        self.steps_per_epoch = data.epoch_steps(batch)
        self.shape = kept.shape
        self._normalise = Normalise(data, device)
        self._stream: Stream | None = None
        self._next: tuple[int, slice] | None = None

    def batch(self, step: int, share: slice = ALL) -> tuple[Tensor, Tensor]:
        """Step ``step``'s images, float32 (B, 3, S, S) and normalised, and labels, int64 (B).

        ``share`` picks places of the batch: only those are decoded. Files that are left out make
        the batch smaller. Raises ValueError if ``step`` is negative, DataError that names a file,
        or where no file of the batch can be decoded.
        """
        if step < 0:
            raise ValueError(f"step {step} is negative: steps count from 0")
        if self._stream is None or not self._stream.is_open or self._next != (step, share):
            ahead = (self._request(later, share) for later in count(step))
            self._stream = _pool(self._files, self._device).decode(ahead)
        decoded = next(self._stream)
        self._next = step + 1, share
        _note(decoded, self._files)
        if decoded.unreadable:
            self._files.left_out.of_step[step] = len(decoded.unreadable)
        if not len(decoded.pixels):
            first = next(iter(decoded.unreadable), "it has none")
            raise DataError(f"no file of step {step} can be decoded: {first}")
        return _on(self._device, decoded, self._normalise)

    def _request(self, step: int, share: slice) -> Request:
        generator = generator_of(self._seed, "augment", step)
        draws = torch.rand((self._batch, DRAWS), dtype=torch.float64, generator=generator).numpy()
        if not self._data.flip:
            draws[:, -1] = 1.0
        order = chosen(self._seed, step, len(self._files.labels), self._batch)[share].numpy()
        return Request(self._files.paths(order), self._files.labels[order], draws[share])


def photos_to_evaluate(
    files: Files, data: Data, device: torch.device, batch: int
) -> Iterator[tuple[Tensor, Tensor]]:
    """Every image once and in order, its middle: float32 (B, 3, S, S) and labels int64 (B).

    Raises DataError that names a file.
    """
    normalise = Normalise(data, device)
    indices = np.arange(len(files.labels))
    parts = [indices[i : i + batch] for i in range(0, len(indices), batch)]
    requests = (Request(files.paths(part), files.labels[part]) for part in parts)
    for decoded in _pool(files, device).decode(requests):
        _note(decoded, files)
        if len(decoded.pixels):
            yield _on(device, decoded, normalise)


def _on(device: torch.device, decoded: Decoded, normalise: Normalise) -> tuple[Tensor, Tensor]:
    """Pixels, which travel as uint8, and labels on the device."""
    pixels = decoded.pixels.to(device, non_blocking=True)
    return normalise(pixels), decoded.labels.to(device, non_blocking=True)


def _pool(files: Files, device: torch.device) -> Pool:
    return pool_of(files.photos, files.loaders, device.type == "cuda")


def _note(decoded: Decoded, files: Files) -> None:
    require_readable(decoded, files.photos)
    for path, reason in decoded.unreadable.items():
        files.left_out.files[path.removeprefix(f"{files.root}/")] = reason
