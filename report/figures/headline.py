"""The figure of the first screen: what QKD gains, against how long was trained."""

from itertools import cycle, islice
from typing import Any

import pandas as pd
import seaborn as sns
from markupsafe import Markup
from matplotlib.axes import Axes

from report.analysis.statistics import EFFECT
from report.figures.drawing import (
    BAND,
    DOTTED,
    MUTED,
    PAPER,
    STUDENT,
    TEACHER,
    Look,
    around,
    as_svg,
    style,
)
from report.figures.panels import Panels
from report.figures.results import interval
from report.texts import signed

BELOW = "length of training, % of the paper's (logarithmic)"
BESIDE = "points of test top-1"
MARKERS, COLORS = "Dos^vP", (STUDENT, TEACHER, MUTED)
APART = 1.12  # marks at one length stand beside each other by this factor
EMPTY = 0.3  # of the paper's length: where less was trained, the figure says what is missing
LINE = 0.2  # inches


def headline(frame: pd.DataFrame, name: str, *, narrow: bool = False) -> Markup | None:
    """Each contrast's mean difference with its 95 % interval against the length of training, to the
    paper's length. None without a difference.

    ``frame``: setting, run, was_seen, contrast, share (of the paper's length, above 0), mean, low,
    high. A line joins what one run has of a setting; what was seen before the analysis was fixed is
    hollow. The panels stand beside each other; ``narrow`` ones above each other, for the width of a
    phone.
    """
    shown = frame.dropna(subset=["share", "mean"])
    shown = shown[shown["share"] > 0]
    if shown.empty:
        return None
    looks = _looks(list(shown["setting"].unique()))
    size: dict[str, Any] = (
        {"columns": 1, "width": 4.2, "panel": 1.7} if narrow else {"columns": 3, "panel": 2.1}
    )
    rows = len(looks) if len(looks) > 1 else 0
    with style():
        grid = Panels(shown, "contrast", BELOW, BESIDE, bottom=0.6 + LINE * rows, **size)
        for axes, contrast in zip(grid.axes.flat, grid.col_names, strict=True):
            _panel(axes, shown[shown["contrast"] == contrast], shown["share"], looks)
        grid.scale(*around(shown, pd.Series([-EFFECT, EFFECT]), room=1), most=6)
        grid.key(looks, rows)
        return as_svg(grid.figure, name, description(shown), least=280 if narrow else 600)


def _looks(settings: list[str]) -> dict[str, Look]:
    """A marker and a colour for each setting: the markers tell them apart without the colours."""
    pairs = islice(zip(cycle(MARKERS), cycle(COLORS), strict=False), len(settings))
    return {
        setting: {"marker": marker, "color": color, "markersize": 7, "markeredgecolor": PAPER}
        for setting, (marker, color) in zip(settings, pairs, strict=True)
    }


def _panel(axes: Axes, own: pd.DataFrame, shares: pd.Series, looks: dict[str, Look]) -> None:
    _lengths(axes, shares)
    axes.axhspan(-EFFECT, EFFECT, color=BAND, linewidth=0)
    axes.axhline(0, color=MUTED, linewidth=0.8)
    own = own.assign(place=_beside(own["share"]))
    known = own.dropna(subset=["low", "high"])
    colors = [looks[setting]["color"] for setting in known["setting"]]
    axes.vlines(known["place"], known["low"], known["high"], color=colors, linewidth=1.6, zorder=3)
    sns.lineplot(
        own,
        x="place",
        y="mean",
        hue="setting",
        units="run",
        estimator=None,
        errorbar=None,
        palette={setting: look["color"] for setting, look in looks.items()},
        linewidth=0.8,
        legend=False,
        zorder=4,
        ax=axes,
    )
    for _, row in own.iterrows():
        look = looks[row["setting"]]
        hollow = {"markerfacecolor": PAPER, "markeredgecolor": look["color"], "markersize": 6}
        axes.plot(row["place"], row["mean"], **look | (hollow if row["was_seen"] else {}), zorder=5)
    axes.set(xlabel="", ylabel="")


def _lengths(axes: Axes, shares: pd.Series) -> None:
    """The logarithmic axis, from below the shortest training to the paper's length or beyond."""
    first, last = shares.min() / 2, max(1.0, shares.max())
    axes.set_xscale("log")
    axes.set_xlim(first, last * 1.25)
    places = [10.0**power for power in range(-9, 3) if first <= 10.0**power <= last]
    axes.set_xticks(places, [f"{100 * place:g}" for place in places])
    axes.set_xticks([], minor=True)
    axes.axvline(1, color=MUTED, linewidth=0.7, linestyle=DOTTED)
    above = axes.get_xaxis_transform()
    axes.text(
        1, 1.02, "the paper's length", transform=above, size=8, color=MUTED, ha="right", va="bottom"
    )
    if shares.max() < EMPTY:
        axes.text(
            (shares.max() * APART) ** 0.5,
            0.9,
            "not run",
            transform=above,
            size=8,
            color=MUTED,
            ha="center",
        )


def _beside(shares: pd.Series) -> pd.Series:
    """Where each mark stands: at its share, and beside it where several have the same."""
    of_one = shares.groupby(shares)
    return shares * APART ** (of_one.cumcount() - (of_one.transform("size") - 1) / 2)


def description(shown: pd.DataFrame) -> str:
    """Each contrast's differences: by setting and by the share of the paper's length."""
    texts = (
        f"{contrast}: "
        + ", ".join(
            f"{row['setting']} {interval(row, signed)} at {100 * row['share']:.3g} %"
            for _, row in own.iterrows()
        )
        for contrast, own in shown.groupby("contrast", sort=False)
    )
    return (
        "Differences in test top-1 by share of the paper's length of training, points, mean and "
        f"95 % interval. {'; '.join(texts)}"
    )
