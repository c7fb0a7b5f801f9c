"""Training curves of a method: metrics along the path of stages, averaged over seeds."""

from collections.abc import Iterable, Sequence
from statistics import fmean
from typing import NamedTuple, TypeVar

from report.cells import Reading
from report.outcomes import Records
from report.parts import Line
from report.summary import Summary

MOST_POINTS = 50

T = TypeVar("T")
Points = tuple[tuple[int, float], ...]


class Curves(NamedTuple):
    """The curves of one method, each as (step, mean over seeds) of at most MOST_POINTS points.

    Accuracies are held-out top-1 in percent; ``borders`` are the steps at which a phase ends, with
    the phase's name. ``intervals`` are the learned scalars of the quantizers by name.
    """

    name: str
    student: Points
    teacher: Points
    losses: dict[str, Points]
    learning_rate: Points
    teacher_learning_rate: Points
    borders: tuple[tuple[int, str], ...]
    intervals: dict[str, Points]


def curves(summary: Summary, records: Records) -> Curves | None:
    """The curves of a method's cells that are done; None where nothing was measured, or where the
    method is the pre-trained network itself."""
    if not summary.cells[0].cell.method.shares:
        return None
    done = [reading for reading in summary.cells if reading.top1 is not None]
    lines = [
        line
        for reading in done
        for outcome in records.path(reading.cell.history)
        for line in outcome.lines
    ]
    if not lines:
        return None
    names = sorted({name for line in lines for name in line.losses})
    learned = dict.fromkeys(name for line in lines for name in line.intervals)
    return Curves(
        name=summary.name,
        student=_mean((x.step, x.student.top1) for x in lines if x.student),
        teacher=_mean((x.step, x.teacher.top1) for x in lines if x.teacher),
        losses={
            name: _mean((x.step, x.losses[name]) for x in lines if name in x.losses)
            for name in names
        },
        learning_rate=_mean((x.step, x.learning_rate) for x in lines),
        teacher_learning_rate=_mean(_teacher_learning_rates(lines)),
        borders=_borders(done[0]),
        intervals={
            name: _mean((x.step, x.intervals[name]) for x in lines if name in x.intervals)
            for name in learned
        },
    )


def _teacher_learning_rates(lines: Iterable[Line]) -> list[tuple[int, float]]:
    return [
        (line.step, line.teacher_learning_rate)
        for line in lines
        if line.teacher_learning_rate is not None
    ]


def _borders(reading: Reading) -> tuple[tuple[int, str], ...]:
    borders, position = [], 0
    for part in reading.cell.history.parts:
        position += part.steps
        borders.append((position, part.phase.name))
    return tuple(borders)


def _mean(points: Iterable[tuple[int, float]]) -> Points:
    """The mean at each step, thinned."""
    at: dict[int, list[float]] = {}
    for step, value in points:
        at.setdefault(step, []).append(value)
    return thinned([(step, fmean(at[step])) for step in sorted(at)])


def thinned(items: Sequence[T], most: int = MOST_POINTS) -> tuple[T, ...]:
    """At most ``most`` of the items, evenly spread, the first and the last among them."""
    if len(items) <= most:
        return tuple(items)
    last = len(items) - 1
    return tuple(items[round(place * last / (most - 1))] for place in range(most))
