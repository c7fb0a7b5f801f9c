"""Images that stay files: where they lie, what they are called, which they are (torch-free).

The digest of such a set is the sha256 of what follows, in the order of labels and names: the names
of the classes, and of both parts every file's label, name and size in bytes, and the content of
1,000 files spread evenly (of all, where there are fewer). So it sees a file that is missing, added,
renamed, of another class or of another size, and a set that was resized or compressed anew; a
change of one file's bytes that keeps its size it sees only where that file is among the 1,000.
"""

import hashlib
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from qkd.data.images import DataError, Images
from qkd.data.photos.within import NO_PLACES, Address, addresses, content, shown
from qkd.records.schema import LeftOut
from qkd.spec import Data, Photos

SUFFIXES = (".jpeg", ".jpg", ".png")
SAMPLED = 1000  # files of a part whose content the digest covers
THREADS = 16  # that list and sample: on a network's disk they wait, and do not work


class Listed(NamedTuple):
    """The files of a part, by label, then by name: paths within the root, labels, bytes; and where
    they lie within larger files, their ``places`` there (`qkd.data.photos.within.addresses`)."""

    names: NDArray[np.bytes_]
    labels: NDArray[np.int64]
    sizes: NDArray[np.int64]
    places: NDArray[np.int64] = NO_PLACES

    def at(self, chosen: NDArray[Any]) -> "Listed":
        """Those at some indices, or where a mask is true, in their order."""
        places = self.places[chosen] if len(self.places) else self.places
        return Listed(self.names[chosen], self.labels[chosen], self.sizes[chosen], places)


class Listing(NamedTuple):
    """What a reader of photos returns: the names of the classes, in the order of their labels, and
    the files of both parts; ``beside`` names files within the root that labels were read from,
    ``containers`` the tar shards or parquet files within the root that hold the photos, if any do.
    """

    root: Path
    classes: tuple[str, ...]
    train: Listed
    test: Listed
    beside: tuple[str, ...] = ()
    containers: tuple[str, ...] = ()

    def addresses(self, part: Listed) -> list[Address]:
        """Where each photo of a part, or of some of it, lies."""
        return addresses(self.root, self.containers, part.names, part.places)


class Files(NamedTuple):
    """Labelled images that are decoded when they are needed.

    ``names`` are paths within ``root``, bytes (N); ``labels`` int64 (N), from 0; ``photos`` says
    how each is cut, ``loaders`` how many processes decode them; ``left_out`` is that of all parts
    of the set; ``containers`` and ``places`` as in `Listing` and `Listed`.
    """

    root: Path
    names: NDArray[np.bytes_]
    labels: NDArray[np.int64]
    photos: Photos
    loaders: int
    left_out: "LeftOutCounter"
    containers: tuple[str, ...] = ()
    places: NDArray[np.int64] = NO_PLACES

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, height and width of an image as a network sees it."""
        return 3, self.photos.size, self.photos.size

    def part(self, indices: NDArray[np.int64]) -> "Files":
        """The files at these indices, in their order."""
        places = self.places[indices] if self.containers else self.places
        return self._replace(names=self.names[indices], labels=self.labels[indices], places=places)

    def paths(self, indices: NDArray[np.int64]) -> list[Address]:
        """Where the files at these indices lie."""
        places = self.places[indices] if self.containers else self.places
        return addresses(self.root, self.containers, self.names[indices], places)


Part = Images | Files


class LeftOutCounter:
    """What could not be decoded and was left out: files with the reason, and by training step how
    many images it went without (a step that is asked for again counts once).
    """

    def __init__(self) -> None:
        self.files: dict[str, str] = {}
        self.of_step: dict[int, int] = {}

    def state(self) -> dict[str, Any]:
        """What a checkpoint keeps."""
        return {"files": dict(self.files), "of_step": dict(self.of_step)}

    def restore(self, state: dict[str, Any]) -> None:
        """Goes on from a checkpoint."""
        self.files.update(state["files"])
        self.of_step.update(state["of_step"])

    def counted(self, test: int) -> LeftOut | None:
        """All of it, where ``test`` of the test images were left out; None where nothing was."""
        training = sum(self.of_step.values())
        if not (self.files or training or test):
            return None
        return LeftOut(training=training, test=test, files=dict(self.files))


def require_equal_parts(data: Data, parts: int) -> None:
    """Raises DataError where a batch cut into parts (ranks, micro-batches) may lose files: its
    images would not weigh alike, and what a rank left out would be in no record.
    """
    if parts > 1 and data.photos is not None and data.photos.unreadable == "skip":
        raise DataError(
            f"{data.name} leaves out files that cannot be decoded, which only one process with "
            f"whole batches can do, not {parts} parts: mend or remove them, and let such files "
            'fail: Photos(unreadable="fail")'
        )


def left_out_of(part: Part) -> LeftOutCounter:
    """What is left out of the part's set; of packed images nothing ever is."""
    return part.left_out if isinstance(part, Files) else LeftOutCounter()


