"""A data set of one's own: a tree of images, ``{train,test}/<class>/*.png|jpg`` (torch-free)."""

import multiprocessing
import os
import signal
import sys
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from qkd.data.images import DataError, Images, Split

SUFFIXES = (".png", ".jpg", ".jpeg")
CHANNELS = {"L": 1, "RGB": 3}
CHUNK = 1000  # images that a process decodes at a time
TOLD = 10_000  # images between two lines of progress

LAYOUT = "a tree of images is {train,test}/<class>/*.png or *.jpg"


class _Kind(NamedTuple):
    """What every image of a tree must be, and the file that sets it."""

    shape: tuple[int, int, int]
    file: Path


def read(folder: Path) -> Split:
    """The images of ``folder/train`` and ``folder/test``: the data folder itself is the tree.

    As `read_tree`; a reader of your own may look elsewhere.
    """
    return read_tree(folder)


def read_tree(root: Path) -> Split:
    """The images of ``root/{train,test}/<class>/*.png|jpg``, uint8 (N, C, H, W).

    Labels count the class folders in the order of their names. Images are all grey (C = 1) or all
    coloured (C = 3) and of one size. What begins with a dot is passed over. A file of another
    suffix, one that cannot be read or is not like the others, and a class that only one part has
    or that is empty raise DataError, which names it.
    """
    classes = class_names(root)
    listed = [_listed(root / part, classes) for part in Split._fields]
    first = listed[0][0][0]
    kind = _Kind(_pixels(first).shape, first)
    parts = []
    for part, (files, labels) in zip(Split._fields, listed, strict=True):
        pixels = _decoded(files, kind, f"{root / part}")
        parts.append(Images(np.moveaxis(pixels, 3, 1), np.array(labels, np.int64)))
    return Split(*parts)


def class_names(root: Path) -> list[str]:
    """The names of the class folders, sorted; the same in both parts, else DataError."""
    names = {part: _folders(root / part) for part in Split._fields}
    for part, other in (("train", "test"), ("test", "train")):
        lacking = sorted(names[part] - names[other])
        if lacking:
            raise DataError(
                f"class {lacking[0]!r} is in {root / part}, but not in {root / other} ({LAYOUT}): "
                "add its folder, or remove the other"
            )
    return sorted(names["train"])


def _folders(part: Path) -> set[str]:
    if not part.is_dir():
        raise DataError(f"there is no folder {part}: {LAYOUT}")
    found = {entry.name for entry in part.iterdir() if entry.is_dir() and entry.name[0] != "."}
    if not found:
        raise DataError(f"{part} has no class folders: {LAYOUT}")
    return found


def _listed(part: Path, classes: list[str]) -> tuple[list[Path], list[int]]:
    """The files of a part, by class and name, and the label of each."""
    files: list[Path] = []
    labels: list[int] = []
    for label, name in enumerate(classes):
        found = sorted(path for path in (part / name).iterdir() if path.name[0] != ".")
        other = [path for path in found if path.suffix.lower() not in SUFFIXES]
        if other:
            raise DataError(f"{other[0]} is neither a .png nor a .jpg file: convert or remove it")
        if not found:
            raise DataError(f"class {name!r} has no images in {part}: add some, or remove it")
        files += found
        labels += [label] * len(found)
    return files, labels


def _decoded(files: list[Path], kind: _Kind, where: str) -> NDArray[np.uint8]:
    """The pixels of the files, uint8 (N, H, W, C), decoded on every core."""
    pixels = np.empty((len(files), *kind.shape), np.uint8)
    done = 0
    for part in _in_parallel([files[i : i + CHUNK] for i in range(0, len(files), CHUNK)], kind):
        pixels[done : done + len(part)] = part
        done += len(part)
        if done % TOLD < CHUNK and len(files) >= TOLD:
            print(f"reading {where}: {done:,} of {len(files):,} images", file=sys.stderr)
    return pixels


def _in_parallel(chunks: list[list[Path]], kind: _Kind) -> Iterator[NDArray[np.uint8]]:
    """Each chunk's pixels, in order."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    workers = min(len(chunks), cores or 1)
    kinds = [kind] * len(chunks)
    if workers == 1 or multiprocessing.current_process().daemon:  # which may have no children
        yield from map(_chunk, chunks, kinds)
        return
    # Ctrl-C is the parent's: it reaches every process of the terminal.
    with ProcessPoolExecutor(
        workers,
        mp_context=multiprocessing.get_context("spawn"),
        initializer=signal.signal,
        initargs=(signal.SIGINT, signal.SIG_IGN),
    ) as pool:
        yield from pool.map(_chunk, chunks, kinds)


def _chunk(files: list[Path], kind: _Kind) -> NDArray[np.uint8]:
    return np.stack([_like_the_others(path, kind) for path in files])


def _like_the_others(path: Path, kind: _Kind) -> NDArray[np.uint8]:
    pixels = _pixels(path)
    if pixels.shape != kind.shape:
        raise DataError(
            f"{path} has {_in_words(pixels.shape)}, where {kind.file} has {_in_words(kind.shape)}: "
            "all images must be of one size, and all grey or all coloured"
        )
    return pixels


def _in_words(shape: tuple[int, ...]) -> str:
    height, width, channels = shape
    return f"{width}x{height} pixels in {channels} channel{'s' if channels > 1 else ''}"


def _pixels(path: Path) -> NDArray[np.uint8]:
    """The image of a file, uint8 (H, W, C). Raises DataError, which names it."""
    from PIL import Image  # torchvision's own dependency

    try:
        with Image.open(path) as image:
            mode, pixels = image.mode, np.asarray(image)
    except Exception as error:  # a damaged file raises what its decoder makes of it
        raise DataError(
            f"{path} cannot be read as an image ({error}): mend or remove it"
        ) from error
    if mode not in CHANNELS:
        raise DataError(
            f"{path} is an image of mode {mode}: convert it to 8-bit grey or RGB without alpha"
        )
    return pixels.reshape(*pixels.shape[:2], CHANNELS[mode])
