"""The figures: accuracies, paired differences, and training curves."""

from collections.abc import Sequence

import pandas as pd
import seaborn as sns
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from report.contrasts import EFFECT, Compared
from report.curves import Curves, Points
from report.drawing import BAND, INK, MUTED, PAPER, STUDENT, TEACHER, as_svg, style
from report.pareto import Measure, Point, description, front
from report.statistics import Interval
from report.summary import Summary

WIDTH = 8.5
PANELS = 4
SHORT = {"self-study": "SS", "co-study": "CS", "co-study-ce": "CS", "tutoring": "TU"}

Drawn = tuple[Points, str, object, float]


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
        return as_svg(figure, name, "Test top-1 of each method: mean, interval and each seed")


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
        return as_svg(figure, name, "Paired differences between methods with their intervals")


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
        ticks = _apart([point.cost for point in candidates])
        axes.set_xticks(ticks, [measure.text(tick) for tick in ticks])
        axes.set_xticks([], minor=True)
        axes.margins(x=0.2)  # room for the first label
        axes.set_ylim(*_around([point.top1 for point in candidates]))
        axes.grid(axis="y")
        axes.tick_params(length=0)
        axes.set_xlabel(f"{measure.name}, {measure.unit} (logarithmic)")
        axes.set_ylabel("test top-1, %")
        sns.despine(ax=axes, left=True)
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


def _apart(costs: Sequence[float]) -> list[float]:
    """Of the costs, ascending, those far enough apart to be written under a logarithmic axis."""
    ordered = sorted(set(costs))
    room = (ordered[-1] / ordered[0]) ** 0.08
    kept = [ordered[0]]
    for cost in ordered[1:]:
        if cost >= kept[-1] * room:
            kept.append(cost)
    return kept


def _rows(count: int) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(WIDTH, 0.7 + 0.3 * count), layout="constrained")
    axes = figure.subplots()
    axes.grid(axis="x")
    axes.tick_params(length=0, labelsize=10)
    return figure, axes


def _dots(axes: Axes, dots: Sequence[tuple[str, float]]) -> None:
    """One row a name, in the order of their first dots."""
    frame = pd.DataFrame(dots, columns=["name", "value"])
    sns.stripplot(
        frame, x="value", y="name", ax=axes, orient="h",
        jitter=False, size=4, color=MUTED, linewidth=0,
    )  # fmt: skip
    axes.set_ylabel("")
    axes.tick_params(axis="y", labelcolor=INK)
    sns.despine(ax=axes, left=True)


def _interval(
    axes: Axes, place: int, mean: float, low: float | None, high: float | None, *, filled: bool
) -> None:
    if low is not None and high is not None:
        axes.plot([low, high], [place, place], color=STUDENT, linewidth=1.6, zorder=3)
    face = STUDENT if filled else PAPER
    axes.plot([mean], [place], "D", color=STUDENT, markerfacecolor=face, markersize=6, zorder=4)


def accuracy_curves(methods: Sequence[Curves], name: str) -> Markup | None:
    """Held-out top-1 of student and teacher over steps, one panel a method."""
    shown = [method for method in methods if method.student]
    lines = [(method.student, method.teacher) for method in shown]
    panels = [
        [(student, STUDENT, "-", 1.6), (teacher, TEACHER, "-", 1.6)] for student, teacher in lines
    ]
    description = "Held-out top-1 of student and teacher over the student's steps, by method"
    return _panels(shown, panels, "held-out top-1, %", name, description)


def loss_curves(methods: Sequence[Curves], name: str) -> Markup | None:
    """Each loss term over steps, one panel a method: solid cross-entropy, dashed the others."""
    panels = [
        [
            (
                points,
                TEACHER if term.startswith("teacher") else STUDENT,
                "-" if term.endswith("cross_entropy") else (0, (3, 2)),
                1.3,
            )
            for term, points in method.losses.items()
        ]
        for method in methods
    ]
    return _panels(methods, panels, "loss", name, "Loss terms over the student's steps, by method")


