"""A set of photos is listed once; its index is trusted as long as its files look untouched
(torch-free).

A million files take a while to list, so that what was found is kept in ``cache/`` beside the data
(`qkd.data.places`).
It counts as long as every folder has the modification time that it had (no file was added, removed
or renamed), and every file whose content the digest covers its size and modification time; and as
long as a reader of the user's own has the code that it had.
"""

import hashlib
import io
import os
import sys
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from qkd.data.images import DataError
from qkd.data.photos.files import (
    Files,
    FileSplit,
    LeftOutCounter,
    Listed,
    Listing,
    digest_of,
    sampled,
)
from qkd.data.places import places, written
from qkd.imports import READERS, names_user_code, resolve
from qkd.records.code import imported, is_present
from qkd.records.files import write_atomically
from qkd.spec import Data, Photos

VERSION = 2
PARTS = ("train", "test")


class Index(NamedTuple):
    """What a reader found, and its digest."""

    listing: Listing
    digest: str


def open_files(data: Data, photos: Photos, folder: Path, loaders: int) -> FileSplit:
    """The files of ``data``, found by its reader or by the index of an earlier time.

    Raises DataError that names the place and says what to do: a reader that fails, files that are
    not what ``data`` describes or not those of its digest.
    """
    found, digest = index_of(data, folder)
    if data.digest not in ("", digest):
        raise DataError(
            f"{data.reader} found files in {found.root} that are not those of {data.name}: their "
            f"digest is {digest}, not {data.digest}. Put the files back, or plan anew with these "
            "(a tree that was resized is another set)"
        )
    _require_described(data, found)
    left_out = LeftOutCounter()
    return FileSplit(
        *(
            Files(
                found.root,
                part.names,
                part.labels,
                photos,
                loaders,
                left_out,
                found.containers,
                part.places,
            )
            for part in (found.train, found.test)
        )
    )


def index_of(data: Data, folder: Path) -> Index:
    """What lies in the folder, listed anew where that has changed since it was written down."""
    name = Path(hashlib.sha256(data.reader.encode()).hexdigest()) / "index.npz"
    for place in places(folder):
        known = _kept(place / name, folder, not names_user_code(data.reader))
        if known is not None:
            return known
    print(f"listing the images of {data.name} in {folder}", file=sys.stderr, flush=True)
    try:
        found = resolve(data.reader, READERS)(folder)
        if not isinstance(found, Listing):
            raise TypeError(f"a reader of photos returns a Listing, not {type(found).__name__}")
    except DataError:
        raise
    except Exception as error:  # a reader may be anybody's: whatever it raises, say whose it is
        raise DataError(
            f"the reader {data.reader} failed on {folder}: {type(error).__name__}: {error}. "
            "Correct it, or its files"
        ) from error
    times = _times(found)
    index = Index(found, digest_of(found))
    _keep(name, folder, index, times, _code(data.reader))
    return index


def _code(reader: str) -> str:
    """The user's files that are imported, as JSON, where the reader is one of theirs."""
    code = imported() if names_user_code(reader) else None
    return msgspec.json.encode(code).decode() if code else ""


def _times(found: Listing) -> NDArray[np.int64]:
    """Modification time (ns) of each folder, time and size of each sampled file. Raises OSError.

    Where photos lie within larger files: how many of these each folder has (its time changes with
    whatever else lies there, as the cache), and time and size of each.
    """
    if found.containers:
        paths = [found.root / name for name in found.containers]
        kinds = sorted({(path.parent, path.suffix) for path in paths})
        counts = [(len(list(folder.glob(f"*{suffix}"))), 0) for folder, suffix in kinds]
        looked = [path.stat() for path in paths]
        return np.array([*counts, *((one.st_mtime_ns, one.st_size) for one in looked)])
    parts = (found.train, found.test)
    folders = {name.rpartition(b"/")[0] for part in parts for name in part.names.tolist()}
    folders |= {name.partition(b"/")[0] for name in folders}
    files = [name for part in parts for name in part.names[sampled(part)].tolist()]
    files += [os.fsencode(name) for name in found.beside]
    looked = [(found.root / os.fsdecode(name)).stat() for name in (*sorted(folders), *files)]
    sizes = [0] * len(folders) + [one.st_size for one in looked[len(folders) :]]
    return np.array([(one.st_mtime_ns, size) for one, size in zip(looked, sizes, strict=True)])


def _keep(name: Path, folder: Path, index: Index, times: NDArray[np.int64], code: str) -> None:
    """Writes the index to ``name`` within a cache of the folder. Where that cannot be done the next
    start takes longer, no more."""
    found, buffer = index.listing, io.BytesIO()
    arrays = {
        f"{part}_{field}": array
        for part in PARTS
        for field, array in getattr(found, part)._asdict().items()
    }
    np.savez(
        buffer,
        version=VERSION,
        digest=index.digest,
        times=times,
        code=code,
        root=os.path.relpath(found.root, folder),
        classes=np.array(found.classes),
        beside=np.array(found.beside, str),
        containers=np.array(found.containers, str),
        **arrays,
    )

    def write(place: Path) -> None:
        (place / name).parent.mkdir(exist_ok=True)
        write_atomically(place / name, buffer.getvalue())
        print(f"their index is kept in {place / name.parent}", file=sys.stderr, flush=True)

    try:
        written(folder, write)
    except OSError as error:
        print(f"no index is kept, so each start lists the images: {error}", file=sys.stderr)


def _kept(place: Path, folder: Path, is_ours: bool) -> Index | None:
    """The index, if it is whole and nothing has changed since; ``is_ours``: its reader is."""
    try:
        with np.load(io.BytesIO(place.read_bytes()), allow_pickle=False) as kept:
            if int(kept["version"]) != VERSION:
                return None
            parts = [
                Listed(*(kept[f"{part}_{field}"] for field in Listed._fields)) for part in PARTS
            ]
            root = Path(os.path.normpath(folder / str(kept["root"])))
            texts = ("classes", "beside", "containers")
            classes, beside, containers = (tuple(kept[name].tolist()) for name in texts)
            found = Listing(root, classes, parts[0], parts[1], beside, containers)
            same = np.array_equal(_times(found), kept["times"])
            # Older code kept none: a user's reader may be another one by now.
            code = str(kept["code"]) if "code" in kept else ""
            same &= is_present(code) if code else is_ours
            return Index(found, str(kept["digest"])) if same else None
    except Exception:  # whatever numpy makes of a damaged file, or a file that is gone: list anew
        return None


def _require_described(data: Data, found: Listing) -> None:
    where = f"{data.name} in {found.root}"
    count, classes = len(found.train.labels), len(found.classes)
    if count != data.train_images:
        raise DataError(
            f"{where} has {count} training images, not {data.train_images}: complete its files, or "
            "correct train_images"
        )
    if classes != data.classes:
        raise DataError(f"{where} has {classes} classes, not {data.classes}: correct one of them")
    if not len(data.mean) == len(data.std) == 3:
        raise DataError(
            f"{where}: photos have 3 channels, but there are {len(data.mean)} means and "
            f"{len(data.std)} standard deviations: give one of each per channel"
        )
    if data.pad:
        raise DataError(f"{where}: photos are cropped, not padded: pad must be 0, not {data.pad}")
    if data.held_out >= count:
        raise DataError(
            f"{where}: {data.held_out} of {count} training images are held out, which leaves none "
            "to train on: lower held_out"
        )
