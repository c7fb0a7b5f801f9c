"""Where what was read of a data folder is kept: in its ``cache``, or elsewhere where that cannot be
written to (torch-free).
"""

import errno
import hashlib
import os
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")

# A folder of someone else's, or one that is mounted for reading. A full disk is none of these.
CLOSED = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST)


def places(folder: Path) -> tuple[Path, Path]:
    """The data folder's own cache, and the one that takes its place in the user's cache folder
    (XDG_CACHE_HOME, by default ~/.cache)."""
    home = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    name = hashlib.sha256(os.fsencode(folder.resolve())).hexdigest()[:16]
    return folder / "cache", Path(home).expanduser() / "qkd" / name


def written(folder: Path, write: Callable[[Path], T]) -> T:
    """What ``write`` returns for the first place that it can write to, each being made if need be;
    where that is not the folder's own, it is said.

    Raises OSError as ``write`` does.
    """
    own, other = places(folder)
    try:
        folder.mkdir(exist_ok=True)
        own.mkdir(exist_ok=True)
        return write(own)
    except OSError as error:
        if error.errno not in CLOSED:
            raise
        other.mkdir(parents=True, exist_ok=True)
        _say(folder, other, error.strerror or "")
        return write(other)


@cache
def _say(folder: Path, other: Path, why: str) -> None:
    """Once for each process."""
    print(
        f"{folder} cannot be written to ({why}): what is read of it is kept in {other}",
        file=sys.stderr,
        flush=True,
    )
