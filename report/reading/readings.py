"""All that is read of a matrix at a scale: its cells, each with the records on its path."""

from collections.abc import Sequence
from typing import NamedTuple

from benchmarks.matrix import Cell
from benchmarks.plan import Plan, plan
from qkd.spec.history import prefix, teacher_trained_until
from report.reading.histograms import Histograms, histograms
from report.reading.records import BAD_FILE, Outcome, Records, Status, log_tail, reason
from report.reading.sources import Run


class CellRecords(NamedTuple):
    """A cell, the number of its grid, and its records: its own, and the stages of its ``path``.

    ``starts`` are what student and teacher began with, ``teacher`` the record that has the teacher
    at the end (None: it has none, or it never learned). Histograms are read of a method's first
    cell that is done; ``no_histograms`` says why they cannot be.
    """

    cell: Cell
    grid: int
    own: Outcome
    path: tuple[Outcome, ...]
    starts: tuple[Outcome, ...]
    teacher_start: Outcome | None
    teacher: Outcome | None
    log: str = ""
    histograms: Histograms | None = None
    no_histograms: str = ""


class Readings(NamedTuple):
    """The cells of a run in the matrix's order, the plan that they follow, and the record of each
    stage of the plan."""

    run: Run
    cells: tuple[CellRecords, ...]
    plan: Plan
    stages: dict[str, Outcome]


def read(run: Run) -> Readings:
    """Every cell of the run, optional ones that left a record included; one that two grids share
    stands where it comes first."""
    placed: dict[tuple[str, str], tuple[int, Cell]] = {}
    for number, grid in enumerate(run.matrix.grids):
        for cell in grid.cells(run.matrix.numerics):
            name = cell.history.digest, cell.method.name
            if cell.optional and run.records.outcome(cell.history).status == Status.MISSING:
                continue
            placed.setdefault(name, (number, cell))
    planned = plan(run.matrix.cells(), [cell for _, cell in placed.values()])
    stages = {
        digest: run.records.outcome(one.stage.history) for digest, one in planned.stages.items()
    }
    cells = [_read(cell, number, run.records) for number, cell in placed.values()]
    return Readings(run, tuple(_with_histograms(cells)), planned, stages)


def _read(cell: Cell, grid: int, records: Records) -> CellRecords:
    history, own = cell.history, records.outcome(cell.history)
    learners = (history.student, history.teacher)
    starts = [one.start for one in learners if one is not None and one.start is not None]
    trained = teacher_trained_until(history)
    start = history.teacher.start if history.teacher else None
    return CellRecords(
        cell,
        grid,
        own,
        path=tuple(records.path(history)),
        starts=tuple(map(records.outcome, starts)),
        teacher_start=records.outcome(start) if start else None,
        teacher=records.outcome(prefix(history, trained)) if trained and own.result else None,
        log=log_tail(own.path / "log.txt"),
    )


def _with_histograms(cells: Sequence[CellRecords]) -> list[CellRecords]:
    seen: set[tuple[object, ...]] = set()
    found = []
    for one in cells:
        method = one.grid, one.cell.bits, one.cell.method.name
        is_shown = one.own.result is not None and one.cell.bits is not None
        if is_shown and method not in seen:
            seen.add(method)
            try:
                one = one._replace(histograms=histograms(one.path))  # noqa: PLW2901
            except BAD_FILE as error:
                one = one._replace(no_histograms=reason(error))  # noqa: PLW2901
        found.append(one)
    return found
