"""Figures of results: accuracies, paired differences, accuracy against cost."""

from collections.abc import Callable, Sequence

from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from report.contrasts import EFFECT, Compared
from report.drawing import BAND, INK, MUTED, PAPER, STUDENT, as_svg, style
from report.pareto import Measure, Point, description, front
from report.statistics import Interval
from report.summary import Summary
from report.words import bracket, fixed, signed

WIDTH = 8.5


def accuracy(methods: Sequence[Summary], name: str) -> Markup | None:
    """Test top-1 by method: each seed's dot, the mean and its 95 % interval. None without runs."""
    shown = [method for method in methods if method.interval]
    if not shown:
        return None
    dots = [(m.name, value) for m in shown for value in m.top1s.values()]
    with style():
        figure, axes = _rows(len(shown))
        _dots(axes, dots)
        for place, method in enumerate(shown):
            if method.interval:
                _interval(axes, place, method.interval.mean, *method.interval[1:3], filled=True)
        intervals = [method.interval for method in shown if method.interval]
        axes.set_xlim(*_around(intervals, [value for _, value in dots]))
        axes.set_xlabel("test top-1, %")
        return as_svg(figure, name, f"Test top-1, %, mean and 95 % interval: {_in_words(shown)}")


def _in_words(methods: Sequence[Summary]) -> str:
    return "; ".join(
        f"{method.name} {_numbers(fixed, *method.interval[:3])}"
        for method in methods
        if method.interval
    )


def _numbers(
    text: Callable[[float | None], str], mean: float, low: float | None, high: float | None
) -> str:
    return text(mean) if low is None else f"{text(mean)} {bracket(low, high)}"


def _around(intervals: Sequence[Interval], values: Sequence[float] = ()) -> tuple[float, float]:
    """The means' and values' range widened by the intervals, but no wider than half of itself on
    each side."""
    inner = [*values, *(interval.mean for interval in intervals)]
    low, high = min(inner), max(inner)
    lows = [interval.low for interval in intervals if interval.low is not None]
    highs = [interval.high for interval in intervals if interval.high is not None]
    room = max(0.5, (high - low) / 2)
    left = max(low - room, min([low, *lows]) - room / 8)
    return left, min(high + room, max([high, *highs]) + room / 8)


def forest(compared: Sequence[Compared], name: str) -> Markup | None:
    """Paired differences with their 95 % intervals; exploratory ones hollow. None without runs."""
    shown = [one for one in compared if one.paired]
    if not shown:
        return None
    dots = [(one.contrast.label, value) for one in shown for value in one.differences.values()]
    with style():
        figure, axes = _rows(len(shown))
        axes.axvspan(-EFFECT, EFFECT, color=BAND, linewidth=0)
        axes.axvline(0, color=MUTED, linewidth=0.8)
        _dots(axes, dots)
        for place, one in enumerate(shown):
            if one.paired:
                _interval(axes, place, *one.paired[:3], filled=one.contrast.fixed)
        widest = max(abs(value) for _, value in dots)
        axes.set_xlim(-1.6 * max(widest, EFFECT), 1.6 * max(widest, EFFECT))
        axes.set_xlabel(f"difference in test top-1, points (band: {EFFECT} points each way)")
        numbers = "; ".join(
            f"{one.contrast.label} {_numbers(signed, *one.paired[:3])}"
            for one in shown
            if one.paired
        )
        return as_svg(
            figure, name, f"Paired differences, points, mean and 95 % interval: {numbers}"
        )


def pareto(candidates: Sequence[Point], measure: Measure, name: str) -> Markup | None:
    """Test top-1 against a cost, the Pareto front as diamonds on a stepped line. None where all
    cost the same."""
    if len({point.cost for point in candidates}) < 2:
        return None
    best = front(candidates)
    with style():
        figure = Figure(figsize=(WIDTH, 4.2), layout="constrained")
        axes = figure.subplots()
        axes.plot(*_means(best), color=STUDENT, linewidth=1, drawstyle="steps-post", zorder=2)
        for point in candidates:
            _top1(axes, point, on_front=point in best)
        axes.set_xscale("log")
        ticks = apart([point.cost for point in candidates])
        axes.set_xticks(ticks, [measure.text(tick) for tick in ticks])
        axes.set_xticks([], minor=True)
        axes.margins(x=0.2)  # room for the first label
        axes.set_ylim(*_around([point.top1 for point in candidates]))
        axes.grid(axis="y")
        axes.tick_params(length=0)
        axes.set_xlabel(f"{measure.name}, {measure.unit} (logarithmic)")
        axes.set_ylabel("test top-1, %")
        return as_svg(figure, name, description(candidates, measure))


def _means(shown: Sequence[Point]) -> tuple[list[float], list[float]]:
    return [point.cost for point in shown], [point.top1.mean for point in shown]


def _top1(axes: Axes, point: Point, *, on_front: bool) -> None:
    mean, low, high, _ = point.top1
    color = STUDENT if on_front else MUTED
    if low is not None and high is not None:
        axes.plot([point.cost] * 2, [low, high], color=color, linewidth=0.8, zorder=2)
    marker, face, size = ("D", STUDENT, 6) if on_front else ("o", PAPER, 4)
    axes.plot(
        [point.cost], [mean], marker, color=color, markerfacecolor=face, markersize=size, zorder=3
    )
    if on_front:
        axes.annotate(
            point.label, (point.cost, mean), (-6, 4), textcoords="offset points", size=8,
            ha="right", va="bottom", zorder=4,
        )  # fmt: skip


def apart(values: Sequence[float]) -> list[float]:
    """Of the values, ascending, those far enough apart to be written under a logarithmic axis."""
    ordered = sorted(set(values))
    room = (ordered[-1] / ordered[0]) ** 0.08
    kept = [ordered[0]]
    for value in ordered[1:]:
        if value >= kept[-1] * room:
            kept.append(value)
    return kept


def _rows(count: int) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(WIDTH, 0.7 + 0.3 * count), layout="constrained")
    axes = figure.subplots()
    axes.grid(axis="x")
    axes.tick_params(length=0, labelsize=10)
    return figure, axes


def _dots(axes: Axes, dots: Sequence[tuple[str, float]]) -> None:
    """One row a name, in the order of their first dots."""
    names = list(dict.fromkeys(name for name, _ in dots))
    places = [names.index(name) for name, _ in dots]
    axes.scatter([value for _, value in dots], places, 16, MUTED, linewidth=0, zorder=3)
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.tick_params(axis="y", labelcolor=INK)


def _interval(
    axes: Axes, place: int, mean: float, low: float | None, high: float | None, *, filled: bool
) -> None:
    if low is not None and high is not None:
        axes.plot([low, high], [place, place], color=STUDENT, linewidth=1.6, zorder=3)
    face = STUDENT if filled else PAPER
    axes.plot([mean], [place], "D", color=STUDENT, markerfacecolor=face, markersize=6, zorder=4)
