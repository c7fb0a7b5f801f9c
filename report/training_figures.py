"""Figures of training: small multiples over the student's steps, one panel a method or a layer."""

from collections.abc import Sequence

from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from report.curves import Curves, Points, thinned
from report.drawing import MUTED, STUDENT, TEACHER, as_svg, shortened, small_multiples, style
from report.words import fixed

WIDTH = 8.5
MOST_LAYERS = 12
SHORT = {"self-study": "SS", "co-study": "CS", "co-study-ce": "CS", "tutoring": "TU"}

Drawn = tuple[Points, str, object, float]


def accuracy_curves(methods: Sequence[Curves], name: str) -> Markup | None:
    """Held-out top-1 of student and teacher over steps, one panel a method."""
    shown = [method for method in methods if method.student]
    lines = [(method.student, method.teacher) for method in shown]
    panels = [
        [(student, STUDENT, "-", 1.6), (teacher, TEACHER, "-", 1.6)] for student, teacher in lines
    ]
    description = "Held-out top-1 of student and teacher at the end of their curves, in %: "
    description += "; ".join(
        f"{method.name} {_last(method.student)}, teacher {_last(method.teacher)}"
        if method.teacher
        else f"{method.name} {_last(method.student)}"
        for method in shown
    )
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
    description = "Loss terms at the end of their curves: " + "; ".join(
        f"{method.name} "
        + ", ".join(
            f"{term.replace('_', ' ')} {_last(points)}" for term, points in method.losses.items()
        )
        for method in methods
    )
    return _panels(methods, panels, "loss", name, description)


def interval_curves(method: Curves, name: str) -> Markup | None:
    """The learned intervals of chosen layers over steps, each relative to its first value: solid
    the weights', dashed the inputs'. None where the records have none."""
    layers = of_layers(method.intervals)
    if not layers:
        return None
    shown = thinned(list(layers), MOST_LAYERS)
    titles = [method._replace(name=shortened(layer)) for layer in shown]
    panels = [
        [
            (points, STUDENT, "-" if side == "weight" else (0, (3, 2)), 1.4)
            for side, points in layers[layer].items()
        ]
        for layer in shown
    ]
    description = "Learned intervals at the last step, relative to the first logged: " + "; ".join(
        f"{layer} "
        + ", ".join(f"{side}s {_last(points)}" for side, points in layers[layer].items())
        for layer in shown
    )
    return _panels(titles, panels, "interval, relative to its first", name, description)


def of_layers(intervals: dict[str, Points]) -> dict[str, dict[str, Points]]:
    """By layer and by ``weight`` or ``input``: the first scalar of each quantizer, relative to its
    first value (which must not be 0)."""
    layers: dict[str, dict[str, Points]] = {}
    for name, points in intervals.items():
        for side in ("weight", "input"):
            layer, found, _ = name.partition(f".{side}_quantizer.")
            if found and points[0][1]:
                begin = points[0][1]
                relative = tuple((step, value / begin) for step, value in points)
                layers.setdefault(layer, {}).setdefault(side, relative)
    return layers


def _last(points: Points) -> str:
    return fixed(points[-1][1]) if points else fixed(None)


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
    with style():
        figure, grid = small_multiples(len(methods), "steps of the student", label)
        for axes, method, lines in zip(grid, methods, panels, strict=True):
            _panel(axes, method, lines)
        return as_svg(figure, name, description)


def _panel(axes: Axes, method: Curves, lines: Sequence[Drawn]) -> None:
    axes.set_title(method.name, pad=16)
    axes.grid(axis="y", clip_on=False)  # they end where the axes do: a smaller file
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
