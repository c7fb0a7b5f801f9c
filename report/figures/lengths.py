"""The figure of contrasts by the length of training: small multiples, one panel a contrast."""

import pandas as pd
from markupsafe import Markup
from matplotlib.axes import Axes

from report.analysis.statistics import EFFECT
from report.figures.drawing import BAND, MUTED, PAPER, STUDENT, around, as_svg, style
from report.figures.panels import Panels
from report.figures.results import apart, interval
from report.texts import signed

BESIDE = "points of test top-1"
BELOW = f"steps of training, logarithmic (band: {EFFECT} points each way)"


def by_length(lengths: pd.DataFrame, differences: pd.DataFrame, name: str) -> Markup | None:
    """Each contrast's differences at each length, in steps on a logarithmic axis. None
    without one.

    ``lengths``: label, fixed, steps, mean, low, high; ``differences``: label, steps, seed, points.
    """
    if lengths.empty:
        return None
    with style():
        grid = Panels(lengths, "label", BELOW, BESIDE)
        for axes, label in zip(grid.axes.flat, grid.col_names, strict=True):
            _panel(axes, lengths[lengths["label"] == label], lengths["steps"])
            dots = differences[differences["label"] == label]
            axes.scatter(dots["steps"], dots["points"], 16, MUTED, linewidth=0, zorder=3)
        grid.scale(*around(lengths, differences["points"], pd.Series([-EFFECT, EFFECT])))
        return as_svg(grid.figure, name, description(lengths))


def description(lengths: pd.DataFrame) -> str:
    """Each contrast's mean difference with its interval, by length."""
    texts = (
        f"{label} "
        + ", ".join(
            f"{interval(row, signed)} after {row['steps']:,} steps" for _, row in own.iterrows()
        )
        for label, own in lengths.groupby("label", sort=False)
    )
    head = "Differences by length of training, points, mean and 95 % interval: "
    return head + "; ".join(texts)


def _panel(axes: Axes, own: pd.DataFrame, steps: pd.Series) -> None:
    axes.set_xscale("log")
    axes.set_xlim(steps.min() / 2, steps.max() * 2)
    places = [round(step) for step in apart(list(steps))]
    axes.set_xticks(places, [f"{place:,}" for place in places])
    axes.set_xticks([], minor=True)
    axes.axhspan(-EFFECT, EFFECT, color=BAND, linewidth=0)
    axes.axhline(0, color=MUTED, linewidth=0.8)
    known = own.dropna(subset=["low", "high"])
    axes.vlines(known["steps"], known["low"], known["high"], color=STUDENT, linewidth=1.6, zorder=3)
    axes.plot(
        own["steps"],
        own["mean"],
        "D",
        color=STUDENT,
        markersize=6,
        zorder=4,
        markerfacecolor=STUDENT if own["fixed"].all() else PAPER,
    )