def learning_rates(methods: Sequence[Curves], name: str) -> Markup | None:
    """Learning rates of the weights over steps: one line for all methods that share a course."""
    groups: dict[Points, list[str]] = {}
    for method in methods:
        groups.setdefault(method.learning_rate, []).append(method.name)
    if not groups:
        return None
    with style():
        figure = Figure(figsize=(WIDTH, 0.9 + 0.35 * len(groups) + 0.9), layout="constrained")
        axes = figure.subplots()
        for points in dict.fromkeys(method.teacher_learning_rate for method in methods):
            _line(axes, (points, TEACHER, "-", 4.0))
        for place, points in enumerate(groups):
            dashes = (0, (1 + 3 * place, 1)) if place else "-"
            _line(axes, (points, STUDENT, dashes, 1.4), ", ".join(groups[points]))
        axes.grid(axis="y")
        axes.set_xlabel("steps of the student")
        axes.set_ylabel("learning rate")
        axes.set_xlim(left=0)
        figure.legend(loc="outside lower left", frameon=False, fontsize=9, ncols=1)
        sns.despine(ax=axes, left=True)
        return as_svg(figure, name, "Learning rates of the student's and the teacher's weights")


def _line(axes: Axes, drawn: Drawn, label: str = "") -> None:
    points, color, line_style, width = drawn
    if points:
        steps, values = zip(*points, strict=True)
        axes.plot(
            steps, values, color=color, linestyle=line_style, linewidth=width, label=label,
            marker="o" if len(points) == 1 else None, markersize=3,
        )  # fmt: skip


def _panels(
    methods: Sequence[Curves],
    panels: Sequence[Sequence[Drawn]],
    label: str,
    name: str,
    description: str,
) -> Markup | None:
    """Small multiples on common axes, with the borders between phases. None without curves."""
    if not methods:
        return None
    rows = -(-len(methods) // PANELS)
    width, height = WIDTH + 1, 0.7 + 1.75 * rows
    with style():
        figure = Figure(figsize=(width, height))
        grid = figure.subplots(rows, PANELS, sharey=True, squeeze=False).ravel()
        figure.subplots_adjust(
            left=0.65 / width, right=1 - 0.1 / width, wspace=0.12,
            bottom=0.55 / height, top=1 - 0.45 / height, hspace=0.75,
        )  # fmt: skip
        for axes, method, lines in zip(grid, methods, panels, strict=False):
            _panel(axes, method, lines)
        for axes in grid[len(methods) :]:
            axes.set_axis_off()
        figure.text(0.65 / width, 0.08 / height, "steps of the student", color=MUTED)
        figure.text(0.02 / width, 0.5, label, color=MUTED, rotation=90, va="center")
        return as_svg(figure, name, description)


def _panel(axes: Axes, method: Curves, lines: Sequence[Drawn]) -> None:
    axes.set_title(method.name, pad=16)
    axes.grid(axis="y")
    axes.tick_params(length=0)
    axes.margins(y=0.08)
    last = method.borders[-1][0]
    axes.set_xlim(0, last)
    axes.set_xticks([0, last])
    first_label, last_label = axes.get_xticklabels()
    first_label.set_horizontalalignment("left")
    last_label.set_horizontalalignment("right")
    begin = 0
    for end, phase in method.borders:
        axes.axvline(end, color=MUTED, linewidth=0.7, linestyle=(0, (1, 2)))
        text = SHORT.get(phase, phase)
        place = ((begin + end) / 2, 1.02)
        axes.text(
            *place, text, transform=axes.get_xaxis_transform(), size=8, color=MUTED,
            ha="center", va="bottom",
        )  # fmt: skip
        begin = end
    for drawn in lines:
        _line(axes, drawn)
    sns.despine(ax=axes, left=True)
