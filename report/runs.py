"""Every run: a row of the list, and a drawer that holds all that is known of it."""

import os
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

from benchmarks.matrix import cell_values
from qkd.spec import History, Learner
from qkd.spec.value import DIGEST_LENGTH
from report import words
from report.cells import Reading, Readings
from report.commands import cell_command, varied
from report.facts import hardware, local_changes
from report.integers import LayerRow, in_a_word, in_full, in_short, is_proven, layer_rows
from report.left_out import in_words as in_words_left_out
from report.logs import tail
from report.outcomes import Outcome, Records, Status
from report.statistics import noise_band
from report.table import Cell, Row, Table, number, row, table
from report.values import Difference, base_of, base_table, differences, flat
from report.words import NONE, bracket, fixed


class Link(NamedTuple):
    """A record: its digest, the phase that it ends in, its status, and its folder as seen from the
    page; no address where there is none."""

    digest: str
    phase: str
    status: str
    address: str


class Drawer(NamedTuple):
    """All that is known of a run. ``anchor`` is its permalink, ``back`` its row of the list;
    ``layers_elsewhere`` says that its layers are left to its records."""

    anchor: str
    back: str
    name: str
    setting: str
    status: str
    result: str
    digest: str
    message: str
    history: tuple[str, ...]
    differences: tuple[Difference, ...]
    chain: tuple[Link, ...]
    command: str
    environment: tuple[str, ...]
    bits: str
    proof: str
    layers: tuple[LayerRow, ...]
    layers_elsewhere: bool
    log: str


class Runs(NamedTuple):
    """The list of runs, their drawers in the same order, and the values that most of them have."""

    table: Table
    drawers: tuple[Drawer, ...]
    base: Table


def runs(readings: Readings, page: Path, taken: set[str]) -> Runs:
    """One row and one drawer for each cell; ``page`` is the folder of the page, ``taken`` its
    anchors so far."""
    keys = varied(readings)
    name = "-".join(readings.run.key)
    values = [flat(reading.cell.history) for reading in readings.cells]
    base = base_of(values)
    named = [key for key in keys if key not in ("method", "bits")]
    rows, drawers = [], []
    first_seeds: set[tuple[object, ...]] = set()
    for reading, own in zip(readings.cells, values, strict=True):
        anchor = _anchor(reading, readings, taken)
        path = readings.run.records.path(reading.cell.history)
        rows.append(_row(reading, path, anchor, named))
        of_method = reading.setting, reading.cell.method.name
        has_layers = reading.outcome.result is not None and of_method not in first_seeds
        first_seeds |= {of_method} if has_layers else set()
        drawers.append(
            Drawer(
                anchor=anchor,
                back=f"row-{anchor}",
                name=_name(reading),
                setting="; ".join(filter(None, (reading.setting.label, reading.recipe))),
                status=reading.status.value,
                result=_result(reading, path),
                digest=reading.cell.history.digest,
                message=reading.message,
                history=tuple(in_words(reading.cell.history)),
                differences=differences(own, base),
                chain=_links(reading, path, readings.run.records, page),
                command=cell_command(reading.cell, readings, keys),
                environment=tuple(_environment(reading.outcome)),
                bits=in_short(reading),
                proof=in_full(reading) if has_layers or not is_proven(reading) else "",
                layers=tuple(layer_rows(reading)) if has_layers else (),
                layers_elsewhere=not has_layers and bool(layer_rows(reading)),
                log=tail(reading.outcome.path / "log.txt"),
            )
        )
    return Runs(_table(rows, named, name), tuple(drawers), base_table(base, f"{name}-base"))


def _anchor(reading: Reading, readings: Readings, taken: set[str]) -> str:
    digest = reading.cell.history.digest
    anchor = digest if digest not in taken else f"{'-'.join(readings.run.key)}-{digest}"
    taken.add(anchor)
    return anchor


def _name(reading: Reading) -> str:
    bits = f" {reading.cell.bits.label}" if reading.cell.bits else ""
    return f"{reading.cell.method.name}{bits}, seed {reading.cell.seed}"


def _table(rows: Sequence[Row], named: Sequence[str], name: str) -> Table:
    return table(
        f"{name}-runs",
        "Every run",
        [
            "method", *named, "bits", number("seed"), "status", number("test top-1, %"),
            number("best held-out"), number("teacher"), number("seconds"), number("images/s"),
            number("integer agreement"), "stage",
        ],
        rows,
        caption=f"{words.RUNS} {words.BAND} {words.AUDITED}",
    )  # fmt: skip


