"""Figures of results: accuracies, differences, accuracy against cost."""

from collections.abc import Callable

import pandas as pd
import seaborn as sns
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from report.analysis.pareto import Measure
from report.analysis.statistics import EFFECT
from report.figures.drawing import (
    BAND,
    INK,
    MUTED,
    NO_TICKS,
    PAPER,
    STUDENT,
    WIDTH,
    around,
    as_svg,
    rules,
    shortened,
    style,
    ticks,
)
from report.texts import bracket, fixed, signed

MOST_LETTERS = 40


def accuracy(cells: pd.DataFrame, methods: pd.DataFrame, name: str) -> Markup | None:
    """Test top-1 by method: each seed's dot, the mean and its 95 % interval. None without runs.

    ``cells``: method, seed, top1; ``methods``: method, mean, low, high, n.
    """
    shown = methods.dropna(subset="mean")
    if shown.empty:
        return None
    with style():
        figure, axes = _rows(shown["method"], cells["method"], cells["top1"])
        _means(axes, shown, hollow=False)
        axes.set_xlim(*around(shown, cells["top1"]))
        _finished(axes, "test top-1, %")
        text = f"Test top-1, %, mean and 95 % interval: {in_words(shown, 'method', fixed)}"
        return as_svg(figure, name, text)


def forest(contrasts: pd.DataFrame, differences: pd.DataFrame, name: str) -> Markup | None:
    """Differences with their 95 % intervals; those not fixed beforehand hollow. None without runs.

    ``contrasts``: label, fixed, mean, low, high, n; ``differences``: label, seed, points.
    """
    shown = contrasts.dropna(subset="mean")
    if shown.empty:
        return None
    with style():
        figure, axes = _rows(shown["label"], differences["label"], differences["points"])
        axes.axvspan(-EFFECT, EFFECT, color=BAND, linewidth=0)
        axes.axvline(0, color=MUTED, linewidth=0.8)
        for fixed_before, some in shown.assign(row=range(len(shown))).groupby("fixed"):
            _means(axes, some, hollow=not fixed_before)
        axes.set_xlim(*around(shown, differences["points"], pd.Series([-EFFECT, EFFECT])))
        _finished(axes, f"difference in test top-1, points (band: {EFFECT} points each way)")
        numbers = in_words(shown, "label", signed)
        text = f"Differences, points, mean and 95 % interval: {numbers}"
        return as_svg(figure, name, text)


def in_words(shown: pd.DataFrame, of: str, text: Callable[[float], str]) -> str:
    """``qkd 71.50 [65.15, 77.85]; qat 70.00``: each row's name, mean and interval."""
    return "; ".join(f"{row[of]} {interval(row, text)}" for _, row in shown.iterrows())


def interval(row: pd.Series, text: Callable[[float], str]) -> str:
    """``71.50 [65.15, 77.85]``, or the mean alone."""
    mean = text(row["mean"])
    return mean if pd.isna(row["low"]) else f"{mean} {bracket(row['low'], row['high'])}"


def _rows(labels: pd.Series, names: pd.Series, values: pd.Series) -> tuple[Figure, Axes]:
    """A row a label, from above, with the dots of the values whose name it is."""
    figure = Figure(figsize=(WIDTH, 0.7 + 0.3 * len(labels)), layout="constrained")
    axes = figure.subplots(subplot_kw=NO_TICKS)
    places = names.map({label: place for place, label in enumerate(labels)})
    if len(values):
        sns.stripplot(
            x=values.astype(float),
            y=places,
            orient="h",
            native_scale=True,
            jitter=False,
            color=MUTED,
            size=4,
            linewidth=0,
            ax=axes,
        )
    texts = [shortened(label, MOST_LETTERS) for label in labels]
    axes.set_yticks(range(len(labels)), texts, color=INK, size=10)
    axes.set_ylim(len(labels) - 0.5, -0.5)
    axes.set_ylabel("")
    return figure, axes


