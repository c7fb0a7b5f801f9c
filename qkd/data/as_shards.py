"""ImageNet in any form, written anew as tar shards: ``python -m qkd.data.as_shards SOURCE TARGET``
(torch-free).

For whoever has parquet files, where one photo costs the unpacking of a hundred. The shards have the
layout of webdataset (``NUMBER.jpg``, ``NUMBER.json`` with label and file name), hold the very bytes
of the photos, and are the same set: the same digest, order and crops.
"""

import io
import json
import os
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from qkd.data.images import DataError
from qkd.data.photos.files import Listed, Listing
from qkd.data.photos.within import content
from qkd.data.readers import imagenet

PHOTOS = 1000  # in a shard: about 110 MB of ImageNet


def write(found: Listing, target: Path, photos: int = PHOTOS) -> int:
    """Writes ``target/{train,val}-NUMBER.tar`` with so many photos each; returns how many shards.

    Each is written beside and renamed. Raises DataError where ``target`` holds anything already, or
    a photo cannot be read.
    """
    target.mkdir(parents=True, exist_ok=True)
    if any(target.iterdir()):
        raise DataError(f"{target} is not empty: name a new folder for the shards")
    written = 0
    for part, files in (("train", found.train), ("val", found.test)):
        for begin in range(0, len(files.labels), photos):
            place = target / f"{part}-{begin // photos:06d}.tar"
            beside = place.with_suffix(".part")
            with tarfile.open(beside, "w") as tar:
                _fill(tar, found, files, range(begin, min(begin + photos, len(files.labels))))
            beside.rename(place)
            written += 1
            print(f"\r{place.name}", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    return written


def _fill(tar: tarfile.TarFile, found: Listing, files: Listed, numbers: range) -> None:
    """The photos of these numbers, and what each is called in the tree: its class and file."""
    photos = photos_of(found, files.at(np.array(numbers)))
    for number, (name, label, photo) in zip(numbers, photos, strict=True):
        told = {"label": label, "filename": name}
        _add(tar, f"{number:08d}.json", json.dumps(told).encode())
        _add(tar, f"{number:08d}{Path(name).suffix.lower()}", photo)


def photos_of(found: Listing, files: Listed) -> Iterator[tuple[str, int, bytes]]:
    """Of each photo what it is called in the tree, ``<class>/<file>``, its label and its bytes.

    Raises DataError where one cannot be read.
    """
    rows = zip(files.names.tolist(), files.labels.tolist(), found.addresses(files), strict=True)
    for name, label, address in rows:
        try:
            photo = content(address)
        except OSError as error:
            raise DataError(f"{error}: mend it, then begin with an empty folder") from error
        yield f"{found.classes[label]}/{os.fsdecode(name).rpartition('/')[2]}", label, photo


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(content)
    tar.addfile(member, io.BytesIO(content))


def main(arguments: list[str]) -> int:
    """Returns an exit code: 1 where the data are not right, 2 where the command is not."""
    if len(arguments) != 2:
        print("usage: python -m qkd.data.as_shards SOURCE TARGET (folders)", file=sys.stderr)
        return 2
    source, target = map(Path, arguments)
    try:
        written = write(imagenet.read(source), target)
    except (DataError, OSError) as error:
        print(f"no shards of {source}: {error}", file=sys.stderr)
        return 1
    print(f"{written} shards are in {target}: DATA={target} is the same set of photos")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
