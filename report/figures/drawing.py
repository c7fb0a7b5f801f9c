"""How figures look, and how one becomes an SVG that takes its colours from the page's style."""

import html
import io
import math
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib as mpl
import pandas as pd
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from qkd.records.files import printable
from report.figures.svg import apart, named, smaller, together

mpl.use("svg")  # seaborn asks pyplot for its figures: no window is opened, and none looked for

# Stand-ins: matplotlib wants colours; the SVG gets the page's, which follow light and dark.
INK, MUTED, RULE = "#010101", "#010102", "#010103"
STUDENT, TEACHER, BAND, PAPER = "#010104", "#010105", "#010106", "#010107"
_VARIABLES = {
    INK: "var(--ink)",
    MUTED: "var(--muted)",
    RULE: "var(--rule)",
    STUDENT: "var(--student)",
    TEACHER: "var(--teacher)",
    BAND: "var(--band)",
    PAPER: "var(--paper)",
}
Look = dict[str, Any]  # how matplotlib draws a line
DASHED, DOTTED = (0, (3, 2)), (0, (1, 2))
_STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "qkd",
    "text.parse_math": False,
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 10,
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "axes.titleweight": "bold",
    "axes.labelsize": 10,
    "xtick.labelsize": 9,
    "ytick.labelsize": 9,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "text.color": INK,
    "axes.labelcolor": MUTED,
    "axes.titlecolor": INK,
    "axes.edgecolor": RULE,
    "axes.facecolor": "none",
    "figure.facecolor": "none",
    "savefig.facecolor": "none",
    "xtick.labelcolor": MUTED,
    "ytick.labelcolor": MUTED,
    "axes.linewidth": 0.8,
    "legend.fontsize": 9,
    "legend.frameon": False,
    "lines.solid_capstyle": "butt",  # an interval ends where it ends
    "lines.dash_capstyle": "butt",
    "axes.spines.left": False,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "path.simplify": False,
}

PALETTE = Path(__file__).resolve().parent / "palette.css"
WIDTH = 8.5
NO_TICKS: dict[str, Any] = {"xticks": [], "yticks": []}  # until what is drawn sets them: faster


class Picture(NamedTuple):
    """A figure of the page: its name, its caption, and itself as inline SVG."""

    name: str
    caption: str
    svg: Markup


@contextmanager
def style() -> Iterator[None]:
    """Figures made within look as the page does."""
    with mpl.rc_context(_STYLE), warnings.catch_warnings():
        # A glyph that matplotlib's font lacks is the reader's font's to show.
        warnings.filterwarnings("ignore", "Glyph .* missing from font")
        yield


def shortened(text: str, most: int = 20) -> str:
    """The text as it may be drawn: its end alone, where the whole is too long for a panel."""
    text = printable(" ".join(text.split()))
    return text if len(text) <= most else f"\N{HORIZONTAL ELLIPSIS}{text[1 - most :]}"


def ticks(low: float, high: float, most: int = 8) -> list[float]:
    """Round numbers from ``low`` to ``high``: about as many as ``most``, and no more."""
    found = MaxNLocator(most, steps=[1, 2, 2.5, 5, 10]).tick_values(low, high)
    return [float(tick) for tick in found if low <= tick <= high]


def rules(axes: Axes, x: Sequence[float] = (), y: Sequence[float] = ()) -> None:
    """Lines of a grid across the axes, as one path for each direction."""
    for places, transform, horizontal in (
        (x, axes.get_xaxis_transform(), False),
        (y, axes.get_yaxis_transform(), True),
    ):
        if len(places):
            path = [place for place in places for _ in range(3)], [0, 1, math.nan] * len(places)
            axes.plot(
                *(path[::-1] if horizontal else path),
                transform=transform,
                color=RULE,
                linewidth=0.6,
                zorder=0.5,
                clip_on=False,
            )


def around(frame: pd.DataFrame, *values: pd.Series, room: float = 0.5) -> tuple[float, float]:
    """The range of the frame's means and of the values, widened by its intervals (low, high), but
    by no more than ``room`` of itself on each side: one wide interval leaves the others legible."""
    inner = pd.concat([frame["mean"], *values]).astype(float)
    low, high = float(inner.min()), float(inner.max())
    most = max(0.5, room * (high - low))
    lows, highs = frame["low"].astype(float).dropna(), frame["high"].astype(float).dropna()
    return (
        max(low - most, min([low, *lows]) - most / 8),
        min(high + most, max([high, *highs]) + most / 8),
    )


def as_svg(figure: Figure, name: str, description: str, least: int = 600) -> Markup:
    """The figure as inline SVG: the same bytes from the same figure.

    ``name`` goes before its ids, which must be unique on a page; ``description`` is what a screen
    reader says; ``least`` is the width in pixels under which it is no longer legible.
    """
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    svg, texts = apart(buffer.getvalue())
    svg = named(smaller(svg[svg.index("<svg") :]), html.escape(name))
    for color, variable in _VARIABLES.items():
        svg = svg.replace(color, variable)
    svg = together(svg, texts)
    width, height = (72 * inches for inches in figure.get_size_inches())
    sizes = f"max-width: {width * 1.5:g}px; min-width: {min(width, least):g}px"
    head = (
        f'<svg class="figure" viewBox="0 0 {width:g} {height:g}" role="img" '
        f'style="{sizes}; font-family: var(--sans)" '
        f'aria-label="{html.escape(printable(description))}">'
    )
    return Markup(head + svg[svg.index(">") + 1 :])  # noqa: S704 (matplotlib escapes its texts)


def standalone(svg: Markup) -> str:
    """A figure of the page as a file of its own, with the page's colours and fonts."""
    palette = PALETTE.read_text(encoding="utf-8")
    text = str(svg).replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1)
    head, end, rest = text.partition(">")
    return f"{head}{end}\n<style>\n{palette}</style>{rest}"
