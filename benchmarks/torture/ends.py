"""Whether two records end in the same state, bit for bit."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from qkd.records.record import Record
from qkd.training import checkpoint

STATE = ("digest", "step", "student", "teacher", "best")
CLOCK = ("seconds", "images_per_second")  # of a line of metrics
SCORES = ("steps", "student", "teacher", "held_out", "floor_hits", "weights_sha256")


def differences(record: Record, undisturbed: Record) -> list[str]:
    """What of a record is not as in the one that nothing disturbed: networks, momentum, intervals
    and best held-out top-1 bit for bit, lines of metrics, scores, histograms, which files there
    are. Times and memory aside."""
    try:
        return list(_differences(record, undisturbed))
    except (OSError, ValueError) as error:
        return [f"{type(error).__name__}: {error}"]


def _differences(record: Record, undisturbed: Record) -> Iterator[str]:
    both = (record, undisturbed)
    one, other = (_state(each) for each in both)
    yield from (name for name in STATE if not same(one[name], other[name]))
    if _lines(record) != _lines(undisturbed):
        yield "metrics.jsonl"
    first, second = (each.read_json(each.result_file) for each in both)
    yield from (f"result.json, {name}" for name in SCORES if first.get(name) != second.get(name))
    if _bytes(record.histograms_file) != _bytes(undisturbed.histograms_file):
        yield "histograms.json"
    files = [{file.name for file in each.path.iterdir()} - {"log.txt"} for each in both]
    if files[0] != files[1]:
        yield f"files {sorted(files[0] ^ files[1])}"


def same(one: Any, other: Any) -> bool:
    """Whether two checkpoints' contents are the same, tensors bit for bit."""
    if isinstance(one, torch.Tensor):
        alike = isinstance(other, torch.Tensor) and one.dtype == other.dtype
        return alike and one.shape == other.shape and _raw(one) == _raw(other)
    if isinstance(one, dict):
        return (
            isinstance(other, dict)
            and list(one) == list(other)
            and all(same(one[key], other[key]) for key in one)
        )
    if isinstance(one, (list, tuple)):
        alike = type(one) is type(other) and len(one) == len(other)
        return alike and all(map(same, one, other))
    return type(one) is type(other) and bool(one == other)


def _raw(tensor: torch.Tensor) -> bytes:
    flat = tensor.detach().contiguous().reshape(-1).view(torch.uint8)
    return flat.numpy().tobytes()


def _state(record: Record) -> dict[str, Any]:
    content = checkpoint.load(record.checkpoint_file, record.digest)
    for name in ("student", "teacher"):
        optimiser = content[name]["optimiser"] if content[name] else None
        for group in optimiser["param_groups"] if optimiser else ():
            del group["lr"]  # of the last step; set anew before each step
    return content


def _lines(record: Record) -> list[dict[str, Any]]:
    """None where the stage was too short for one."""
    lines = map(json.loads, (_bytes(record.metrics_file) or b"").splitlines())
    return [{name: of for name, of in line.items() if name not in CLOCK} for line in lines]


def _bytes(path: Path) -> bytes | None:
    return path.read_bytes() if path.exists() else None
