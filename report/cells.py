"""The cells of a run with what became of each, and their settings."""

from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

from benchmarks.matrix import Cell
from benchmarks.plan import Plan, plan
from qkd.spec import History
from qkd.spec.history import prefix
from report.left_out import LeftOut, left_out
from report.outcomes import Outcome, Records, Status
from report.setting import Setting, setting_of, stands
from report.sources import Run


class Reading(NamedTuple):
    """A cell and its outcome. The top-1s are in percent and None unless the cell is done.

    ``left_out`` is what it went without, where some of its photos could not be decoded.
    ``teacher_top1`` is of the teacher in the state that it had at the end, ``teacher_before`` of
    the state that it began with; None where the method has no teacher. ``recipe`` is what the
    recipe of its grid has of its own in the setting.
    """

    cell: Cell
    setting: Setting
    status: Status
    outcome: Outcome
    message: str
    top1: float | None = None
    best_top1: float | None = None
    teacher_top1: float | None = None
    teacher_before: float | None = None
    recipe: str = ""
    left_out: LeftOut | None = None


class Readings(NamedTuple):
    """All cells of a run in the matrix's order, and the plan that they follow."""

    run: Run
    cells: tuple[Reading, ...]
    plan: Plan


def read(run: Run) -> Readings:
    """Every cell of the run, optional ones that left a record included; one that two grids share
    stands where it comes first."""
    placed: dict[tuple[str, str], tuple[Cell, Setting, str]] = {}
    for stand, grid in zip(stands(run.matrix), run.matrix.grids, strict=True):
        for cell in grid.cells(run.matrix.numerics):
            name = cell.history.digest, cell.method.name
            if cell.optional and run.records.outcome(cell.history).status == Status.MISSING:
                continue
            placed.setdefault(name, (cell, setting_of(stand, grid, cell), stand.recipe))
    planned = plan(run.matrix.cells(), [cell for cell, _, _ in placed.values()])
    failed = _failed_and_after(planned, run.records)
    cells = [
        _reading(cell, setting, run.records, failed)._replace(recipe=recipe)
        for cell, setting, recipe in placed.values()
    ]
    return Readings(run, tuple(cells), planned)


def counted(cells: Iterable[Reading]) -> str:
    """How many cells are in which state: ``54 done, 2 failed``."""
    counts = Counter(reading.status for reading in cells)
    return ", ".join(f"{counts[status]} {status.value}" for status in Status if counts[status])


def _failed_and_after(planned: Plan, records: Records) -> set[str]:
    """The digests of failed stages and of all that wait for one; parents stand before children."""
    failed: set[str] = set()
    for digest, stage in planned.stages.items():
        own = records.outcome(stage.stage.history).status == Status.FAILED
        if own or not failed.isdisjoint(stage.parents):
            failed.add(digest)
    return failed


def _reading(cell: Cell, setting: Setting, records: Records, failed: set[str]) -> Reading:
    outcome = records.outcome(cell.history)
    if cell.skipped:
        return Reading(cell, setting, Status.SKIPPED, outcome, cell.skipped)
    status = outcome.status
    if status == Status.MISSING and cell.history.digest in failed:
        message = "a stage that it goes on from failed"
        return Reading(cell, setting, Status.BLOCKED, outcome, message)
    if outcome.result is None:
        return Reading(cell, setting, status, outcome, outcome.message)
    return Reading(
        cell,
        setting,
        status,
        outcome,
        outcome.message,
        outcome.result.student.top1,
        outcome.result.held_out.top1,
        _teacher_after(cell.history, records),
        _teacher_before(cell.history, records),
        left_out=left_out(records.path(cell.history)),
    )


def _teacher_before(history: History, records: Records) -> float | None:
    start = history.teacher.start if history.teacher else None
    result = records.outcome(start).result if start else None
    return result.student.top1 if result else None


def _teacher_after(history: History, records: Records) -> float | None:
    """Of the record of the last phase that trained the teacher, else of the teacher's start."""
    trained = position = 0
    for part in history.parts:
        position += part.steps
        trained = position if part.phase.trains_teacher else trained
    if not trained:
        return _teacher_before(history, records)
    result = records.outcome(prefix(history, trained)).result
    return result.teacher.top1 if result and result.teacher else None
