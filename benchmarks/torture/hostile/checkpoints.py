"""Hostile checkpoints: refused, or read to the very content that was saved."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from hypothesis import strategies as st

from benchmarks.torture.ends import same
from benchmarks.torture.figures import Row
from benchmarks.torture.hostile.outcome import LOST, SILENT, Outcomes
from benchmarks.torture.hostile.texts import inputs
from qkd.records.record import Record
from qkd.training import checkpoint
from qkd.training.checkpoint import BadCheckpoint


class _Touch:
    """Unpickled by whoever runs what a pickle says, it makes a file."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return open, (str(self._path), "w")


def checkpoints(count: int, record: Record, folder: Path, examples: list[str]) -> Row:
    """So many, each damaged from the record's own: as one that a stage goes on from by itself, and
    as one whose sha256 its result knows."""
    canary = folder / "executed"
    whole = record.checkpoint_file.read_bytes()
    true = checkpoint.load(record.checkpoint_file, record.digest)
    sha256 = record.read_json(record.result_file)["checkpoint_sha256"]
    outcomes = Outcomes("checkpoints", canary, examples)
    path = folder / "checkpoint.pt"
    for number, data in enumerate(inputs(_by_hand(whole, true, canary), _damaged(whole), count)):
        path.write_bytes(data)
        known = sha256 if number % 2 else None
        read = _tried(lambda known=known: checkpoint.load(path, record.digest, known))  # type: ignore[misc]
        outcomes.count(is_refused=read is None)
        outcomes.look_for_execution(f"input {number}")
        if read is not None and not same(read, true):
            outcomes.fault(SILENT, f"input {number} is read as something else")
        if path.read_bytes() != data:
            outcomes.fault(LOST, f"input {number} was changed")
    return outcomes.row()


def _tried(load: Callable[[], dict[str, Any]]) -> dict[str, Any] | None:
    """What was read; None where it was refused in words."""
    try:
        return load()
    except BadCheckpoint:
        return None


def _by_hand(whole: bytes, true: dict[str, Any], canary: Path) -> list[bytes]:
    touch = _Touch(canary)
    weight = max(true["student"]["network"].values(), key=torch.numel)
    return [
        _saved({**true, "more": touch}),
        _saved({**true, "more": touch}, _use_new_zipfile_serialization=False),
        _with_a_bit_flipped(whole, weight),
        b"",
        _saved(touch),
        _saved({**true, "student": touch}, _use_new_zipfile_serialization=False),
        b"not a checkpoint\n",
        _saved({**true, "digest": "0" * 16}),
        _saved({**true, "version": 99}),
        _saved([true]),
        _saved({}),
        whole[: len(whole) // 2],
        whole[:-1],
        whole + b"x",
        b"version https://git-lfs.github.com/spec/v1\n",
        b"<!doctype html><title>404</title>",
        b"PK\x03\x04",
        b"\x80\x02}q\x00.",
    ]


def _with_a_bit_flipped(whole: bytes, weight: torch.Tensor) -> bytes:
    """As a failing disk leaves it: the archive in order, one bit of a weight not."""
    stored = weight.as_strided((weight.numel(),), (1,))  # as it lies there: channels last
    place = whole.index(stored.numpy().tobytes())
    return _changed(whole, [(place, whole[place] ^ 1)])


def _saved(content: Any, **options: Any) -> bytes:
    buffer = io.BytesIO()
    torch.save(content, buffer, **options)
    return buffer.getvalue()


def _damaged(whole: bytes) -> st.SearchStrategy[bytes]:
    """Cut anywhere, or up to four bytes of it changed."""
    place = st.integers(0, len(whole) - 1)
    changes = st.lists(st.tuples(place, st.integers(0, 255)), min_size=1, max_size=4)
    return place.map(lambda end: whole[:end]) | changes.map(lambda them: _changed(whole, them))


def _changed(whole: bytes, changes: list[tuple[int, int]]) -> bytes:
    data = bytearray(whole)
    for place, value in changes:
        data[place] = value
    return bytes(data)
