"""Photos that lie within larger files, tar shards or parquet files: where each is, and its bytes
(torch-free).

Nothing is unpacked. A name that such a file gives to a photo is said in messages and enters the
digest; no path is made of it.
"""

import os
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

PARQUET = ".parquet"
ROWS = 8  # of a row group that are unpacked at once
NO_PLACES: NDArray[np.int64] = np.empty((0, 3), np.int64)


class Within(NamedTuple):
    """A photo within ``file``: in a tar shard ``size`` bytes from ``begin``, in a parquet file row
    ``size`` of row group ``begin``. ``name`` is the path that it would have in a tree.
    """

    file: bytes
    begin: int
    size: int
    name: bytes


Address = bytes | Within  # a file's path, or a place within one


def addresses(
    root: Path,
    containers: Sequence[str],
    names: NDArray[np.bytes_],
    places: NDArray[np.int64],
) -> list[Address]:
    """Where photos lie: files of the ``names`` within ``root`` where there are no ``containers``;
    else ``places`` int64 (N, 3) tells the container (by its number), and `Within`'s two numbers.
    """
    folder = os.fsencode(root)
    if not containers:
        return [b"%s/%s" % (folder, name) for name in names.tolist()]
    files = [b"%s/%s" % (folder, os.fsencode(name)) for name in containers]
    rows = zip(names.tolist(), places.tolist(), strict=True)
    return [Within(files[number], begin, size, name) for name, (number, begin, size) in rows]


def content(address: Address) -> bytes:
    """The bytes of a photo. Raises OSError, also where the file around it is damaged or cut."""
    if isinstance(address, bytes):
        return Path(os.fsdecode(address)).read_bytes()
    if address.file.endswith(PARQUET.encode()):
        return _of_row(address)
    with open(address.file, "rb") as file:  # noqa: PTH123 (a path of bytes)
        file.seek(address.begin)
        found = file.read(address.size)
    if len(found) != address.size:
        raise OSError(f"{shown(address)}: the file ends early")
    return found


def shown(address: Address) -> str:
    """The address as a message names it."""
    if isinstance(address, bytes):
        return address.decode(errors="replace")
    return f"{address.file.decode(errors='replace')}: {address.name.decode(errors='replace')}"


def _of_row(address: Within) -> bytes:
    """A row of a group. The pages before it must be unpacked to find it, those behind it not."""
    import pyarrow.compute

    left = address.size
    try:
        for some in _opened(address.file).iter_batches(
            ROWS, row_groups=[address.begin], columns=["image.bytes"], use_threads=False
        ):
            if left < len(some):
                found: bytes = pyarrow.compute.struct_field(some.column(0), "bytes")[left].as_py()
                return found
            left -= len(some)
    except (ValueError, IndexError) as error:  # pyarrow's own are
        raise OSError(f"{shown(address)}: {error}") from error
    raise OSError(f"{shown(address)}: its row group ends before row {address.size}")


@lru_cache(maxsize=256)  # of the files that a process may have open at once, often 1,024
def _opened(file: bytes) -> Any:
    """A file whose columns are read as far as they are asked for."""
    import pyarrow.parquet

    path = os.fsdecode(file)
    return pyarrow.parquet.ParquetFile(path, metadata=_metadata(path), pre_buffer=False)


@lru_cache(maxsize=1000)
def _metadata(path: str) -> Any:
    """Where the row groups of a file lie; reading it takes longer than a small group."""
    import pyarrow.parquet

    return pyarrow.parquet.read_metadata(path)