class FileSplit(NamedTuple):
    """A set of photos: those to train on (held-out ones included) and those to test on."""

    train: Files
    test: Files


def listing(root: Path) -> Listing:
    """The files of ``root/{train,val}/<class>/*.JPEG|jpg|png``, labelled by the sorted class names.

    What begins with a dot is passed over. Raises DataError, which names the place, for a class that
    only one part has or that is empty, and for a file of another suffix.
    """
    classes = class_names(root / "train")
    found = class_names(root / "val")
    for name in sorted({*classes} ^ {*found}):
        has, lacks = ("train", "val") if name in classes else ("val", "train")
        raise DataError(
            f"class {name!r} is in {root / has}, but not in {root / lacks}: labels count the "
            "classes of both; add its folder, or remove the other"
        )
    return Listing(root, classes, listed(root, "train", classes), listed(root, "val", classes))


def class_names(part: Path) -> tuple[str, ...]:
    """The names of a part's class folders, sorted. Raises DataError where there are none."""
    try:
        with os.scandir(part) as entries:
            names = sorted(e.name for e in entries if e.is_dir() and not e.name.startswith("."))
    except OSError as error:
        raise DataError(f"{part} cannot be listed: {error}") from error
    if not names:
        raise DataError(f"{part} has no class folders: photos lie in {{train,val}}/<class>/*.JPEG")
    return tuple(names)


def listed(root: Path, part: str, classes: tuple[str, ...]) -> Listed:
    """The files of a part's class folders. Raises DataError."""
    with ThreadPoolExecutor(THREADS) as pool:
        folders = list(pool.map(lambda name: files_of(root / part / name), classes))
    rows = [
        (f"{part}/{name}/{file}", label, size)
        for label, (name, files) in enumerate(zip(classes, folders, strict=True))
        for file, size in files
    ]
    return as_listed(rows)


def as_listed(rows: list[tuple[str, int, int]]) -> Listed:
    """(path within the root, label, bytes) of each file, as arrays."""
    names, labels, sizes = zip(*rows, strict=True)
    return Listed(
        np.array([os.fsencode(name) for name in names]),
        np.array(labels, np.int64),
        np.array(sizes, np.int64),
    )


def files_of(folder: Path) -> list[tuple[str, int]]:
    """Name and bytes of each image file in a folder, sorted by name. Raises DataError."""
    try:
        with os.scandir(folder) as entries:
            found = sorted(
                (e.name, e.stat().st_size) for e in entries if not e.name.startswith(".")
            )
    except OSError as error:
        raise DataError(f"{folder} cannot be listed: {error}") from error
    if not found:
        raise DataError(f"{folder} has no images: unpack them again, or remove the folder")
    for name, _ in found:
        if not name.lower().endswith(SUFFIXES):
            raise DataError(f"{folder / name} is not a {', '.join(SUFFIXES)} file: move it away")
    return found


def sampled(part: Listed) -> NDArray[np.int64]:
    """The indices of the files whose content the digest covers, ascending."""
    count = len(part.labels)
    spread: NDArray[np.int64] = np.linspace(0, count - 1, min(count, SAMPLED)).round().astype(int)
    return spread


def digest_of(found: Listing) -> str:
    """64 hexadecimal digits that name the set: see this file's head. Raises DataError.

    Folders do not enter, nor what holds a file: a flat folder of test images and a tree of the
    same are one set, and so are shards of it.
    """
    sha = hashlib.sha256()
    for name in found.classes:
        sha.update(os.fsencode(name) + b"\n")
    for part in (found.train, found.test):
        sha.update(f"{len(part.labels)} files\n".encode())
        rows = zip(part.names.tolist(), part.labels.tolist(), part.sizes.tolist(), strict=True)
        for path, label, size in rows:
            sha.update(b"%d %s %d\n" % (label, path.rpartition(b"/")[2], size))
        for one in _contents(found.addresses(part.at(sampled(part)))):
            sha.update(one)
    return sha.hexdigest()


def _contents(places: list[Address]) -> Iterator[bytes]:
    """The sha256 of each photo's content."""

    def digest(place: Address) -> bytes:
        try:
            return hashlib.sha256(content(place)).digest()
        except OSError as error:
            raise DataError(f"{shown(place)} cannot be read: {error}") from error

    with ThreadPoolExecutor(THREADS) as pool:
        yield from pool.map(digest, places)
