"""A file of ready weights: where it lies, its bytes and their sha256 (torch-free)."""

import hashlib
from pathlib import Path

from qkd.weights_source import Weights


class BadWeights(ValueError):
    """A file of weights that is not there, is another one, or does not fit the network."""


def sha256_of(weights: Weights, folder: Path) -> str:
    """The sha256 of the file in 64 hexadecimal digits. Raises BadWeights if it cannot be read."""
    return hashlib.sha256(content_of(weights, path_of(weights, folder))).hexdigest()


def path_of(weights: Weights, folder: Path) -> Path:
    """Where a ``file:`` lies: within the data folder, unless its source is an absolute path."""
    return folder / weights.source.removeprefix("file:")


def content_of(weights: Weights, path: Path) -> bytes:
    """The file's bytes. Raises BadWeights that says from where they cannot be read."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise BadWeights(
            f"the weights {weights.source} cannot be read from {path} ({error}): put the file "
            "there, or correct the path (it begins at the data folder, unless it is absolute)"
        ) from error
