"""Every run: a row of the list, and a drawer that holds all that is known of it."""

import os
from collections.abc import Sequence
from functools import cache
from math import isnan
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

from benchmarks.matrix import cell_values
from qkd.records.files import printable
from qkd.spec import History, Learner
from qkd.spec.value import DIGEST_LENGTH
from report.analysis.sections import Section
from report.analysis.statistics import noise_band
from report.frames.cells import CellRow, arithmetic, left_out
from report.frames.layers import LayerRow, layers_of
from report.frames.tidy import rows
from report.page import words
from report.page.commands import cell_command, varied
from report.page.facts import hardware, local_changes
from report.page.integers import in_a_word, in_full, in_short, label
from report.page.table import Cell, Column, Table, code, number, table
from report.page.values import Difference, base_of, base_table, differences, flat
from report.reading.records import Outcome, Status
from report.texts import NONE, bracket, fixed, listed

NAMED = 3  # files that were left out, in a sentence; the records name all


class Link(NamedTuple):
    """A record: its digest, the phase that it ends in, its status, and its folder as seen from the
    page; no address where there is none."""

    digest: str
    phase: str
    status: str
    address: str


class Drawer(NamedTuple):
    """All that is known of a run. ``anchor`` is its permalink; its layers are shown, or left to its
    records where ``layers_elsewhere`` says so."""

    anchor: str
    row: CellRow
    name: str
    setting: str
    result: str
    history: tuple[str, ...]
    differences: tuple[Difference, ...]
    chain: tuple[Link, ...]
    command: str
    environment: tuple[str, ...]
    bits: str
    proof: str
    layers: tuple[LayerRow, ...]
    layers_elsewhere: bool


class Runs(NamedTuple):
    """The list of runs, their drawers in the same order, and the values that most of them have."""

    table: Table
    drawers: tuple[Drawer, ...]
    base: Table


def runs(section: Section, page: Path, taken: set[str]) -> Runs:
    """One row and one drawer for each cell; ``page`` is the folder of the page, ``taken`` its
    anchors so far."""
    run, found = section.readings.run, rows(section.cells, CellRow)
    keys = varied([row.records.cell for row in found])
    values = [flat(row.records.cell.history) for row in found]
    base = base_of(values)
    drawers = []
    first_seeds: set[tuple[str, str]] = set()
    for row, own in zip(found, values, strict=True):
        of_method = row.setting, row.method
        has_layers = row.records.own.result is not None and of_method not in first_seeds
        first_seeds |= {of_method} if has_layers else set()
        layers = tuple(layers_of(row))
        drawers.append(
            Drawer(
                anchor=_anchor(row, section, taken),
                row=row,
                name=f"{row.method}{'' if row.bits == 'fp' else f' {row.bits}'}, seed {row.seed}",
                setting="; ".join(filter(None, (row.setting, row.recipe))),
                result=_result(row),
                history=tuple(in_words(row.records.cell.history)),
                differences=differences(own, base),
                chain=_links(row, page),
                command=cell_command(row.records.cell, run, keys),
                environment=tuple(_environment(row.records.own)),
                bits=in_short(row),
                proof=in_full(row) if has_layers or not row.is_proven else "",
                layers=layers if has_layers else (),
                layers_elsewhere=not has_layers and bool(layers),
            )
        )
    name = section.anchor
    return Runs(_table(drawers, keys, name), tuple(drawers), base_table(base, f"{name}-base"))


def _anchor(row: CellRow, section: Section, taken: set[str]) -> str:
    anchor = row.stage if row.stage not in taken else f"{section.anchor}-{row.stage}"
    taken.add(anchor)
    return anchor


def _varied(key: str) -> Column[Drawer]:
    return Column(key, lambda one: cell_values(one.row.records.cell)[key])