def _row(reading: Reading, path: Sequence[Outcome], anchor: str, named: Sequence[str]) -> Row:
    cell, result = reading.cell, reading.outcome.result
    values = cell_values(cell)
    return row(
        Cell(cell.method.name, link=f"#{anchor}"),
        *(values[key] for key in named),
        cell.bits.label if cell.bits else "fp",
        str(cell.seed),
        Cell(reading.status.value, kind="state", notes=tuple(filter(None, (_short(reading),)))),
        Cell(fixed(reading.top1), aside=_band(reading)),
        fixed(reading.best_top1),
        fixed(reading.teacher_top1),
        f"{_seconds(path):.0f}" if result else NONE,
        f"{result.images_per_second:.0f}" if result else NONE,
        in_a_word(reading) or NONE,
        Cell(cell.history.digest, kind="code"),
        anchor=f"row-{anchor}",
    )


def _result(reading: Reading, path: Sequence[Outcome]) -> str:
    """What came out, and how long it took; empty where the run has no result."""
    result = reading.outcome.result
    if result is None:
        return ""
    known = [
        f"test top-1 {fixed(reading.top1)} % {_band(reading)}",
        f"best held-out {fixed(reading.best_top1)} %" if reading.best_top1 is not None else "",
        f"its teacher at the end {fixed(reading.teacher_top1)} %" if reading.teacher_top1 else "",
        f"{_seconds(path):.0f} s of training on its path",
        f"{result.images_per_second:.0f} images/s in its last stage",
        in_words_left_out(reading.left_out) if reading.left_out else "",
    ]
    return "; ".join(filter(None, known))


def _seconds(path: Sequence[Outcome]) -> float:
    return sum(outcome.result.seconds for outcome in path if outcome.result)


def _short(reading: Reading, most: int = 200) -> str:
    """Why the run has no number, shortened; the drawer has all of it."""
    text = reading.message
    return text if len(text) <= most else f"{text[:most]}\N{HORIZONTAL ELLIPSIS}"


def _band(reading: Reading) -> str:
    """The noise of the test set on a cell that is done; empty where it is not."""
    if reading.top1 is None or reading.outcome.result is None:
        return ""
    student = reading.outcome.result.student
    return bracket(*noise_band(student.correct1, student.images)[1:3])


def in_words(history: History) -> list[str]:
    """What a student and its teacher have been through, a sentence for each."""
    learners = [("student", history.student), ("teacher", history.teacher)]
    found = []
    for side, learner in learners:
        if learner is None:
            continue
        begin = _beginning(learner)
        bits = learner.quantization.bits if learner.quantization else None
        edge = f", quantized to {bits.label}, first and last layer {bits.edge} bits" if bits else ""
        found.append(f"{side}: {learner.network.name}, {begin}{edge}")
    found += [
        f"{part.phase.name}, {part.steps} steps"
        + (", the teacher learns too" if part.phase.trains_teacher else "")
        for part in history.parts
    ]
    return found


def _beginning(learner: Learner) -> str:
    """How a network began: pre-trained here, with ready weights, or at random."""
    weights = learner.start.student.weights if learner.start else learner.weights
    if weights is not None:
        file = weights.source.removeprefix("file:").rpartition("/")[2]
        return f"from the ready weights {file} (sha256 {weights.sha256[:12]})"
    if learner.start is not None:
        return f"pre-trained for {learner.start.steps} steps"
    return "from random weights"


def _links(
    reading: Reading, path: Sequence[Outcome], records: Records, page: Path
) -> tuple[Link, ...]:
    """What the networks began with, then each stage; a skipped cell's records may be none."""
    history = reading.cell.history
    learners = [learner for learner in (history.student, history.teacher) if learner]
    starts = [records.outcome(learner.start) for learner in learners if learner.start]
    every = {outcome.path: outcome for outcome in (*starts, *path)}
    last = history.parts[-1].phase.name if history.parts else ""
    return tuple(_link(outcome, page, last) for outcome in every.values())


def _link(outcome: Outcome, page: Path, last: str) -> Link:
    """``last`` is the phase of the run's own end, of which there may be no record yet."""
    address = f"{_relative(outcome.path.parent, page)}/{outcome.path.name}"
    there = outcome.status not in (Status.MISSING, Status.SKIPPED, Status.BLOCKED)
    return Link(
        digest=outcome.path.name[-DIGEST_LENGTH:],
        phase=outcome.stage.label if outcome.stage else last,
        status=outcome.status.value,
        address=f"{quote(address)}/" if there else "",
    )


@cache
def _relative(folder: Path, page: Path) -> str:
    """The folder as seen from that of the page; the same for all records in it."""
    return Path(os.path.relpath(folder.resolve(), page.resolve())).as_posix()


def _environment(outcome: Outcome) -> list[str]:
    environment = outcome.environment
    if environment is None:
        return []
    changes = f" {local_changes(environment)}".rstrip()
    known = [
        f"torch {environment.torch}" if environment.torch else "",
        hardware(outcome),
        f"host {environment.host}" if environment.host else "",
        f"commit {environment.commit[:12]}{changes}" if environment.commit else "commit unknown",
    ]
    return [text for text in known if text]
