"""What a stage left behind, read once and checked: damaged records are said to be so."""

from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import NamedTuple

import msgspec

from qkd.records.code import changes
from qkd.records.record import Record, State, Store
from qkd.records.schema import Environment, Failure, Line, Result
from qkd.spec import History, Stage
from qkd.spec.history import before, continues

# What a file that is not as it should be may raise, wherever its content is used
BAD_FILE = (OSError, ValueError, ArithmeticError, LookupError, RecursionError)


def reason(error: Exception) -> str:
    """What the error says; its kind too, where its own words would not be understood alone."""
    clear = isinstance(error, (OSError, ValueError, RecursionError))
    return str(error) if clear else f"{type(error).__name__}: {error}"


EDGE_LAYERS = 2  # the first and the last have bits of their own


class Status(StrEnum):
    """The state of a cell, in the words of the report."""

    DONE = "done"
    RUNNING = "running"
    FAILED = "failed"
    BLOCKED = "blocked"
    MISSING = "missing"
    UNREADABLE = "unreadable"
    CHANGED = "changed"
    SKIPPED = "skipped"


class Outcome(NamedTuple):
    """A stage's record: ``stage`` and ``result`` are there where the status is done.

    Changed is one that is done, but with other code of the user's than there is now.

    ``path`` is its folder, with no link in it, whether there or not. ``message`` says why a stage
    failed or cannot be read, ``trace`` where it failed. ``spent`` is what the record shows of the
    seconds that a stage without a result has trained.
    """

    status: Status
    path: Path
    stage: Stage | None = None
    result: Result | None = None
    environment: Environment | None = None
    lines: tuple[Line, ...] = ()
    message: str = ""
    trace: str = ""
    spent: float = 0.0


class Records:
    """The outcomes of the stages of a store, each read once. ``matrix_file`` is the user's that the
    command names: what lies beside it is held against the code that stages used."""

    def __init__(self, store: Store, matrix_file: Path | None = None) -> None:
        self._store, self._matrix_file = store, matrix_file
        self._outcomes: dict[str, Outcome] = {}

    def outcome(self, history: History) -> Outcome:
        """What the stage that ends in ``history`` left behind."""
        found = self._outcomes.get(history.digest)
        if found is None:
            found = _read(self._store.record(history), history, self._matrix_file)
            self._outcomes[history.digest] = found
        return found

    def path(self, history: History) -> list[Outcome]:
        """What the stages left behind that lead to ``history``, first to last; the student's start
        is not one of them, and where a record is not there the path begins after it."""
        found: list[Outcome] = []
        while True:
            outcome = self.outcome(history)
            found.append(outcome)
            if outcome.stage is None or not continues(outcome.stage):
                return found[::-1]
            earlier = before(outcome.stage)
            if earlier is None:
                return found[::-1]
            history = earlier


@cache
def _resolved(folder: Path) -> Path:
    return folder.resolve()


def _read(record: Record, history: History, matrix_file: Path | None) -> Outcome:
    found = _checked(record, history, matrix_file)
    return found._replace(path=_resolved(record.path.parent) / record.path.name)


def _checked(record: Record, history: History, matrix_file: Path | None) -> Outcome:
    try:
        state = record.state()
        if state == State.DONE:
            files = sorted({change.file for change in changes([record], matrix_file)})
            if files:
                message = f"{', '.join(files)} is not the code that it was trained with"
                return Outcome(Status.CHANGED, record.path, message=message)
            return _done(record, history)
        spent = _spent(record)
        if state != State.FAILED:
            return Outcome(Status(state.value), record.path, spent=spent)
        message, trace = _failure(record)
        return Outcome(Status.FAILED, record.path, message=message, trace=trace, spent=spent)
    except BAD_FILE as error:
        message = reason(error).replace(f"{record.path}/", "")
        return Outcome(Status.UNREADABLE, record.path, message=message)


def _done(record: Record, history: History) -> Outcome:
    """A done stage. Raises ValueError where a file is damaged or is another stage's."""
    stage = record.stage()
    if stage.history == history:
        stage = Stage(history=history, steps=stage.steps)  # one value for all that share it
    elif stage.history.digest != history.digest:
        found = stage.history.digest
        raise ValueError(f"stage.json is of the stage {found}, not of {history.digest}")
    result = record.read(record.result_file, Result)
    if result.steps != stage.history.steps:
        raise ValueError(f"result.json is of {result.steps} steps, not of {stage.history.steps}")
    _require_own_bits(result, stage)
    lines = _lines(record)
    if any(line.step > result.steps for line in lines):
        raise ValueError(f"metrics.jsonl has a step beyond the stage's last, {result.steps}")
    return Outcome(Status.DONE, record.path, stage, result, _environment(record), lines)


def _require_own_bits(result: Result, stage: Stage) -> None:
    """Raises ValueError where a layer was audited at other bits than the stage's."""
    quantization = stage.history.student.quantization
    if quantization is None:
        if result.audit:
            raise ValueError("result.json has an audit of a student in full precision")
        return
    bits, edges = quantization.bits, 0
    for layer in result.audit:
        pairs = [(layer.weights, bits.weight), (layer.activations, bits.activation)]
        found = [(one.bits, inner) for one, inner in pairs if one is not None]
        if all(own == bits.depthwise for own, _ in found):
            continue
        edges += any(own != inner for own, inner in found)
        if edges > EDGE_LAYERS or any(own not in (inner, bits.edge) for own, inner in found):
            own = " and ".join(str(own) for own, _ in found)
            raise ValueError(f"layer {layer.layer} was audited at {own} bits: {bits.label}")


_line = msgspec.json.Decoder(Line)


def _lines(record: Record) -> tuple[Line, ...]:
    """The lines of metrics.jsonl. Raises ValueError where one is none."""
    try:
        return tuple(map(_line.decode, record.metrics_file.read_bytes().splitlines()))
    except (OSError, ValueError):  # the slower way says where, or finds that all is well
        return tuple(record.metrics())


def _environment(record: Record) -> Environment:
    """What env.json says; nothing where it is not there."""
    if not record.environment_file.exists():
        return Environment()
    return record.read(record.environment_file, Environment)


def _failure(record: Record) -> tuple[str, str]:
    """What failed.json says, and the trace in it."""
    try:
        failure = record.read(record.failed_file, Failure)
    except BAD_FILE:
        return "failed.json cannot be read", ""
    return f"{failure.error}: {failure.message}".strip(": "), failure.trace


def _spent(record: Record) -> float:
    """Seconds of training that metrics.jsonl tells of; 0 where it cannot be read."""
    try:
        return float(sum(line.seconds for line in _lines(record)))
    except BAD_FILE:
        return 0.0


LOG_LINES, LOG_BYTES = 5, 1500


def log_tail(path: Path) -> str:
    """The last lines of a log, which others wrote, at most LOG_BYTES of them; empty without one."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(max(0, size - LOG_BYTES))
            text = file.read().decode("utf-8", errors="replace")
    except OSError:
        return ""
    return "\n".join(text.splitlines()[-LOG_LINES:])
