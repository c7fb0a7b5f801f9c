"""The state of a stage on disk: what a killed run goes on from, and what the next stage needs."""

import hashlib
import io
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from qkd.records.files import write_atomically
from qkd.training.step import Side

VERSION = 1


class BadCheckpoint(ValueError):
    """A checkpoint that cannot be used: damaged, foreign, or of another version."""


def save(path: Path, content: dict[str, Any]) -> str:
    """Writes a checkpoint, whole or not at all; returns its sha256.

    Raises OSError (a full disk), leaving the previous checkpoint as it was.
    """
    buffer = io.BytesIO()
    torch.save({"version": VERSION, **content}, buffer)
    data = buffer.getvalue()
    write_atomically(path, data)
    return hashlib.sha256(data).hexdigest()


def load(path: Path, digest: str, sha256: str | None = None) -> dict[str, Any]:
    """A checkpoint of the history ``digest``, on the CPU; nothing in it is executed.

    Raises BadCheckpoint, naming the file and what to do.
    """
    try:
        data = path.read_bytes()
        if sha256 is not None and hashlib.sha256(data).hexdigest() != sha256:
            raise ValueError("its sha256 is not the one in result.json beside it")
        content = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
        if not isinstance(content, dict) or content.get("version") != VERSION:
            raise ValueError(f"it is not a checkpoint of version {VERSION}")
        if content.get("digest") != digest:
            raise ValueError(f"it belongs to {content.get('digest')!r}, not {digest!r}")
        if sha256 is None:
            _require_whole(data)
    except FileNotFoundError:
        raise
    except Exception as error:  # torch.load raises what the file makes it raise
        # torch's own words end in advice to load the file unsafely.
        ours = isinstance(error, (OSError, ValueError))
        reason = error if ours else f"it is damaged, or foreign ({type(error).__name__})"
        raise BadCheckpoint(
            f"{path} cannot be used: {reason}. Remove the folder {path.parent} to train it again"
        ) from error
    return content


def _require_whole(data: bytes) -> None:
    """Raises ValueError where a part of the archive is not what its CRC-32 says: torch passes over
    those, and would go on from changed weights."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        damaged = archive.testzip()
    if damaged is not None:
        raise ValueError(f"{damaged} in it is damaged")


def side_state(side: Side) -> dict[str, Any]:
    """A side's network, optimiser, floors and hooks (where it has any), ready to be saved."""
    hooks = {"hooks": [hook.state_dict() for hook in side.hooks]} if side.hooks else {}
    return {
        "network": side.network.state_dict(),
        "optimiser": side.optimiser.state_dict() if side.optimiser else None,
        "floors": side.floors,
        "floor_hits": int(side.floor_hits),
        **hooks,
    }


def weights_sha256(state: Mapping[str, Tensor]) -> str:
    """A digest of a network's state that says nothing of its file: the same wherever the tensors
    are the same, bit for bit.

    Names, types, shapes and values (row by row, whatever the memory format), sorted by name.
    """
    digest = hashlib.sha256()
    for name, tensor in sorted(state.items()):
        digest.update(f"{name}\0{tensor.dtype}\0{list(tensor.shape)}\n".encode())
        values = tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8)
        digest.update(values.numpy().tobytes())
    return digest.hexdigest()
