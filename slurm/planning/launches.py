"""What a launch took, beside what its stages took: results/launches.jsonl, one line a launch."""

import time
from pathlib import Path
from typing import Any

from msgspec import json as decoder

from benchmarks.plan import Plan
from qkd.records.record import BadRecord, State, Store
from qkd.spec.value import Count, NotNegative, Value

FILE = "launches.jsonl"


class Launch(Value, kw_only=True):
    """One launch on one machine. Seconds: of the clock, of training steps, of integer proofs.

    ``whole``: it trained all that the matrix has to train but the networks it begins with, from
    nothing, so that its clock and its stages' seconds tell of the same work.
    """

    matrix: str
    scale: str
    time: str
    workers: Count
    stages: int
    whole: bool = True
    wall_seconds: NotNegative
    training_seconds: NotNegative
    proof_seconds: NotNegative = 0.0


def note(results: Path, launch: Launch) -> None:
    """Appends the launch to the file."""
    with (results / FILE).open("ab") as file:
        file.write(decoder.encode(launch) + b"\n")


def launches(results: Path) -> list[Launch]:
    """The launches of a results folder, oldest first; a line that cannot be read is left out."""
    found = []
    try:
        lines = (results / FILE).read_bytes().splitlines()
    except OSError:
        return []
    for line in lines:
        try:
            found.append(decoder.decode(line, type=Launch))
        except ValueError:
            continue
    return found


def taken(plan: Plan, store: Store, digests: set[str]) -> tuple[float, float]:
    """Seconds of training and of integer proofs that the records of these stages show."""
    training = proof = 0.0
    for digest in digests:
        result = result_of(store, plan, digest)
        training += _number(result.get("seconds"))
        integer = result.get("integer")
        proof += _number(integer.get("seconds")) if isinstance(integer, dict) else 0.0
    return training, proof


def result_of(store: Store, plan: Plan, digest: str) -> dict[str, Any]:
    """A stage's result.json; empty where it is not done or cannot be read."""
    record = store.record(plan.stages[digest].stage.history)
    if record.state() != State.DONE:
        return {}
    try:
        return record.read_json(record.result_file)
    except BadRecord:
        return {}


def _number(value: object) -> float:
    return float(value) if isinstance(value, (int, float)) else 0.0


def now() -> str:
    """The time, in UTC."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
