"""Tar shards in the layout of webdataset: ``KEY.jpg`` and ``KEY.cls`` or ``KEY.json`` for each
photo (torch-free).

Shards are plain tar files whose names hold ``train`` and ``val`` (or ``validation``). ``KEY.cls``
is the label as a number; ``KEY.json`` an object with a number ``label``, and perhaps the photo's
``filename``, which is then what the photo is called, else it is called by its key
(`qkd.data.readers.samples`). Of each photo the place in its shard is kept: nothing is unpacked.
"""

import json
import tarfile
from collections.abc import Iterator
from pathlib import Path

from qkd.data.images import DataError
from qkd.data.photos.files import Listing
from qkd.data.readers.samples import Found, Sample, find, listing_of, where_in

SUFFIX = ".tar"
PHOTOS = ("jpg", "jpeg", "png")
LARGEST_LABEL = 2**20  # bytes of a .cls or .json file


def read(folder: Path) -> Listing:
    """The photos of the shards in ``folder``. Raises DataError, which names shard and member."""
    found = find(folder, SUFFIX)
    if found is None:
        raise DataError(f"there are no *train*{SUFFIX} and *val*{SUFFIX} files in {folder}")
    return listed(found)


def listed(found: Found) -> Listing:
    """The photos of these shards."""
    return listing_of(found, _samples)


def _samples(root: Path, name: str, number: int) -> Iterator[Sample]:
    """The photos of a shard, by their keys."""
    photos: dict[str, tarfile.TarInfo] = {}
    labels: dict[str, int] = {}
    names: dict[str, str] = {}
    dotted: dict[str, str] = {}
    for tar, member in _members(root / name):
        where = where_in(root, name, f"member {member.name!r}")
        key, extension = _split(member.name)
        if extension in PHOTOS:
            if key in photos:
                raise DataError(f"{where} is the second photo of its key: a key has one")
            photos[key] = member
        elif extension in ("cls", "json"):
            label, called = _described(_text(tar, member, where), where, extension)
            names[key] = called or names.get(key, "")
            if label is not None and labels.setdefault(key, label) != label:
                raise DataError(f"{where} says label {label}, another member {labels[key]}")
        elif extension.rpartition(".")[2] in PHOTOS:
            dotted[key] = where
    for key in sorted({*dotted} - {*photos}):
        raise DataError(f"{dotted[key]} has the key {key!r} and no photo: a key has no dot, rename")
    if not photos:
        raise DataError(f"{root / name} has no member KEY.jpg: it is no shard of photos")
    for key, member in photos.items():
        where = where_in(root, name, f"member {member.name!r}")
        if key not in labels:
            raise DataError(f"{where} has no label: no {key}.cls or .json with a label is there")
        place = (number, member.offset_data, member.size)
        called = names.get(key) or member.name
        yield Sample(called, labels[key], member.size, place, where)
    alone = sorted({*labels} - {*photos})
    if alone:
        raise DataError(f"{where_in(root, name, f'key {alone[0]!r}')} has a label and no photo")


def _members(path: Path) -> Iterator[tuple[tarfile.TarFile, tarfile.TarInfo]]:
    """The files of a shard. What its maker's system added (``._name``) is passed over.

    Raises DataError for a link or any other thing that is no plain file, and for a shard that does
    not end with the mark of an end: tarfile takes a cut between two members for one.
    """
    last = "its first member"
    try:
        with tarfile.open(path, "r:") as tar:
            for member in tar:
                if not (member.isreg() or member.isdir()) or member.issparse() or member.size < 0:
                    raise DataError(f"{path}: member {member.name!r} is no plain file: remove it")
                last = f"member {member.name!r}"
                if member.isreg() and not member.name.rpartition("/")[2].startswith("."):
                    yield tar, member
            end = tar.offset
        with path.open("rb") as file:
            file.seek(end)
            is_whole = file.read(tarfile.BLOCKSIZE) == bytes(tarfile.BLOCKSIZE)
    except DataError:
        raise
    except (tarfile.TarError, OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read after {last} ({error}): copy it again") from error
    if not is_whole:
        raise DataError(f"{path} ends early, or is damaged, after {last}: copy it again")


def _split(name: str) -> tuple[str, str]:
    """Key and extension, which begins at the first dot of the file's name."""
    folder, slash, file = name.rpartition("/")
    stem, _, extension = file.partition(".")
    return f"{folder}{slash}{stem}", extension.lower()


def _text(tar: tarfile.TarFile, member: tarfile.TarInfo, where: str) -> bytes:
    if member.size > LARGEST_LABEL:
        raise DataError(f"{where} has {member.size} bytes: no label is as long")
    try:
        file = tar.extractfile(member)
        return file.read() if file is not None else b""
    except (tarfile.TarError, OSError) as error:
        raise DataError(f"{where} cannot be read ({error}): copy the shard again") from error


def _described(text: bytes, where: str, extension: str) -> tuple[int | None, str]:
    """Label (None: it says none) and file name ("": none) in a .cls or .json file."""
    try:
        described = (
            json.loads(text) if extension == "json" else {"label": int(text.decode("ascii"))}
        )
        label, name = described.get("label"), described.get("filename", "")
    except (ValueError, AttributeError, RecursionError) as error:
        kind = "JSON object" if extension == "json" else "number"
        raise DataError(f"{where} holds {text[:40]!r}, which is no {kind}") from error
    if not (label is None or type(label) is int) or not isinstance(name, str):
        raise DataError(f"{where}: label {label!r} and filename {name!r} are no number and no text")
    return label, name
