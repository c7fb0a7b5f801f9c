"""Files of ready weights: where they lie, their bytes and sha256; torchvision's is downloaded where
it is nowhere yet (torch-free until it is).
"""

import hashlib
import http.client
import socket
import sys
from collections.abc import Iterable
from pathlib import Path

from qkd.spec import Weights
from qkd.weights.published import ADDRESS, file_of

SECONDS = 30.0  # that a server may be silent
PAGE = "a web page (HTML), as a server sends in place of a file: fetch the file itself"
# What a file begins with that holds no weights, and what it is.
NO_WEIGHTS = {
    b"version https://git-lfs": "a pointer of Git LFS, not the file: git lfs pull fetches it",
    b"<!doctype html": PAGE,
    b"<html": PAGE,
}


class BadWeights(ValueError):
    """A file of weights that is not there, is another one, or does not fit the network."""


def sha256_of(weights: Weights, folder: Path) -> str:
    """The sha256 of the file in 64 hexadecimal digits. Raises BadWeights if it cannot be read."""
    return hashlib.sha256(content_of(weights, path_of(weights, folder))).hexdigest()


def path_of(weights: Weights, folder: Path) -> Path:
    """Where a ``file:`` lies: within the data folder, unless its source is an absolute path."""
    return folder / weights.source.removeprefix("file:")


def content_of(weights: Weights, path: Path) -> bytes:
    """The file's bytes. Raises BadWeights that says from where they cannot be read, or what lies
    there in the place of weights."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise BadWeights(
            f"the weights {weights.source} cannot be read from {path} ({error}): put the file "
            "there, or correct the path (it begins at the data folder, unless it is absolute)"
        ) from error
    beginning = content[:512].lstrip().lower()
    for mark, what in NO_WEIGHTS.items():
        if beginning.startswith(mark):
            raise BadWeights(f"{path} is {what}")
    if not content:
        raise BadWeights(f"{path} is empty: fetch it again")
    return content


def place(weights: Weights, folder: Path) -> Path:
    """Where the file lies.

    torchvision's are looked for in the data folder, then in torch hub's cache; what is in neither
    is downloaded into the cache. Raises BadWeights where that fails too, or the name is unknown.
    """
    if not weights.name:
        return path_of(weights, folder)
    places = _places(weights, folder)
    return _existing(places) or _downloaded(weights, places[-1], folder)


def present(weights: Weights, folder: Path) -> Path | None:
    """Where torchvision's file lies already; None: nowhere. Raises BadWeights as `place` does."""
    return _existing(_places(weights, folder))


def _places(weights: Weights, folder: Path) -> tuple[Path, Path]:
    """Where torchvision's file may lie; what is downloaded comes to the last."""
    try:
        file = file_of(weights.name)
    except ValueError as error:
        raise BadWeights(str(error)) from error
    import torch

    return folder / file, Path(torch.hub.get_dir()) / "checkpoints" / file


def _existing(places: Iterable[Path]) -> Path | None:
    return next((path for path in places if path.is_file()), None)


def _downloaded(weights: Weights, target: Path, folder: Path) -> Path:
    """The file, whole and of its digest or not at all."""
    import torch

    address = ADDRESS + target.name
    print(f"fetching {address} to {target}", file=sys.stderr, flush=True)
    patience = socket.getdefaulttimeout()
    socket.setdefaulttimeout(SECONDS)  # torch hub's own is none
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        torch.hub.download_url_to_file(address, str(target), weights.sha256, progress=False)
    except (OSError, RuntimeError, http.client.HTTPException) as error:
        raise BadWeights(
            f"the weights {weights.source} are neither in {folder} nor in {target.parent}, and "
            f"could not be downloaded ({error}): fetch {address} where there is a network, and put "
            f"it there as {folder / target.name}"
        ) from error
    finally:
        socket.setdefaulttimeout(patience)
    return target
