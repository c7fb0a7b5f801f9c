"""The one door to a data set: read once, then memory-mapped from a verified cache (torch-free)."""

import os
import secrets
import shutil
from pathlib import Path

import msgspec
import numpy as np

from qkd.data.images import DataError, Images, Split, canonical, ordered_digest, validated
from qkd.data.photos.files import FileSplit
from qkd.data.photos.index import index_of, open_files
from qkd.data.places import places, written
from qkd.imports import READERS, resolve
from qkd.spec import Data


def load(data: Data, folder: Path, loaders: int = 0) -> Split | FileSplit:
    """The images of ``data`` in canonical order, memory-mapped read-only; of photos the files,
    which ``loaders`` processes will decode (`qkd.data.photos.index.open_files`).

    They come from ``folder/cache/<digest>``, whose digest is verified each time, else from the
    reader, which looks in ``folder``; then the cache is written, elsewhere where the folder cannot
    be written to (`qkd.data.places`). The folder is made if its parent exists. Raises DataError
    that names the place and says what to do: no such folder, no cache that can be written, a
    reader that fails, images that are not what ``data`` describes.
    """
    if data.photos is not None:
        return open_files(data, data.photos, folder, loaders)
    _require_folder(folder)
    split = _kept(data.digest, folder) if data.digest else None
    if split is None:
        split = _read(data, folder)
        digest = ordered_digest(split)
        if data.digest not in ("", digest):
            raise DataError(
                f"{data.reader} found images in {folder} that are not those of {data.name}: their "
                f"digest is {digest}, not {data.digest}. Delete that data set's files and run "
                "again, or correct the digest if other images are meant"
            )
        split = _stored_within(folder, split, digest)
    _require_described(data, split, folder)
    return split


def identify(data: Data, folder: Path) -> Data:
    """``data`` with its digest; the images are read (and cached) only if it has none yet.

    Raises DataError as `load` does.
    """
    if data.digest:
        return data
    split = load(data, folder)
    if isinstance(split, FileSplit):
        digest = index_of(data, folder).digest
    else:
        digest = ordered_digest(split)
    return msgspec.structs.replace(data, digest=digest)


def _require_folder(folder: Path) -> None:
    """Raises DataError where nobody could make the folder, or it is none."""
    if not folder.parent.is_dir():
        raise DataError(
            f"the data folder {folder} does not exist, nor does {folder.parent}: create it, or "
            "name another"
        )
    if folder.exists() and not folder.is_dir():
        raise DataError(f"the data folder {folder} is a file: name another")


def _kept(digest: str, folder: Path) -> Split | None:
    """The split of that digest in one of the folder's caches."""
    found = (_cached(place / digest, digest) for place in places(folder))
    return next((split for split in found if split is not None), None)


def _stored_within(folder: Path, split: Split, digest: str) -> Split:
    """The split, written and opened in the first cache that can be written to."""
    try:
        return written(folder, lambda place: _stored(split, place / digest, digest))
    except OSError as error:
        raise DataError(
            f"the cache {places(folder)[0]} cannot be written, nor another one ({error}): make it "
            "writable, make room, or name another data folder"
        ) from error


def _read(data: Data, folder: Path) -> Split:
    """What the reader returns, checked and in canonical order."""
    try:
        split = resolve(data.reader, READERS)(folder)
    except DataError:
        raise
    except Exception as error:  # a reader may be anybody's: whatever it raises, say whose it is
        raise DataError(
            f"the reader {data.reader} failed on {folder}: {type(error).__name__}: {error}. "
            "Correct it, or its files"
        ) from error
    checked = validated(split, data.classes, f"{data.reader} in {folder}")
    _require_described(data, checked, folder)
    return Split(canonical(checked.train), canonical(checked.test))


def _require_described(data: Data, split: Split, folder: Path) -> None:
    count, channels = split.train.images.shape[:2]
    where = f"{data.name} in {folder}"
    if count != data.train_images:
        raise DataError(
            f"{where} has {count} training images, not {data.train_images}: complete its files, or "
            "correct train_images"
        )
    if not len(data.mean) == len(data.std) == channels:
        raise DataError(
            f"{where} has images of {channels} channels, but {len(data.mean)} means and "
            f"{len(data.std)} standard deviations: give one of each per channel"
        )
    if data.held_out >= count:
        raise DataError(
            f"{where}: {data.held_out} of {count} training images are held out, which leaves none "
            "to train on: lower held_out"
        )
    highest = max(int(part.labels.max()) for part in split)
    if highest >= data.classes:
        raise DataError(f"{where} has a label {highest}, but {data.classes} classes: correct them")


def _files(place: Path) -> list[Path]:
    """Images and labels of the training part, then of the test part."""
    return [place / f"{part}-{field}.npy" for part in Split._fields for field in Images._fields]


def _opened(place: Path) -> Split:
    arrays = [np.load(file, mmap_mode="r") for file in _files(place)]
    return Split(Images(arrays[0], arrays[1]), Images(arrays[2], arrays[3]))


def _cached(place: Path, digest: str) -> Split | None:
    """The split in ``place`` if it is there and whole; what is damaged there is removed."""
    if not place.exists():
        return None
    try:
        split = _opened(place)
        if ordered_digest(split) == digest:
            return split
    except PermissionError as error:
        raise DataError(
            f"the cache {place} cannot be read ({error}): make it readable, or name another data "
            "folder"
        ) from error
    except Exception:  # noqa: S110 (whatever numpy makes of a damaged file: it is damaged)
        pass
    _remove(place)
    return None


def _remove(place: Path) -> None:
    """Away by rename first, so that nobody meets a half removed cache."""
    away = _beside(place)
    try:
        place.rename(away)
        if away.is_dir():
            shutil.rmtree(away)
        else:
            away.unlink()
    except FileNotFoundError:
        pass  # another process was quicker
    except OSError as error:
        raise DataError(
            f"the cache {place} is damaged and cannot be removed ({error}): remove it by hand"
        ) from error


def _stored(split: Split, place: Path, digest: str) -> Split:
    """Write ``split`` beside ``place``, rename it there, and open it as every later load will.

    Raises OSError where it cannot be written.
    """
    beside = _beside(place)
    try:
        beside.mkdir()
        arrays = [array for part in split for array in part]
        for file, array in zip(_files(beside), arrays, strict=True):
            np.save(file, array)
        if _cached(place, digest) is None:
            beside.rename(place)
    except OSError:
        # Where another process has put the same data there in between, its copy is ours.
        if not place.is_dir():
            raise
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    stored = _cached(place, digest)
    if stored is None:
        raise DataError(f"the cache {place} was damaged while it was written: check the disk")
    return stored


def _beside(place: Path) -> Path:
    return place.with_name(f".{place.name}.{os.getpid()}.{secrets.token_hex(4)}")
