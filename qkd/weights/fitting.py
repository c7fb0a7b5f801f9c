"""Whether the tensors of a file are the state that a network needs, and what keeps them from it."""

from collections.abc import Container, Iterable, Mapping
from pathlib import Path

import torch
from torch import Tensor

from qkd.models.buffers import is_sound
from qkd.weights.files import BadWeights

LISTED = 8  # names in an error
FLOATS = (torch.float64, torch.float32, torch.bfloat16, torch.float16)


def differences(state: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> list[str]:
    """What keeps the state from fitting the network's own, in words; nothing where it fits."""
    missing = [name for name in own if name not in state and not _counts_batches(name)]
    unexpected = [name for name in state if name not in own]
    both = [(name, state[name], own[name]) for name in own if name in state]
    types = [
        f"{name} {_in_words(value)} for {of.dtype}"
        for name, value, of in both
        if not _is_of_type(name, value, of)
    ]
    shapes = [
        f"{name} {tuple(value.shape)} for {tuple(of.shape)}"
        for name, value, of in both
        if _is_plain(value) and value.shape != of.shape
    ]
    kinds = {
        "missing": missing,
        "unexpected": unexpected,
        "of another type": types,
        "of another shape": shapes,
    }
    return [f"{kind}: {listed(names)}" for kind, names in kinds.items() if names]


def require_finite(state: Mapping[str, Tensor], meant: Container[str], path: Path) -> None:
    """Raises BadWeights where a value of a state that fits is not finite; ``meant`` names masks,
    which hold infinities by design."""
    broken = [name for name, value in state.items() if not is_sound(value, name in meant)]
    if broken:
        raise BadWeights(f"{path} holds values that are not finite in {listed(broken)}")


def listed(names: Iterable[str]) -> str:
    """The first names of some, in one line, and how many there are more."""
    found = [name if name.isprintable() else repr(name) for name in names]
    more = f" and {len(found) - LISTED} more" if len(found) > LISTED else ""
    return ", ".join(found[:LISTED]) + more


def _counts_batches(name: str) -> bool:
    return name.rpartition(".")[2] == "num_batches_tracked"


def _is_of_type(name: str, value: Tensor, own: Tensor) -> bool:
    """Whether the values mean what the network's do: a code of 8 bits, say, is no weight, and
    copying it into one would be no error."""
    if not _is_plain(value):
        return False
    if own.dtype in FLOATS:
        return value.dtype in FLOATS
    return value.dtype == own.dtype or _is_count(name, value, own)


def _is_count(name: str, value: Tensor, own: Tensor) -> bool:
    """Counts may be of any integer type, those of batches of floats too: averages leave such."""
    if own.dtype.is_floating_point or own.dtype in (torch.bool, *_COMPLEX):
        return False
    integer = not value.dtype.is_floating_point and value.dtype not in (torch.bool, *_COMPLEX)
    return integer or (_counts_batches(name) and value.dtype in FLOATS)


_COMPLEX = (torch.complex32, torch.complex64, torch.complex128)


def _is_plain(value: Tensor) -> bool:
    return (
        value.layout == torch.strided
        and not value.is_quantized
        and not value.is_meta
        and not value.is_nested
    )


def _in_words(value: Tensor) -> str:
    kinds = {
        "quantized": value.is_quantized,
        "without values (meta)": value.is_meta,
        "nested": value.is_nested,
        "sparse": value.layout != torch.strided,
    }
    return " ".join([*(kind for kind, is_so in kinds.items() if is_so), str(value.dtype)])
