"""Photos decoded and cut, here or by processes of their own that work ahead."""

import multiprocessing
import signal
import warnings
from collections.abc import Iterable, Iterator
from multiprocessing.process import BaseProcess
from multiprocessing.util import Finalize
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler
from torchvision.io import ImageReadMode, decode_image

from qkd.data.images import DataError
from qkd.data.photos.crops import evaluation_crop, training_crop
from qkd.data.photos.within import Address, content, shown
from qkd.spec import Photos

IGNORED = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2)


class Request(NamedTuple):
    """The files of a batch and their labels, int64 (B); ``draws`` float64 (B, DRAWS) place random
    crops (none: evaluation)."""

    paths: list[Address]
    labels: NDArray[np.int64]
    draws: NDArray[np.float64] | None = None


class Decoded(NamedTuple):
    """A batch: ``pixels`` uint8 (R, 3, S, S), channels last, and ``labels`` int64 (R) of those R
    files that could be decoded; ``unreadable`` gives the reason for each of the others by its path.
    """

    pixels: Tensor
    labels: Tensor
    unreadable: dict[str, str]


class NoImage(ValueError):
    """A file whose bytes are no image that can be decoded."""


def decode(path: Address) -> Tensor:
    """The image of a file, or of a place within one, uint8 (3, H, W): grey ones and CMYK in RGB,
    not turned by their EXIF, as torchvision's ImageFolder reads them.

    Raises NoImage, and OSError where the file cannot be read.
    """
    read = bytearray(content(path))
    if not read:
        raise NoImage("the file is empty")
    try:
        with warnings.catch_warnings():
            # Its successor, torchcodec, turns photos by their EXIF; PIL takes a fifth longer.
            warnings.filterwarnings("ignore", "The image decoding", DeprecationWarning)
            encoded = torch.frombuffer(read, dtype=torch.uint8)
            image: Tensor = decode_image(encoded, ImageReadMode.RGB)
    except RuntimeError as error:
        raise NoImage(str(error).partition("\n")[0]) from error
    if image.dtype != torch.uint8 or image.ndim != 3:
        raise NoImage(f"it holds {image.dtype} of shape {tuple(image.shape)}, not 8-bit RGB")
    return image


class Decoder(Dataset[Decoded]):
    """A batch for each request: all that a decoding process holds is how photos are cut."""

    def __init__(self, photos: Photos) -> None:
        self._photos = photos

    def __getitem__(self, request: Request) -> Decoded:
        size, count = self._photos.size, len(request.paths)
        pixels = torch.empty((count, size, size, 3), dtype=torch.uint8).permute(0, 3, 1, 2)
        unreadable: dict[str, str] = {}
        kept: list[int] = []
        for number, path in enumerate(request.paths):
            try:
                image = decode(path)
            except NoImage as error:
                unreadable[shown(path)] = str(error)
                continue
            if request.draws is None:
                cut = evaluation_crop(image, self._photos)
            else:
                cut = training_crop(image, request.draws[number], self._photos)
            pixels[len(kept)] = cut
            kept.append(number)
        return Decoded(pixels[: len(kept)], torch.from_numpy(request.labels[kept]), unreadable)


class _Requests(Sampler[Request]):
    """What is to be decoded next."""

    def __init__(self) -> None:
        self.ahead: Iterable[Request] = ()

    def __iter__(self) -> Iterator[Request]:
        return iter(self.ahead)


class Pool:
    """The decoding processes. They take seconds to start, so that training and evaluation, which
    take turns, have the same ones.

    A server that has imported torch forks them: none imports it anew, and none is a copy of a
    process that trains.
    """

    def __init__(self, photos: Photos, loaders: int, pinned: bool) -> None:
        if loaders:
            multiprocessing.get_context("forkserver").set_forkserver_preload([__name__])
        self._requests = _Requests()
        self.streams = 0  # that were begun: the last is open
        self.loader = DataLoader(
            Decoder(photos),
            batch_size=None,
            sampler=self._requests,
            num_workers=loaders,
            persistent_workers=loaders > 0,
            multiprocessing_context="forkserver" if loaders else None,
            worker_init_fn=_begin,
            pin_memory=pinned,
            generator=torch.Generator(),  # its own: the network's draws stay as they are
        )
        # They are deaf to the signal that would end them where this object or process ends.
        self._processes: list[BaseProcess] = []
        self._kill = Finalize(self, _kill, (self._processes,), exitpriority=1)

    def decode(self, requests: Iterable[Request]) -> "Stream":
        """A batch for each request, in order. The stream before it ends."""
        self._requests.ahead = requests
        self.streams += 1
        stream = Stream(self)
        self._processes[:] = getattr(self.loader._iterator, "_workers", ())
        return stream

    def end(self) -> None:
        """Ends the processes and the stream."""
        self.streams += 1
        shut_down = getattr(self.loader._iterator, "_shutdown_workers", None)
        if shut_down is not None:  # else it has not begun, or decodes in this process
            shut_down()
        self._kill()


class Stream(Iterator[Decoded]):
    """Batches in the order of their requests, as long as no other stream has begun."""

    def __init__(self, pool: Pool) -> None:
        self._pool, self._number = pool, pool.streams
        self._batches = iter(pool.loader)

    @property
    def is_open(self) -> bool:
        """Whether the decoding processes still work for this stream."""
        return self._pool.streams == self._number

    def __next__(self) -> Decoded:
        if not self.is_open:
            raise RuntimeError("another stream of photos has begun: begin this one anew")
        try:
            batch: Decoded = next(self._batches)
        except RuntimeError as error:
            if "DataLoader worker" not in str(error):
                raise
            end_pool()  # the others are of no use without it
            raise RuntimeError(
                f"a process that decodes images died ({error}): out of memory, or of shared "
                "memory? Lower LOADERS, then make retry"
            ) from error
        return batch


def _kill(processes: list[BaseProcess]) -> None:
    """Kills them, who have nothing to lose, before Python waits for them."""
    for process in processes:
        if process.is_alive():
            process.kill()


def _begin(_number: int) -> None:
    """What a terminal or a cluster signals to all processes is for the training process, which
    still needs its batch to save and stop; where it is gone, torch ends its loaders.
    """
    for number in IGNORED:
        signal.signal(number, signal.SIG_IGN)


_pools: dict[tuple[Photos, int, bool], Pool] = {}  # at most one


def pool_of(photos: Photos, loaders: int, pinned: bool) -> Pool:
    """The pool of this process; asking for another one ends it."""
    asked = photos, loaders, pinned
    if asked not in _pools:
        end_pool()
        _pools[asked] = Pool(*asked)
    return _pools[asked]


def end_pool() -> None:
    """Ends the pool of this process where there is one."""
    while _pools:
        _, pool = _pools.popitem()
        pool.end()


def require_readable(decoded: Decoded, photos: Photos) -> None:
    """Raises DataError, naming a file, where one could not be decoded and that is an error."""
    if photos.unreadable == "fail":
        for path, reason in decoded.unreadable.items():
            raise DataError(
                f"{path} cannot be decoded ({reason}): mend it, or have such files left out "
                'and counted: Photos(unreadable="skip")'
            )
