"""The frame of curves: a row a point of what was measured along a path of stages."""

from collections.abc import Iterable, Iterator, Mapping
from statistics import fmean
from typing import NamedTuple

import pandas as pd

from qkd.records.schema import Line
from report.frames.cells import CellRow
from report.frames.tidy import rows, tidy
from report.texts import thinned

MOST_POINTS = 50
LARGEST = 3.5e38  # what no float32 can be is of a damaged record, and no point of a curve


class CurvePoint(NamedTuple):
    """The mean over seeds after so many of the student's steps.

    ``series`` is ``student`` or ``teacher`` (held-out top-1 in percent), ``learning_rate``,
    ``teacher_learning_rate``, ``loss NAME`` or ``interval NAME`` (a quantizer's learned scalar).
    """

    method: str
    series: str
    step: int
    value: float


class Border(NamedTuple):
    """The step at which a phase of a method ends."""

    method: str
    step: int
    phase: str


def curves(cells: pd.DataFrame) -> pd.DataFrame:
    """Of each method of a setting at most MOST_POINTS a series, over its cells that are done. What
    is the pre-trained network itself has none."""
    trained = _trained(cells)
    return tidy(CurvePoint, (one for name, own in trained.items() for one in _points(name, own)))


def borders(cells: pd.DataFrame) -> pd.DataFrame:
    """The ends of the phases of each method of a setting that has a cell that is done."""
    trained = _trained(cells)
    return tidy(Border, (one for name, own in trained.items() for one in _ends(name, own[0])))


def _trained(cells: pd.DataFrame) -> dict[str, list[CellRow]]:
    found: dict[str, list[CellRow]] = {}
    for row in rows(cells[cells["top1"].notna() & (cells["steps"] > 0)], CellRow):
        found.setdefault(row.method, []).append(row)
    return found


def _points(method: str, cells: Iterable[CellRow]) -> Iterator[CurvePoint]:
    lines = [line for row in cells for outcome in row.records.path for line in outcome.lines]
    at: dict[str, dict[int, list[float]]] = {}
    for line in lines:
        for series, value in _values(line):
            if abs(value) > LARGEST:
                continue
            at.setdefault(series, {}).setdefault(line.step, []).append(value)
    for series in sorted(at, key=_place):
        for step in thinned(sorted(at[series]), MOST_POINTS):
            yield CurvePoint(method, series, step, fmean(at[series][step]))


def _values(line: Line) -> Iterator[tuple[str, float]]:
    if line.student:
        yield "student", line.student.top1
    if line.teacher:
        yield "teacher", line.teacher.top1
    yield "learning_rate", line.learning_rate
    if line.teacher_learning_rate is not None:
        yield "teacher_learning_rate", line.teacher_learning_rate
    named: Mapping[str, Mapping[str, float]] = {"loss": line.losses, "interval": line.intervals}
    for kind, own in named.items():
        for name, value in own.items():
            yield f"{kind} {name}", value


def _place(series: str) -> tuple[int, str]:
    """Losses by name; intervals as they come, which is the order of the layers."""
    kinds = ("student", "teacher", "learning_rate", "teacher_learning_rate", "loss", "interval")
    kind, _, name = series.partition(" ")
    return kinds.index(kind), name if kind == "loss" else ""


def _ends(method: str, row: CellRow) -> Iterator[Border]:
    position = 0
    for part in row.records.cell.history.parts:
        position += part.steps
        yield Border(method, position, part.phase.name)
