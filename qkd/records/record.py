"""What a stage leaves behind: a directory with a fixed set of files (torch-free)."""

import json
import os
import time
from collections.abc import Iterable
from enum import StrEnum
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from qkd.records import lock
from qkd.records.files import write_atomically
from qkd.records.schema import Content, Failure, Line, Result
from qkd.spec import INTERVAL, History, Stage
from qkd.spec.value import DIGEST_LENGTH, decode, encode

C = TypeVar("C", bound=Content)


class State(StrEnum):
    """The state of a record, read off its directory."""

    DONE = "done"
    FAILED = "failed"
    RUNNING = "running"
    MISSING = "missing"


class BadRecord(ValueError):
    """A record that cannot be read: truncated, edited by hand, or of another version."""


class _Proven(msgspec.Struct):
    """Of a result, what alone is read of many."""

    integer: msgspec.Raw | None = None
    integer_refused: str = ""


class _File:
    """The path of one of a record's files, made where it is asked for: of most records of a large
    plan one is."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __get__(self, record: "Record", _: type | None = None) -> Path:
        return record.path / self._name


class Record:
    """The directory of one stage. Nothing but its own stage writes into it."""

    stage_file = _File("stage.json")
    environment_file = _File("env.json")
    code_file = _File("code.json")
    metrics_file = _File("metrics.jsonl")
    histograms_file = _File("histograms.json")
    checkpoint_file = _File("checkpoint.pt")
    result_file = _File("result.json")
    failed_file = _File("failed.json")
    lock_file = _File("lock")
    log_file = _File("log.txt")

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def digest(self) -> str:
        """The digest of the history that the record's state has been through."""
        return self.path.name[-DIGEST_LENGTH:]

    def state(self) -> State:
        """Done, failed, running or missing (nothing there, or what a stopped run left)."""
        if self.result_file.exists():
            return State.DONE
        if self.failed_file.exists():
            return State.FAILED
        if lock.is_held(self.lock_file):
            return State.RUNNING
        return State.MISSING

    def open(self, stage: Stage) -> None:
        """Creates the directory with its stage.json, where it is not there."""
        self.path.mkdir(parents=True, exist_ok=True)
        write_atomically(self.stage_file, encode(stage))

    def stage(self) -> Stage:
        """The stage, read back. Raises BadRecord."""
        try:
            return decode(self.stage_file.read_bytes(), Stage)
        except (OSError, ValueError) as error:
            raise BadRecord(f"{self.stage_file}: {error}") from error

    def write_json(self, path: Path, content: dict[str, Any]) -> None:
        """One of the record's JSON files, whole or not at all; refuses a float not finite."""
        text = json.dumps(content, indent=2, sort_keys=True, allow_nan=False)
        write_atomically(path, text.encode() + b"\n")

    def read_json(self, path: Path) -> dict[str, Any]:
        """One of the record's JSON files. Raises BadRecord."""
        try:
            content = json.loads(path.read_bytes(), parse_constant=_refuse)
        except (OSError, ValueError, RecursionError) as error:
            raise BadRecord(f"{path}: {error}") from error
        if not isinstance(content, dict):
            raise BadRecord(f"{path}: not a JSON object")
        return content

    def write(self, path: Path, content: Content) -> None:
        """One of the record's files by its schema, whole or not at all."""
        self.write_json(path, msgspec.to_builtins(content))

    def read(self, path: Path, kind: type[C]) -> C:
        """One of the record's files by its schema. Raises BadRecord, naming the file."""
        try:
            return msgspec.convert(self.read_json(path), kind)
        except BadRecord:
            raise
        except (ValueError, ArithmeticError) as error:  # counts too large for a float, say
            raise BadRecord(f"{path}: {error}") from error

    def fail(self, error: str, message: str, trace: str = "") -> None:
        """Writes failed.json: the stage stays failed until ``make retry``."""
        failure = Failure(error=error, message=message, trace=trace, time=time.time())
        self.write(self.failed_file, failure)

    def append_metrics(self, line: Line) -> int:
        """Appends one line to metrics.jsonl; returns the file's new length in bytes."""
        text = json.dumps(msgspec.to_builtins(line), sort_keys=True, allow_nan=False)
        with self.metrics_file.open("ab") as file:
            file.write(text.encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
            return file.tell()

    def cut_metrics(self, length: int) -> None:
        """Cuts metrics.jsonl back to what the checkpoint knows of. Raises BadRecord if it lacks."""
        size = self.metrics_file.stat().st_size if self.metrics_file.exists() else 0
        if size < length:
            raise BadRecord(
                f"{self.metrics_file} has lost lines: {size} bytes, where the checkpoint knows of "
                f"{length}. Remove the folder {self.path} to train it again"
            )
        if size > length:
            os.truncate(self.metrics_file, length)

    def metrics(self) -> list[Line]:
        """The lines of metrics.jsonl. Raises BadRecord, naming the line."""
        if not self.metrics_file.exists():
            return []
        lines = []
        for number, text in enumerate(self.metrics_file.read_bytes().splitlines(), start=1):
            try:
                content = json.loads(text, parse_constant=_refuse)
                lines.append(msgspec.convert(content, Line))
            except (ValueError, ArithmeticError, RecursionError) as error:
                raise BadRecord(f"{self.metrics_file}, line {number}: {error}") from error
        return lines


def _refuse(constant: str) -> float:
    raise ValueError(f"{constant} is not a number that a record may hold")


def readable_name(history: History) -> str:
    """``resnet8-w2a2-self-study75-co-study250-s0``, for people; the digest is what counts."""
    quantization = history.student.quantization
    bits = quantization.bits.label.lower() if quantization else "fp"
    if quantization is not None and quantization.quantizer != INTERVAL:
        bits += f"-{quantization.quantizer.partition(':')[2].lower()}"
    parts = [f"{part.phase.name}{part.steps}" for part in history.parts]
    if history.student.weights is not None:
        parts.append("ready-weights")
    name = "-".join([history.student.network.name, bits, *parts, f"s{history.seed}"])
    return name.lower()[:120]


class Store:
    """The records of one writable root and any read-only ones (a reference, say).

    A record found in an earlier root hides those of the same digest in a later one.
    """

    def __init__(self, root: Path, read_only: Iterable[Path] = ()) -> None:
        self.root = root
        self.read_only = tuple(read_only)
        self._found: dict[str, Path] = {}
        self.refresh()

    def refresh(self) -> None:
        """Looks at the directories again."""
        found: dict[str, Path] = {}
        for root in (*reversed(self.read_only), self.root):
            if root.is_dir():
                for entry in os.scandir(root):
                    if entry.is_dir():
                        found[entry.name[-DIGEST_LENGTH:]] = root / entry.name
        self._found = found

    def found(self, history: History) -> Record | None:
        """The record of a history, where its directory was there when this store last looked."""
        path = self._found.get(history.digest)
        return None if path is None else Record(path)

    def states(self, histories: Iterable[History]) -> list[State]:
        """The state of each history's record, as it is now: what has no directory is missing,
        without a look at the file system for each."""
        self.refresh()
        records = map(self.found, histories)
        return [record.state() if record else State.MISSING for record in records]

    def record(self, history: History) -> Record:
        """The record of a history: where it is, or where it will be."""
        found = self.found(history)
        return found or Record(self.root / f"{readable_name(history)}-{history.digest}")

    def result(self, history: History) -> Result | None:
        """What a history's stage came to; None where it is not done, or cannot be read."""
        record = self.record(history)
        try:
            return record.read(record.result_file, Result)
        except BadRecord:
            return None

    def lacks_proof(self, history: History) -> bool:
        """Whether an integer proof of a stage that is done was left out, and can still be made."""
        record = self.record(history)
        if history.student.quantization is None or record.path.parent != self.root:
            return False
        try:
            found = msgspec.json.decode(record.result_file.read_bytes(), type=_Proven)
        except (OSError, msgspec.MsgspecError):
            return False
        asked = found.integer is not None or found.integer_refused
        return not asked and record.checkpoint_file.exists()

    def record_to_write(self, history: History) -> Record:
        """The record in the writable root, where a stage is trained again if need be."""
        record = self.record(history)
        return Record(self.root / record.path.name)

    def records(self) -> list[Record]:
        """Every record found, in the order of their names."""
        return [Record(path) for path in sorted(self._found.values())]


STAGES = "stages"
PRETRAINED = Path(__file__).resolve().parents[2] / "results" / "reference" / "pretrained"


def store_of(results: Path) -> Store:
    """The records under a results folder, with the committed pre-trained networks behind them."""
    return Store(results / STAGES, read_only=[PRETRAINED])
