"""Top-1 over bits, a panel a network: the paper's Figure 1, and its twin from our runs."""

from typing import Any

import pandas as pd
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from report.analysis.by_bits import FLOAT
from report.figures.drawing import (
    DASHED,
    DOTTED,
    INK,
    MUTED,
    PAPER,
    STUDENT,
    TEACHER,
    Look,
    around,
    as_svg,
    rules,
    shortened,
    style,
    ticks,
)
from report.figures.results import interval
from report.texts import fixed

LOOKS: dict[str, Look] = {
    "QKD": {"color": STUDENT, "marker": "D", "linewidth": 1.8, "zorder": 5},
    "AP* (plain KD)": {"color": TEACHER, "marker": "s", "linewidth": 1.4, "linestyle": DASHED},
    "plain KD (AP*)": {"color": TEACHER, "marker": "s", "linewidth": 1.4, "linestyle": DASHED},
    "plain QAT": {"color": INK, "marker": "o", "linewidth": 1.1, "linestyle": (0, (5, 1, 1, 1))},
    "QIL": {"color": MUTED, "marker": "^", "linewidth": 0.8},
    "DSQ": {"color": MUTED, "marker": "v", "linewidth": 0.8},
    "LQ-Net": {"color": MUTED, "marker": "P", "linewidth": 0.8},
    "PACT": {"color": MUTED, "marker": "X", "linewidth": 0.8},
}
MARKERS = list(dict.fromkeys(look["marker"] for look in LOOKS.values()))
SIZE = 6.0
OURS = "run here"
BESIDE = "test top-1, %"
WIDE: dict[str, Any] = {"columns": 2, "width": 9.5}
NARROW: dict[str, Any] = {"columns": 1, "width": 4.2}
PANEL, KEY = 2.4, 0.45  # inches: the height of a panel, and of the key below them all


def by_bits(points: pd.DataFrame, name: str, *, narrow: bool = False) -> Markup | None:
    """A panel for each network, a line a method over its bits, full precision dotted. None without
    a quantized point.

    ``points``: panel, line, bits, mean, low, high, is_ours. What is claimed has hollow marks; what
    was run here filled ones with their 95 % interval.
    """
    quantized = points[points["line"] != FLOAT]
    if quantized.empty:
        return None
    panels = list(quantized["panel"].unique())
    shape = NARROW if narrow else WIDE
    across = shape["columns"]
    down = -(-len(panels) // across)
    key = KEY * (2 if narrow else 1)
    with style():
        size = (shape["width"], down * PANEL + key)
        figure = Figure(figsize=size, layout="constrained")
        figure.get_layout_engine().set(rect=(0, key / size[1], 1, 1 - key / size[1]))  # type: ignore[union-attr, call-arg]
        grid = figure.subplots(down, across, squeeze=False)
        for axes, panel in zip(grid.flat, panels, strict=False):
            _panel(axes, points[points["panel"] == panel], panel)
        for axes in list(grid.flat)[len(panels) :]:
            axes.set_axis_off()
        _key(figure, points, columns=4 if narrow else 8)
        return as_svg(figure, name, description(points), least=280 if narrow else 600)


def _panel(axes: Axes, own: pd.DataFrame, title: str) -> None:
    quantized = own[own["line"] != FLOAT]
    widths = sorted(quantized["bits"].unique())
    place = {bits: number for number, bits in enumerate(widths)}
    for full in own[own["line"] == FLOAT]["mean"]:
        axes.axhline(full, color=MUTED, linewidth=1.1, linestyle=DOTTED)
    for (line, is_ours), some in quantized.groupby(["line", "is_ours"], sort=False):
        _line(axes, some.sort_values("bits"), place, LOOKS[str(line)], is_ours=bool(is_ours))
    axes.set_xticks(range(len(widths)), [f"W{bits}A{bits}" for bits in widths])
    axes.set_xlim(-0.3, max(len(widths) - 0.7, 0.3))
    axes.set_ylim(*around(quantized, own["mean"], room=1))
    places = ticks(*axes.get_ylim(), most=6)
    axes.set_yticks(places)
    rules(axes, y=places)
    axes.set_title(shortened(title, 52))
    axes.set_ylabel(BESIDE)


def _line(
    axes: Axes, some: pd.DataFrame, place: dict[int, int], look: Look, *, is_ours: bool
) -> None:
    at = some["bits"].map(place).astype(float)
    if is_ours:
        # Beside each other, where intervals at the same bits would hide each other.
        at = at + 0.06 * (MARKERS.index(look["marker"]) - 1)
        known = some["low"].notna() & some["high"].notna()
        ends = some[known]
        axes.vlines(at[known], ends["low"], ends["high"], color=look["color"], linewidth=1.4)
    face = look["color"] if is_ours else PAPER
    axes.plot(at, some["mean"], markersize=SIZE, markerfacecolor=face, **look)


def _key(figure: Figure, points: pd.DataFrame, columns: int) -> None:
    """What each line is; what was run here where both stand side by side."""
    names = [name for name in LOOKS if (points["line"] == name).any()]
    kinds = points[points["line"] != FLOAT]["is_ours"]
    shown = [
        Line2D([], [], markersize=SIZE, markerfacecolor=_face(LOOKS[name], kinds), **LOOKS[name])
        for name in names
    ]
    if (points["line"] == FLOAT).any():
        shown.append(Line2D([], [], color=MUTED, linewidth=1.1, linestyle=DOTTED))
        names.append("full precision")
    if kinds.nunique() > 1:
        shown.append(Line2D([], [], color=INK, marker="D", linewidth=0, markersize=SIZE))
        names.append(f"filled: {OURS}")
    figure.legend(
        shown,
        names,
        loc="lower left",
        ncols=columns,
        handlelength=2.2,
        columnspacing=1.4,
        labelcolor=MUTED,
        borderaxespad=0.2,
    )


def _face(look: Look, kinds: pd.Series) -> str:
    return str(look["color"]) if kinds.all() else PAPER


def description(points: pd.DataFrame) -> str:
    """Every number: by panel, line and bits."""
    texts = []
    for panel, own in points.groupby("panel", sort=False):
        lines = []
        for (line, is_ours), some in own.groupby(["line", "is_ours"], sort=False):
            where = f" ({OURS})" if is_ours and not own["is_ours"].all() else ""
            numbers = ", ".join(
                interval(row, fixed)
                + ("" if line == FLOAT else f" at W{row['bits']}A{row['bits']}")
                for _, row in some.iterrows()
            )
            lines.append(f"{line}{where} {numbers}")
        texts.append(f"{panel}: {'; '.join(lines)}")
    return f"Test top-1 in percent over bits. {'. '.join(texts)}."
