"""Ready weights: a file's content becomes the state of a network, or an error that says why not."""

import hashlib
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from qkd.models.buffers import is_sound, masks
from qkd.spec import Weights
from qkd.weights.files import BadWeights, content_of, place

LISTED = 8  # names in an error


def fill(network: nn.Module, weights: Weights, folder: Path) -> None:
    """Loads the file's weights into a network in full precision.

    Nothing in the file is executed. Counts of batches that batch norms have seen may be missing:
    nothing here depends on them.

    Args:
        network: as its factory builds it.
        weights: the file, its sha256 known, and how its names become the network's.
        folder: the data folder, in which a relative path lies.

    Raises:
        BadWeights: the file cannot be read, or is not the one that the sha256 names; or its names,
            shapes or values do not fit. All that do not fit are listed.
    """
    path = place(weights, folder)
    state = _renamed(_state(weights, path), weights, path)
    own = network.state_dict()
    wrong = _differences(state, own)
    if wrong:
        raise BadWeights(
            f"{path} does not fit {type(network).__name__}: {'; '.join(wrong)}. Correct the "
            "network's arguments, or say by rename={...} how the file's names become the network's"
        )
    meant = masks(network)
    broken = [name for name, value in state.items() if not is_sound(value, name in meant)]
    if broken:
        raise BadWeights(f"{path} holds values that are not finite in {_listed(broken)}")
    network.load_state_dict(own | state)


def _state(weights: Weights, path: Path) -> Mapping[str, Tensor]:
    """The tensors of the file by name, on the CPU."""
    data = content_of(weights, path)
    found = hashlib.sha256(data).hexdigest()
    if not weights.sha256 or not found.startswith(weights.sha256):
        correct = "" if weights.name else ", or correct the sha256 if this one is meant"
        raise BadWeights(
            f"{path} is another file: its sha256 is {found}, not {weights.sha256 or 'known yet'}. "
            f"Put the right one there{correct}"
        )
    try:
        content = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except Exception as error:  # torch.load raises what the file makes it raise
        raise BadWeights(f"{path} holds no weights that torch can load safely: {error}") from error
    return _tensors(content, weights.entry, path)


def _tensors(content: Any, entry: str, path: Path) -> Mapping[str, Tensor]:
    if entry and isinstance(content, Mapping):
        if entry not in content:
            raise BadWeights(f"{path} has no entry {entry!r}, but {_listed(map(str, content))}")
        content = content[entry]
    if not isinstance(content, Mapping) or not content:
        kind = type(content).__name__
        raise BadWeights(f"{path} holds {kind}, where tensors by name are needed")
    other = [str(name) for name, value in content.items() if not isinstance(value, Tensor)]
    if other:
        raise BadWeights(
            f"{path} holds more than tensors by name: {_listed(other)}. Say by entry=... which of "
            "its entries are the weights"
        )
    return content


def _renamed(state: Mapping[str, Tensor], weights: Weights, path: Path) -> dict[str, Tensor]:
    """The same under the network's names: of the beginnings that fit, the longest is replaced."""
    renamed: dict[str, Tensor] = {}
    for name, value in state.items():
        fitting = [old for old in weights.rename if name.startswith(old)]
        old = max(fitting, key=len, default="")
        new = weights.rename.get(old, "") + name.removeprefix(old)
        if new in renamed:
            raise BadWeights(f"{path}: rename={weights.rename} gives two tensors the name {new!r}")
        renamed[new] = value
    return renamed


def _differences(state: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> list[str]:
    """What keeps the state from fitting, in words."""
    missing = [name for name in own if name not in state and not _counts_batches(name)]
    unexpected = [name for name in state if name not in own]
    shapes = [
        f"{name} {tuple(value.shape)} for {tuple(own[name].shape)}"
        for name, value in state.items()
        if name in own and value.shape != own[name].shape
    ]
    kinds = (("missing", missing), ("unexpected", unexpected), ("of another shape", shapes))
    return [f"{kind}: {_listed(names)}" for kind, names in kinds if names]


def _counts_batches(name: str) -> bool:
    return name.endswith("num_batches_tracked")


def _listed(names: Any) -> str:
    found = list(names)
    more = f" and {len(found) - LISTED} more" if len(found) > LISTED else ""
    return ", ".join(found[:LISTED]) + more
