"""Ready weights: a file's content becomes the state of a network, or an error that says why not."""

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import safetensors.torch
from safetensors import SafetensorError
from torch import Tensor, nn

from qkd.models.buffers import masks
from qkd.spec import Weights
from qkd.weights.files import BadWeights, content_of, place
from qkd.weights.fitting import differences, listed, require_finite
from qkd.weights.unpickling import StandIn, UnsafeFile, unpickled

NESTED = 3  # levels of entries within which tensors are looked for, to name them
HEADER = 8  # bytes of a safetensors file that say how long its JSON header is


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
            types, shapes or values do not fit. All that do not fit are listed.
    """
    path = place(weights, folder)
    state = _renamed(_state(weights, path), weights, path)
    own = network.state_dict()
    wrong = differences(state, own)
    if wrong:
        raise BadWeights(
            f"{path} does not fit {type(network).__name__}: {'; '.join(wrong)}. Correct the "
            "network's arguments, say by rename={...} how the file's names become the network's, "
            "or by drop=(...) which are no weights of it"
        )
    require_finite(state, masks(network), path)
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
        content = _read(data)
    except UnsafeFile as error:
        raise BadWeights(f"{path} cannot be read as weights: {error}") from error
    return _tensors(content, weights, path)


def _read(data: bytes) -> Any:
    """The content of a file of safetensors or of torch.save. Raises UnsafeFile."""
    header = int.from_bytes(data[:HEADER], "little")
    if data[HEADER : HEADER + 1] != b"{" or header > len(data):
        return unpickled(data)
    try:
        return safetensors.torch.load(data)
    except (SafetensorError, ValueError, KeyError) as error:
        raise UnsafeFile(f"it is a damaged file of safetensors ({error})") from error


def _tensors(content: Any, weights: Weights, path: Path) -> Mapping[str, Tensor]:
    """The weights among what the file holds, without what is to be dropped."""
    entries = listed(_entries(content))
    hint = f" (tensors by name are in {entries})" if entries else ""
    if weights.entry and isinstance(content, Mapping):
        known = listed(map(str, content))
        content = _entry(content, weights.entry)
        if content is None:
            raise BadWeights(f"{path} has no entry {weights.entry!r}, but {known}{hint}")
    if not isinstance(content, Mapping) or not content:
        raise BadWeights(f"{path} holds {_kind(content)}, where tensors by name are needed")
    kept = _kept({str(name): value for name, value in content.items()}, weights, path)
    other = [name for name, value in kept.items() if not isinstance(value, Tensor)]
    if other:
        raise BadWeights(
            f"{path} holds more than tensors by name: {listed(other)}. Say by entry=... which of "
            f"its entries are the weights{hint}, or by drop=(...) which names are none"
        )
    return kept


def _entry(content: Mapping[Any, Any], entry: str) -> Any:
    """The entry of that name, or of its parts one within the other; None: there is none."""
    if entry in content:
        return content[entry]
    for name, inner in content.items():
        if isinstance(inner, Mapping) and entry.startswith(f"{name}."):
            found = _entry(inner, entry.removeprefix(f"{name}."))
            if found is not None:
                return found
    return None


def _entries(content: Any, within: str = "", levels: int = NESTED) -> Iterator[str]:
    """The names of the entries that are tensors by name."""
    for name, inner in content.items() if isinstance(content, Mapping) and levels else ():
        if isinstance(inner, Mapping) and inner:
            if any(isinstance(value, Tensor) for value in inner.values()):
                yield f"{within}{name}"
            yield from _entries(inner, f"{within}{name}.", levels - 1)


def _kind(content: Any) -> str:
    if isinstance(content, StandIn):
        return f"an object of {type(content).__name__}"
    return type(content).__name__


def _kept(content: dict[str, Any], weights: Weights, path: Path) -> dict[str, Any]:
    """What no name of ``weights.drop`` fits. Raises BadWeights where one of them fits nothing."""
    for drop in weights.drop:
        fitting = [name for name in content if _fits(name, drop)]
        if not fitting:
            raise BadWeights(
                f"{path}: drop={drop!r} fits no name in it: there are {listed(content)}"
            )
    return {
        name: value
        for name, value in content.items()
        if not any(_fits(name, drop) for drop in weights.drop)
    }


def _fits(name: str, drop: str) -> bool:
    if drop.endswith("."):
        return name.startswith(drop)
    return name == drop or name.endswith(f".{drop}")


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
