"""Figures of training: small multiples over the student's steps, one panel a method or a layer.

``curves``: method, series, step, value, the means over seeds, ordered by step; ``borders``: method,
step, phase, the steps at which a phase ends. A series is ``student`` or ``teacher`` (held-out top-1
in percent), ``learning_rate``, ``teacher_learning_rate``, ``loss NAME`` or ``interval NAME``.
"""

from collections.abc import Callable
from textwrap import shorten
from typing import Any

import pandas as pd
import seaborn as sns
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from report.figures.drawing import (
    DASHED,
    DOTTED,
    MUTED,
    NO_TICKS,
    STUDENT,
    TEACHER,
    WIDTH,
    Look,
    as_svg,
    rules,
    shortened,
    style,
    ticks,
)
from report.figures.panels import Panels
from report.texts import SHORT, fixed, thinned

MOST_LAYERS = 12
MOST_LETTERS = 100
QUANTIZER = r"^interval (?P<layer>.*?)\.(?P<side>weight|input)_quantizer\."

SOLID: Look = {"color": STUDENT, "linewidth": 1.4}
OF_TEACHER: Look = SOLID | {"color": TEACHER}


def accuracy_curves(curves: pd.DataFrame, borders: pd.DataFrame, name: str) -> Markup | None:
    """Held-out top-1 of student and teacher over steps, one panel a method. None without curves."""
    shown = curves[curves["series"].isin(["student", "teacher"])]
    looks = {"student": SOLID, "teacher": OF_TEACHER}
    text = "Held-out top-1 of student and teacher at the end of their curves, in %: "
    text += _in_words(shown, "method", {"student": "", "teacher": "teacher"}.__getitem__)
    return _panels(shown, borders, looks, ("method", "held-out top-1, %", name, text))


def loss_curves(curves: pd.DataFrame, borders: pd.DataFrame, name: str) -> Markup | None:
    """Each loss term over steps, one panel a method: solid cross-entropy, dashed the others."""
    shown = curves[curves["series"].str.startswith("loss ")]
    shown = shown.assign(series=shown["series"].str.removeprefix("loss ").str.replace("_", " "))
    looks = {
        term: (OF_TEACHER if term.startswith("teacher") else SOLID)
        | {"linestyle": "-" if term.endswith("cross entropy") else DASHED}
        for term in sorted(shown["series"].unique())
    }
    text = f"Loss terms at the end of their curves: {_in_words(shown, 'method', str)}"
    return _panels(shown, borders, looks, ("method", "loss", name, text))


def interval_curves(curves: pd.DataFrame, borders: pd.DataFrame, name: str) -> Markup | None:
    """The learned intervals of chosen layers of one method over steps, each relative to its first
    value: solid the weights', dashed the inputs'. None where the curves have none."""
    known = of_layers(curves)
    shown = known[known["layer"].isin(thinned(list(known["layer"].unique()), MOST_LAYERS))]
    looks = {"weights": SOLID, "inputs": SOLID | {"linestyle": DASHED}}
    text = "Learned intervals at the last step, relative to the first logged: "
    text += _in_words(shown, "layer", str)
    return _panels(shown, borders, looks, ("layer", "interval, relative to its first", name, text))


def of_layers(curves: pd.DataFrame) -> pd.DataFrame:
    """layer, series (``weights`` or ``inputs``), step, value: the first scalar of each quantizer,
    relative to its first value (which must not be 0)."""
    curves = curves.reset_index(drop=True)
    found = curves.join(curves["series"].str.extract(QUANTIZER)).dropna(subset=["layer", "side"])
    first = found.groupby(["layer", "side"])["series"].transform("first")
    found = found[found["series"] == first]
    begin = found.groupby(["layer", "side"])["value"].transform("first")
    found = found.assign(value=found["value"] / begin.where(begin != 0), series=found["side"] + "s")
    return found.dropna(subset="value")[["layer", "series", "step", "value"]]


def _in_words(shown: pd.DataFrame, of: str, said: Callable[[str], str]) -> str:
    """``qkd 71.50, teacher 90.00; qat 70.00``: where each line ends."""
    last = shown.drop_duplicates([of, "series"], keep="last")
    ends: dict[str, list[str]] = {panel: [] for panel in shown[of].unique()}
    for panel, series, value in zip(last[of], last["series"], last["value"], strict=True):
        ends[panel].append(f"{said(series)} {fixed(value)}".strip())
    return "; ".join(f"{panel} {', '.join(texts)}" for panel, texts in ends.items())