RUN_COLUMNS: tuple[Column[Drawer], ...] = (
    Column("bits", lambda one: label(one.row)),
    number("seed", lambda one: str(one.row.seed)),
    Column("status", lambda one: Cell(one.row.status, kind="state", notes=_short(one.row))),
    number("test top-1, %", lambda one: Cell(fixed(one.row.top1), aside=_band(one.row))),
    number("test loss", lambda one: fixed(one.row.test_loss, 3)),
    number("best held-out", lambda one: fixed(one.row.best_top1)),
    number("teacher", lambda one: fixed(one.row.teacher_top1)),
    number("teacher's loss", lambda one: fixed(one.row.teacher_loss, 3)),
    number("seconds", lambda one: fixed(one.row.seconds, 0)),
    number("images/s", lambda one: fixed(one.row.images_per_second, 0)),
    number("integer agreement", lambda one: in_a_word(one.row) or NONE),
    Column("stage", lambda one: code(one.row.stage)),
)


def _table(drawers: Sequence[Drawer], keys: Sequence[str], name: str) -> Table:
    first: Column[Drawer] = Column(
        "method", lambda one: Cell(one.row.method, link=f"#{one.anchor}")
    )
    named = [_varied(key) for key in keys if key not in ("method", "bits")]
    return table(
        f"{name}-runs",
        "Every run",
        (first, *named, *RUN_COLUMNS),
        drawers,
        caption=f"{words.RUNS} {words.BAND} {words.AUDITED}",
        anchor=lambda one: f"row-{one.anchor}",
    )


def _result(row: CellRow) -> str:
    """What came out, and how long it took; empty where the run has no result."""
    if row.top1 is None or isnan(row.top1):
        return ""
    best, teacher, without = fixed(row.best_top1), fixed(row.teacher_top1), left_out(row.records)
    known = [
        f"test top-1 {fixed(row.top1)} % {_band(row)}",
        f"best held-out {best} %" if best != NONE else "",
        f"its teacher at the end {teacher} %" if teacher != NONE else "",
        f"{fixed(row.seconds, 0)} s of training on its path",
        f"{fixed(row.images_per_second, 0)} images/s in its last stage",
        left_out_text(without.training, without.test, sorted(without.files)),
    ]
    return "; ".join(filter(None, known))


def left_out_text(training: int, test: int, files: Sequence[str]) -> str:
    """What a run went without, as its photos could not be decoded; empty where that is nothing."""
    if not (training or test or files):
        return ""
    more = f"{len(files) - NAMED} more" if len(files) > NAMED else ""
    names = listed([*map(printable, files[:NAMED]), more])
    return (
        f"left out as unreadable: {training} images of training batches and {test} test images "
        f"({names})"
    )


def _short(row: CellRow, most: int = 200) -> tuple[str, ...]:
    """Why the run has no number, shortened; the drawer has all of it."""
    text = row.message
    short = text if len(text) <= most else f"{text[:most]}\N{HORIZONTAL ELLIPSIS}"
    return (short,) if short else ()


def _band(row: CellRow) -> str:
    """The noise of the test set on a cell that is done; empty where it is not."""
    if row.images is None or row.correct is None or isnan(row.images):
        return ""
    return bracket(*noise_band(int(row.correct), int(row.images))[1:3])


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
    if learner.start is not None and learner.side == "teacher":
        return f"as {learner.start.digest}, a co-studying of the same seed, left its teacher"
    weights = learner.start.student.weights if learner.start else learner.weights
    if weights is not None:
        file = weights.source.removeprefix("file:").rpartition("/")[2]
        return f"from the ready weights {file} (sha256 {weights.sha256[:12]})"
    if learner.start is not None:
        return f"pre-trained for {learner.start.steps} steps"
    return "from random weights"


def _links(row: CellRow, page: Path) -> tuple[Link, ...]:
    """What the networks began with, then each stage; a skipped cell's records may be none."""
    parts = row.records.cell.history.parts
    every = {outcome.path: outcome for outcome in (*row.records.starts, *row.records.path)}
    last = parts[-1].phase.name if parts else ""
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
    return Path(os.path.relpath(folder, page)).as_posix()


def _environment(outcome: Outcome) -> list[str]:
    environment = outcome.environment
    if environment is None:
        return []
    changes = f" {local_changes(environment)}".rstrip()
    known = [
        f"torch {environment.torch}" if environment.torch else "",
        hardware(outcome),
        f"arithmetic: {arithmetic(environment)}" if environment.device else "",
        f"host {environment.host}" if environment.host else "",
        f"commit {environment.commit[:12]}{changes}" if environment.commit else "commit unknown",
    ]
    return [text for text in known if text]
