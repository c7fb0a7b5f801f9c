"""What tar shards and parquet files tell of each photo becomes the listing of the same tree: the
same classes, file names and order, so the same digest and crops (torch-free).

A photo is called by its path in the tree, ``<class>/<file>``, or by an official name of ImageNet:
``n01440764_18.JPEG``, whose class it tells; ``ILSVRC2012_val_00000001.JPEG``, whose class is that
of its label; either with ``_<wnid>`` before the suffix, as the Hugging Face copy has it. Official
names end in ``.JPEG`` in the tree, whatever the suffix is here. Labels count the sorted classes.
"""

import os
import re
from collections import Counter
from collections.abc import Callable, Iterable
from itertools import count, pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np

from qkd.data.images import DataError
from qkd.data.photos.files import SUFFIXES, Listed, Listing, as_listed

PARTS = {"train": ("train",), "val": ("val", "validation")}
FOLDERS = ("", "data", "train", "val", "validation")  # where the files may lie
ARCHIVES = "ILSVRC2012_img_"  # ImageNet's own archives are no shards
LARGEST = 2**26  # bytes of a photo; ImageNet's largest has a quarter of that
OFFICIAL = re.compile(r"((n\d+)_\d+|ILSVRC2012_val_\d+)(?:_(n\d+))?\.jpe?g", re.IGNORECASE)
NUMBERED = re.compile(r"(.*-)\d+-of-(\d+)")
CONTROL = re.compile(r"[\x00-\x1f\x7f]")


class Sample(NamedTuple):
    """A photo: what it is called, its label as it is stored there, its bytes, its place
    (`qkd.data.photos.within`), and where that is in words."""

    name: str
    label: int
    size: int
    place: tuple[int, int, int]
    where: str


class Found(NamedTuple):
    """The files of one suffix that hold the photos of a set."""

    root: Path
    train: tuple[str, ...]
    val: tuple[str, ...]


def find(folder: Path, suffix: str) -> Found | None:
    """The files that are named after a part, in ``folder/imagenet`` or in ``folder`` itself, or in
    their ``data``, ``train`` and ``val``; None where there are none.

    Raises DataError where only one part is there, a file is named after both, or one is lacking
    that others count (``train-00000-of-00294``).
    """
    for root in (folder / "imagenet", folder):
        paths = [path for place in FOLDERS for path in sorted((root / place).glob(f"*{suffix}"))]
        names = [str(path.relative_to(root)) for path in paths if path.is_file()]
        train, val = (_of_part(names, words) for words in PARTS.values())
        if not (train or val):
            continue
        if not (train and val):
            lacking = "val" if train else "train"
            raise DataError(f"{root} has *{suffix} files, but none named {lacking}: add them")
        for name in sorted({*train} & {*val}):
            raise DataError(f"{root / name} is named after train and val: which part has it?")
        _require_counted(root, (*train, *val))
        return Found(root, train, val)
    return None


def _of_part(names: list[str], words: tuple[str, ...]) -> tuple[str, ...]:
    """The names that have one of the words."""
    own = [name for name in names if not Path(name).name.startswith((ARCHIVES, "."))]
    return tuple(name for name in own if {*re.split("[^a-z]+", name.lower())} & {*words})


def _require_counted(root: Path, names: tuple[str, ...]) -> None:
    """Raises DataError where files say of how many each is one, and fewer are there."""
    numbered = filter(None, map(NUMBERED.match, names))
    for (stem, total), there in Counter(match.groups() for match in numbered).items():
        if there < int(total):
            raise DataError(
                f"{root} has {there} of the {int(total)} files {stem}*-of-{total}: add the others"
            )