def _panels(
    shown: pd.DataFrame, borders: pd.DataFrame, looks: dict[str, Look], words: tuple[str, ...]
) -> Markup | None:
    """Small multiples on common axes, with the borders between phases. None without curves."""
    if shown.empty:
        return None
    of, beside, name, description = words
    with style():
        grid = Panels(shown, of, "steps of the student", beside)
        low, high = shown["value"].min(), shown["value"].max()
        room = 0.08 * (high - low) or 0.5
        grid.scale(low - room, high + room)
        for axes, panel in zip(grid.axes.flat, grid.col_names, strict=True):
            lines = shown[shown[of] == panel]
            own = borders[borders["method"] == panel] if of == "method" else borders
            _phases(axes, own, last=max(own["step"].max(), lines["step"].max()))
            for series, line in lines.groupby("series", sort=False):
                _line(axes, line, looks[series])
        grid.key({series: looks[series] for series in looks if series in set(shown["series"])})
        return as_svg(grid.figure, name, description)


def _phases(axes: Axes, borders: pd.DataFrame, last: int) -> None:
    """The horizontal axis: a dotted line where a phase ends, and the phase's name above it."""
    axes.set_xlim(0, last)
    axes.xaxis.set_visible(False)  # two texts are all that it needs, and drawn in half the time
    above = axes.get_xaxis_transform()
    for step, side in ((0, "left"), (last, "right")):
        axes.text(step, -0.05, f"{step:,}", transform=above, size=9, color=MUTED, ha=side, va="top")
    for begin, end, phase in zip(
        borders["step"].shift(fill_value=0), borders["step"], borders["phase"], strict=True
    ):
        axes.text(
            (begin + end) / 2,
            1.02,
            shortened(SHORT.get(phase, phase)),
            transform=above,
            size=8,
            color=MUTED,
            ha="center",
            va="bottom",
        )
    ends = borders["step"].repeat(3), [0, 1, float("nan")] * len(borders)
    axes.plot(*ends, transform=above, color=MUTED, linewidth=0.7, linestyle=DOTTED, clip_on=False)


def _line(axes: Axes, line: pd.DataFrame, look: Look) -> None:
    marker: Look = {"marker": "o", "markersize": 3} if len(line) == 1 else {}
    axes.plot(line["step"], line["value"], clip_on=False, **look | marker)


def learning_rates(curves: pd.DataFrame, name: str) -> Markup | None:
    """Learning rates of the weights over steps: one line for all methods that share a course; the
    broad line is the teacher's. None without a learning rate."""
    student = _courses(curves[curves["series"] == "learning_rate"])
    if student.empty:
        return None
    teacher = _courses(curves[curves["series"] == "teacher_learning_rate"])
    count = student["methods"].nunique()
    with style():
        figure = Figure(figsize=(WIDTH, 1.8 + 0.35 * count), layout="constrained")
        axes = figure.subplots(subplot_kw=NO_TICKS)
        for _, line in teacher.groupby("methods", sort=False):
            _line(axes, line, OF_TEACHER | {"linewidth": 4})
        sns.lineplot(
            student,
            x="step",
            y="value",
            style="methods",
            estimator=None,
            errorbar=None,
            color=STUDENT,
            linewidth=1.4,
            legend=False,
            ax=axes,
            dashes=["", *((1 + 3 * place, 1) for place in range(1, count))],
            markers=False,
        )
        texts = [f" {shorten(methods, MOST_LETTERS)}" for methods in student["methods"].unique()]
        figure.legend(axes.lines[-count:], texts, loc="outside lower left", ncols=1)
        axes.set_xlim(left=0)
        places = ticks(*axes.get_ylim(), most=5)
        axes.set_yticks(places)
        axes.set_xticks(ticks(*axes.get_xlim()))
        rules(axes, y=places)
        axes.set_xlabel("steps of the student", visible=True)  # seaborn hides those without ticks
        axes.set_ylabel("learning rate", visible=True)
        return as_svg(figure, name, "Learning rates of the student's and the teacher's weights")


def _courses(rates: pd.DataFrame) -> pd.DataFrame:
    """methods, step, value: each course once, with the names of all methods that share it."""
    groups: dict[tuple[Any, ...], list[str]] = {}
    for method, line in rates.groupby("method", sort=False):
        course = tuple(zip(line["step"], line["value"], strict=True))
        groups.setdefault(course, []).append(shortened(str(method), 40))
    return pd.DataFrame(
        [(", ".join(names), *point) for course, names in groups.items() for point in course],
        columns=["methods", "step", "value"],
    )
