"""Accuracy against what a network costs: points, and which of them lie on the Pareto front."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from report.statistics import Interval
from report.summary import Summary
from report.words import fixed, kilobytes, millions

WORTH_DRAWING = 1.25


class Measure(NamedTuple):
    """A cost on the horizontal axis: its name, its unit, its value, and that as text."""

    name: str
    unit: str
    of: Callable[[Summary], float | None]
    text: Callable[[float | None], str]


MEASURES = (
    Measure("bytes of the packed file", "kB", lambda s: s.packed_bytes, kilobytes),
    Measure("bit operations for one image", "million", lambda s: s.bit_operations, millions),
)


class Point(NamedTuple):
    """A method at a bit width: what its network costs, and its test top-1 in percent."""

    label: str
    cost: float
    top1: Interval


def points(summaries: Sequence[Summary], measure: Measure) -> list[Point]:
    """A point for each that is done and whose cost is recorded, the cheapest first.

    A label names the network too, where there are several. None where all cost about the same.
    """
    networks = {summary.cells[0].cell.pair.student.name for summary in summaries}
    found = []
    for summary in summaries:
        cost = measure.of(summary)
        if cost and summary.interval is not None:  # an axis of logarithms has no zero
            cell = summary.cells[0].cell
            network = cell.pair.student.name if len(networks) > 1 else ""
            words = (summary.name, cell.bits.label if cell.bits else "fp", network)
            found.append(Point(" ".join(filter(None, words)), cost, summary.interval))
    found.sort(key=lambda point: (point.cost, point.top1.mean))
    # Files of one bit width differ by names and headers: no difference that a front should judge.
    differ = bool(found) and found[-1].cost >= WORTH_DRAWING * found[0].cost
    return found if differ else []


def front(candidates: Sequence[Point]) -> list[Point]:
    """Those that no other beats: none costs no more and is no less accurate, one of both truly."""
    return [point for point in candidates if not any(_beats(o, point) for o in candidates)]


def _beats(one: Point, other: Point) -> bool:
    cheaper, better = other.cost - one.cost, one.top1.mean - other.top1.mean
    return min(cheaper, better) >= 0 and max(cheaper, better) > 0


def description(candidates: Sequence[Point], measure: Measure) -> str:
    """What a screen reader says of the figure: every number of the front, the others' ranges."""
    best = front(candidates)
    others = [point for point in candidates if point not in best]
    numbers = "; ".join(
        f"{point.label}: {measure.text(point.cost)} {measure.unit}, {fixed(point.top1.mean)} %"
        for point in best
    )
    text = f"Test top-1 against {measure.name}. On the Pareto front: {numbers}."
    if not others:
        return text
    costs = _range([point.cost for point in others], measure.text)
    means = _range([point.top1.mean for point in others], fixed)
    return f"{text} Behind it, {len(others)} more: {costs} {measure.unit}, {means} %."


def _range(values: Sequence[float], text: Callable[[float | None], str]) -> str:
    ends = dict.fromkeys((text(min(values)), text(max(values))))
    return " to ".join(ends)