def _means(axes: Axes, shown: pd.DataFrame, *, hollow: bool) -> None:
    """Diamonds with their intervals, in their rows: their ``row``, or their place."""
    places = shown["row"] if "row" in shown else pd.Series(range(len(shown)), shown.index)
    known = shown["low"].notna() & shown["high"].notna()
    ends = shown.loc[known, ["low", "high"]].astype(float)
    axes.hlines(places[known], ends["low"], ends["high"], color=STUDENT, linewidth=1.6, zorder=3)
    axes.plot(
        shown["mean"].astype(float),
        places,
        "D",
        color=STUDENT,
        markersize=6,
        zorder=4,
        markerfacecolor=PAPER if hollow else STUDENT,
    )


def _finished(axes: Axes, label: str) -> None:
    places = ticks(*axes.get_xlim())
    axes.set_xticks(places)
    rules(axes, x=places)
    axes.set_xlabel(label, visible=True)  # seaborn hides those of axes without ticks


def pareto(points: pd.DataFrame, measure: Measure, name: str) -> Markup | None:
    """Test top-1 against a cost, the Pareto front as diamonds on a stepped line. None where all
    cost the same.

    ``points``: label, cost, mean, low, high, on_front; the cheapest first.
    """
    if points["cost"].nunique() < 2:
        return None
    best, others = _front(points)
    with style():
        figure = Figure(figsize=(WIDTH, 4.2), layout="constrained")
        axes = figure.subplots()
        axes.set_xscale("log")
        axes.plot(best["cost"], best["mean"], color=STUDENT, linewidth=1, drawstyle="steps-post")
        for some, color, marker, face, size in (
            (others, MUTED, "o", PAPER, 4),
            (best, STUDENT, "D", STUDENT, 6),
        ):
            known = some.dropna(subset=["low", "high"])
            axes.vlines(known["cost"], known["low"], known["high"], color=color, linewidth=0.8)
            axes.plot(
                some["cost"],
                some["mean"],
                marker,
                color=color,
                markersize=size,
                markerfacecolor=face,
                zorder=3,
            )
        for _, point in best.iterrows():
            axes.annotate(
                shortened(point["label"], MOST_LETTERS),
                (point["cost"], point["mean"]),
                (-6, 4),
                textcoords="offset points",
                size=8,
                ha="right",
                va="bottom",
                zorder=4,
            )
        costs = apart(list(points["cost"]))
        axes.set_xticks(costs, [measure.text(cost) for cost in costs])
        axes.set_xticks([], minor=True)
        axes.margins(x=0.2)  # room for the first label
        axes.set_ylim(*around(points))
        places = ticks(*axes.get_ylim())
        axes.set_yticks(places)
        axes.autoscale_view(scaley=False)
        rules(axes, y=places)
        axes.set_xlabel(f"{measure.name}, {measure.unit} (logarithmic)")
        axes.set_ylabel("test top-1, %")
        return as_svg(figure, name, description(points, measure))


def _front(points: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Those on the Pareto front, and those behind it."""
    is_best = points["on_front"].astype(bool)
    return points[is_best], points[~is_best]


def apart(values: list[float]) -> list[float]:
    """Of the values, those far enough apart to be written under a logarithmic axis, ascending."""
    ordered = sorted(set(values))
    room = (ordered[-1] / ordered[0]) ** 0.08
    kept = [ordered[0]]
    for value in ordered[1:]:
        if value >= kept[-1] * room:
            kept.append(value)
    return kept


def description(points: pd.DataFrame, measure: Measure) -> str:
    """What a screen reader says of the figure: every number of the front, the others' ranges."""
    best, others = _front(points)
    numbers = "; ".join(
        f"{point['label']}: {measure.text(point['cost'])} {measure.unit}, {fixed(point['mean'])} %"
        for _, point in best.iterrows()
    )
    text = f"Test top-1 against {measure.name}. On the Pareto front: {numbers}."
    if others.empty:
        return text
    costs, means = _range(others["cost"], measure.text), _range(others["mean"], fixed)
    return f"{text} Behind it, {len(others)} more: {costs} {measure.unit}, {means} %."


def _range(values: pd.Series, text: Callable[[float], str]) -> str:
    return " to ".join(dict.fromkeys((text(values.min()), text(values.max()))))