def listing_of(found: Found, read: Callable[[Path, str, int], Iterable[Sample]]) -> Listing:
    """The listing of the tree that the files' photos were made from.

    ``read`` gives a file's, by the root, the file's name in it, and its number among all files.

    Raises DataError, which names a file and what it has of one photo: a name that tells no class, a
    label that is not its class's place, a photo that is there twice, a class that a part lacks.
    """
    numbers = count()
    train, test = (
        [sample for name in names for sample in read(found.root, name, next(numbers))]
        for names in (found.train, found.val)
    )
    called = [named(sample) for sample in train]
    for sample, (wnid, _) in zip(train, called, strict=True):
        if not wnid:
            raise DataError(
                f"{sample.where} is called {sample.name!r}, which tells no class, so that neither "
                "the order nor the digest of the folder can be known: call photos <class>/<file>"
            )
    if not train:
        raise DataError(f"{found.root / found.train[0]} has no photos: copy it again")
    classes = tuple(sorted({wnid for wnid, _ in called}))
    in_train = _listed("train", train, called, classes)
    in_test = _listed("val", test, [named(sample) for sample in test], classes)
    containers = (*found.train, *found.val)
    return Listing(found.root, classes, in_train, in_test, containers=containers)


def named(sample: Sample) -> tuple[str, str]:
    """The class of a photo by its name ("": it tells none), and its file's name in the tree.

    Raises DataError for a name that climbs or is none, and for another suffix than a photo's.
    """
    parts = sample.name.removeprefix("./").split("/")
    if {"", ".", ".."} & {*parts} or CONTROL.search(sample.name):
        raise DataError(f"{sample.where} is called {sample.name!r}: that is no <class>/<file>")
    folder, file = parts[-2] if len(parts) > 1 else "", parts[-1]
    official = OFFICIAL.fullmatch(file)
    if not official:
        if not file.lower().endswith(SUFFIXES):
            raise DataError(f"{sample.where} is called {sample.name!r}: no {', '.join(SUFFIXES)}")
        return folder, file
    stem, of_stem, said = official.groups()
    told = {wnid for wnid in (of_stem, said, folder) if wnid and re.fullmatch(r"n\d+", wnid)}
    if len(told) > 1:
        raise DataError(f"{sample.where} is called {sample.name!r}, which names two classes")
    return next(iter(told), ""), f"{stem}.JPEG"


def _listed(
    part: str, samples: list[Sample], called: list[tuple[str, str]], classes: tuple[str, ...]
) -> Listed:
    """The samples of a part in the order of the tree."""
    labels = {wnid: label for label, wnid in enumerate(classes)}
    rows = []
    for number, (sample, (wnid, file)) in enumerate(zip(samples, called, strict=True)):
        _require_class(sample, wnid, classes, labels)
        rows.append((sample.label, f"{part}/{classes[sample.label]}/{file}", number))
    rows.sort()
    for (_, name, first), (_, other, second) in pairwise(rows):
        if name == other:
            raise DataError(f"{samples[first].where} and {samples[second].where} are both {name}")
    missing = sorted({*range(len(classes))} - {label for label, _, _ in rows})
    if missing:
        raise DataError(f"class {classes[missing[0]]!r} has no photo in {part}: add its files")
    order = [number for _, _, number in rows]
    listed = as_listed([(name, label, samples[number].size) for label, name, number in rows])
    return listed._replace(places=np.array([samples[number].place for number in order], np.int64))


def _require_class(
    sample: Sample, wnid: str, classes: tuple[str, ...], labels: dict[str, int]
) -> None:
    """Raises DataError where label and name do not agree with the sorted classes."""
    if wnid and wnid not in labels:
        raise DataError(f"{sample.where} is of class {wnid!r}, of which train has no photo")
    if not 0 <= sample.label < len(classes) or (wnid and labels[wnid] != sample.label):
        is_one = f"{wnid!r} is class {labels[wnid]}" if wnid else "there is no such class"
        raise DataError(
            f"{sample.where} has label {sample.label}, but {is_one} of the {len(classes)} sorted "
            "class names: these files count other classes, or in another order"
        )
    if sample.size > LARGEST:
        raise DataError(f"{sample.where} has {sample.size} bytes, more than a photo's {LARGEST}")


def where_in(root: Path, name: str, what: str) -> str:
    """``what`` within a file, as a message names it."""
    return f"{os.fspath(root / name)}: {what}"
