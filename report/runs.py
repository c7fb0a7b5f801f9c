"""What can be said of each cell for the list of runs: its path, its records, its command."""

import os
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

import benchmarks
from benchmarks.matrix import cell_values
from qkd.spec import History, Learner
from report.cells import Reading, Readings
from report.curves import chain
from report.integers import LayerRow, in_full, in_short, layer_rows
from report.outcomes import Environment, Outcome, Records
from report.statistics import noise_band
from report.words import bracket, duration, fixed

TARGETS = ("ablation", "rivals")


class Link(NamedTuple):
    """A record: its name, its status, and its folder as seen from the page."""

    name: str
    status: str
    address: str


class RunView(NamedTuple):
    """A line of the list of runs. ``anchor`` is its permalink on the page, ``band`` the noise of
    the test set; ``integers``, ``proof`` and ``layers`` say what is known of its bits."""

    anchor: str
    name: str
    setting: str
    status: str
    top1: str
    band: str
    seconds: str
    speed: str
    digest: str
    message: str
    history: tuple[str, ...]
    chain: tuple[Link, ...]
    command: str
    environment: tuple[str, ...]
    integers: str
    proof: str
    layers: tuple[LayerRow, ...]


def run_views(readings: Readings, page: Path, taken: set[str]) -> list[RunView]:
    """One for each cell; ``page`` is the folder of the page, ``taken`` its anchors so far."""
    varied = _varied(readings)
    return [_view(reading, readings, page, taken, varied) for reading in readings.cells]


def _varied(readings: Readings) -> list[str]:
    """The keys by which ONLY= must pick: method, bits, and what else the cells differ in."""
    values = [cell_values(reading.cell) for reading in readings.cells]
    return [
        key
        for key in ("dataset", "student", "teacher", "bits", "method")
        if key in ("method", "bits") or len({value[key] for value in values}) > 1
    ]


def _view(
    reading: Reading, readings: Readings, page: Path, taken: set[str], varied: list[str]
) -> RunView:
    cell, result, records = reading.cell, reading.outcome.result, readings.run.records
    digest = cell.history.digest
    anchor = digest if digest not in taken else f"{'-'.join(readings.run.key)}-{digest}"
    taken.add(anchor)
    path = chain(reading, records)
    bits = f" {cell.bits.label}" if cell.bits else ""
    seconds = [outcome.result.seconds for outcome in path if outcome.result]
    return RunView(
        anchor=anchor,
        name=f"{cell.method.name}{bits}, seed {cell.seed}",
        setting="; ".join(filter(None, (reading.setting.label, reading.recipe))),
        status=reading.status.value,
        top1=fixed(reading.top1),
        band=_band(reading),
        seconds=duration(sum(seconds)) if result else fixed(None),
        speed=f"{result.images_per_second:.0f}" if result else fixed(None),
        digest=digest,
        message=reading.message,
        history=tuple(in_words(cell.history)),
        chain=tuple(_link(outcome, page) for outcome in _starts(cell.history, records) + path),
        command=_command(reading, readings, varied),
        environment=tuple(_environment(reading.outcome)),
        integers=in_short(reading),
        proof=in_full(reading),
        layers=tuple(layer_rows(reading)),
    )


def _band(reading: Reading) -> str:
    """The noise of the test set on a cell that is done; empty where it is not."""
    if reading.top1 is None or reading.outcome.result is None:
        return ""
    student = reading.outcome.result.student
    return bracket(*noise_band(student.correct1, student.images)[1:3])


def _command(reading: Reading, readings: Readings, varied: list[str]) -> str:
    """What runs the cell, or goes on with it, from a shell in the repository."""
    values = cell_values(reading.cell)
    only = " ".join(f"{key}={values[key]}" for key in varied)
    return f"{command(*readings.run.key)} ONLY='{only}' SEEDS={reading.cell.seed}"


def shortest_command(matrix: str, scale: str) -> str:
    """As `command`, by the matrix's own target where it has one."""
    return f"make {matrix}" if matrix in TARGETS and scale == "laptop" else command(matrix, scale)


def command(matrix: str, scale: str) -> str:
    """What runs a matrix at a scale; a matrix that is not ours is named by the user's own file."""
    ours = (Path(benchmarks.__file__).parent / f"{matrix}.py").exists()
    return f"make run MATRIX={matrix if ours else f'path/to/{matrix}.py'} SCALE={scale}"


def in_words(history: History) -> list[str]:
    """What a student and its teacher have been through, a sentence for each."""
    learners = [("student", history.student), ("teacher", history.teacher)]
    words = []
    for side, learner in learners:
        if learner is None:
            continue
        begin = _beginning(learner)
        bits = learner.quantization.bits if learner.quantization else None
        edge = f", quantized to {bits.label}, first and last layer {bits.edge} bits" if bits else ""
        words.append(f"{side}: {learner.network.name}, {begin}{edge}")
    words += [
        f"{part.phase.name}, {part.steps} steps"
        + (", the teacher learns too" if part.phase.trains_teacher else "")
        for part in history.parts
    ]
    return words


def _beginning(learner: Learner) -> str:
    """How a network began: pre-trained here, with ready weights, or at random."""
    weights = learner.start.student.weights if learner.start else learner.weights
    if weights is not None:
        file = weights.source.removeprefix("file:").rpartition("/")[2]
        return f"from the ready weights {file} (sha256 {weights.sha256[:12]})"
    if learner.start is not None:
        return f"pre-trained for {learner.start.steps} steps"
    return "from random weights"


def _starts(history: History, records: Records) -> list[Outcome]:
    learners = [learner for learner in (history.student, history.teacher) if learner]
    return [records.outcome(learner.start) for learner in learners if learner.start]


def _link(outcome: Outcome, page: Path) -> Link:
    address = Path(os.path.relpath(outcome.path.resolve(), page.resolve())).as_posix()
    return Link(outcome.path.name, outcome.status.value, f"{quote(address)}/")


def _environment(outcome: Outcome) -> list[str]:
    environment = outcome.environment
    if environment is None:
        return []
    changes = f" {local_changes(environment)}".rstrip()
    return [
        f"torch {environment.torch}" if environment.torch else "",
        hardware(outcome),
        f"host {environment.host}" if environment.host else "",
        f"commit {environment.commit[:12]}{changes}" if environment.commit else "commit unknown",
    ]


def local_changes(environment: Environment) -> str:
    """``with local changes``, or that it is not known; empty where there were none."""
    if environment.dirty is None:
        return "local changes unknown"
    return "with local changes" if environment.dirty else ""


def hardware(outcome: Outcome) -> str:
    """``AMD EPYC (cpu), 1 thread``; empty where it is not recorded."""
    environment = outcome.environment
    if environment is None or not environment.device:
        return ""
    threads = f"{environment.threads} thread{'' if environment.threads == 1 else 's'}"
    return f"{environment.device_name or 'unnamed device'} ({environment.device}), {threads}"
