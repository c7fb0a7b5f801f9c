"""CIFAR-10 and CIFAR-100 (Krizhevsky 2009): 50,000 + 10,000 coloured images of 32x32 pixels.

Read from the official files as torchvision leaves them (and fetches them), or from a tree of
images. The official labels count the class names in alphabetical order, for CIFAR-10 and for
CIFAR-100's fine labels, and so do a tree's: the same images have the same digest either way.
"""

import http.client
import sys
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from qkd.data.images import DataError, Images, Split
from qkd.data.readers.folder import class_names, read_tree


class Kind(NamedTuple):
    """One of the two sets: its name at torchvision, its tree's folder, and its images by class."""

    official: str
    tree: str
    classes: int
    train_of_class: int
    test_of_class: int


CIFAR10 = Kind("CIFAR10", "cifar10", 10, 5000, 1000)
CIFAR100 = Kind("CIFAR100", "cifar100", 100, 500, 100)


def cifar10(folder: Path) -> Split:
    """CIFAR-10, fetched if it is nowhere. Images are uint8 (N, 3, 32, 32).

    Looked for in ``folder/cifar-10-batches-py`` (the official files), then as a tree of images in
    ``folder/cifar10`` and in ``folder`` itself, where that has ten classes. Raises DataError that
    names the file or class that is wrong, or says what was tried.
    """
    return _read(folder, CIFAR10)


def cifar100(folder: Path) -> Split:
    """CIFAR-100 with its fine labels, fetched if it is nowhere. Images are uint8 (N, 3, 32, 32).

    As `cifar10`: in ``folder/cifar-100-python``, ``folder/cifar100``, and ``folder`` itself.
    """
    return _read(folder, CIFAR100)


def _read(folder: Path, kind: Kind) -> Split:
    from torchvision import datasets  # imports torch: only where images are read

    official = getattr(datasets, kind.official)
    place = folder / official.base_folder
    if not place.is_dir():
        tree = _tree(folder, kind)
        if tree is not None:
            split = read_tree(tree)
            _require_whole(split, kind, tree)
            return split
        _fetch(folder, official, kind)
    _require_untouched(place, official)
    train, test = official(folder, train=True), official(folder, train=False)
    return Split(_images(train), _images(test))


def _tree(folder: Path, kind: Kind) -> Path | None:
    """Where a tree of the set's images is, or None."""
    named = folder / kind.tree
    if named.is_dir():
        return named
    if (folder / "train").is_dir() and len(class_names(folder)) == kind.classes:
        return folder
    return None


def _require_whole(split: Split, kind: Kind, tree: Path) -> None:
    """Raises DataError, which names a class, unless each has as many images as the official one."""
    names = class_names(tree)
    if len(names) != kind.classes:
        raise DataError(f"{tree} has {len(names)} classes, not {kind.classes}: is it another set?")
    wanted = (kind.train_of_class, kind.test_of_class)
    for part, images, count in zip(Split._fields, split, wanted, strict=True):
        for label, found in enumerate(np.bincount(images.labels, minlength=kind.classes).tolist()):
            if found != count:
                raise DataError(
                    f"class {names[label]!r} has {found} images in {tree / part}, not {count}: "
                    "unpack the set again"
                )


def _require_untouched(place: Path, official: Any) -> None:
    """Raises DataError, which names the file, unless every official file has its md5."""
    from torchvision.datasets.utils import check_integrity

    meta = [official.meta["filename"], official.meta["md5"]]
    for name, md5 in (*official.train_list, *official.test_list, meta):
        path = place / name
        if not check_integrity(path, md5):
            state = "has another md5 than the official file" if path.is_file() else "is missing"
            raise DataError(f"{path} {state}: remove the folder {place}, and it is fetched anew")


def _images(part: Any) -> Images:
    """What torchvision read: images uint8 (N, 32, 32, 3), and labels."""
    pixels = np.ascontiguousarray(np.moveaxis(part.data, 3, 1))
    return Images(pixels, np.array(part.targets, np.int64))


def _fetch(folder: Path, official: Any, kind: Kind) -> None:
    """Has torchvision fetch the official files into ``folder``, where they appear whole."""
    folder = folder.absolute()
    place = folder / official.base_folder
    print(f"fetching {kind.official} (170 MB) to {place}", file=sys.stderr, flush=True)
    try:
        # Inside the data folder: a rename into place then stays within one file system.
        with tempfile.TemporaryDirectory(dir=folder, prefix=".fetching-") as temporary:
            official(temporary, download=True)
            (Path(temporary) / official.base_folder).rename(place)
    except (OSError, RuntimeError, http.client.HTTPException) as error:
        if place.is_dir():
            return  # another process was quicker
        raise DataError(
            f"{kind.official} is neither in {place} nor, as a tree of images, in "
            f"{folder / kind.tree}, and torchvision could not fetch it ({error}): connect the "
            f"machine, copy the official folder {official.base_folder} to {folder}, or name "
            "another data folder"
        ) from error
