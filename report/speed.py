"""The section on speed: what `make speed` measured on the user's machines, and on the committed."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from markupsafe import Markup
from matplotlib.figure import Figure as Drawing

from benchmarks.speed.figures import FOLDER, Figure, MachineSpeed, Point
from qkd.spec.value import decode
from report.drawing import STUDENT, as_svg, style
from report.outcomes import BAD_FILE, reason
from report.sources import REFERENCE
from report.table import Cell, Row, Table, number, row, table
from report.words import fixed

COMMITTED = REFERENCE.parent / FOLDER
WIDTH, HEIGHT, PANELS = 9.5, 2.3, 3
COLUMNS = ("measured", number("ratio"), number("middle half"), "goal", "verdict", "note")


class MachineView(NamedTuple):
    """All that one machine's file shows."""

    title: str
    facts: str
    tables: tuple[Table, ...]
    growth: Markup | None
    skipped: tuple[str, ...]


def speed_views(results: Path, committed: Path = COMMITTED) -> tuple[list[MachineView], list[str]]:
    """One for each machine, the user's before the committed; and what cannot be read."""
    views: list[MachineView] = []
    problems: list[str] = []
    files: dict[str, Path] = {}
    for folder in (results / FOLDER, committed):
        for path in sorted(folder.glob("*.json")):
            files.setdefault(path.name, path)
    for place, path in enumerate(files.values()):
        try:
            speed = decode(path.read_bytes(), MachineSpeed)
            views.append(_view(speed, f"speed-{place}"))
        except BAD_FILE as error:
            problems.append(f"{FOLDER}/{path.name} cannot be read: {reason(error)}")
    return views, problems


def _view(speed: MachineSpeed, name: str) -> MachineView:
    machine = speed.machine
    groups: dict[str, list[Row]] = {}
    for figure in speed.figures:
        groups.setdefault(figure.group, []).append(_row(figure))
    facts = [
        machine.device, f"{machine.cores} cores", f"{machine.threads} thread for each process",
        f"torch {machine.torch}", machine.date,
        f"commit {machine.commit[:12]}{' with local changes' if machine.dirty else ''}"
        if machine.commit else "commit unknown",
    ]  # fmt: skip
    return MachineView(
        title=machine.processor,
        facts=", ".join(facts),
        tables=tuple(
            table(f"{name}-{place}", f"Speed: {title}", COLUMNS, rows, lead=_sentence_case(title))
            for place, (title, rows) in enumerate(groups.items())
        ),
        growth=_growth(speed.growth, name),
        skipped=tuple(f"{what}: {why}" for what, why in speed.skipped.items()),
    )


def _sentence_case(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}"


def _row(figure: Figure) -> Row:
    sign = "at most" if figure.better == "lower" else "at least"
    verdict = {True: "met", False: "missed", None: ""}[figure.met]
    if figure.met is False and figure.goal:
        gap = abs(figure.ratio - figure.goal)
        verdict += f" by {gap:.2f}" if gap >= 0.005 else f" by {gap:.1g}"
    return row(
        figure.name,
        Cell(fixed(figure.ratio), kind="strong"),
        "" if figure.low is None else f"{fixed(figure.low)} to {fixed(figure.high)}",
        f"{sign} {fixed(figure.goal)}" if figure.goal is not None else "",
        verdict,
        figure.note,
    )


def _growth(points: Sequence[Point], name: str) -> Markup | None:
    """One panel an axis: the cost of a step relative to the base. None without points."""
    axes_of: dict[str, list[Point]] = {}
    for point in points:
        axes_of.setdefault(point.axis, []).append(point)
    if not axes_of:
        return None
    rows = -(-len(axes_of) // PANELS)
    with style():
        figure = Drawing(figsize=(WIDTH, HEIGHT * rows), layout="constrained")
        grid = figure.subplots(rows, PANELS, squeeze=False).ravel()
        for axes, (axis, found) in zip(grid, axes_of.items(), strict=False):
            values = [point.value for point in found]
            axes.plot(range(len(found)), [p.ratio for p in found], "o-", color=STUDENT)
            axes.set_xticks(range(len(found)), values)
            axes.set_title(axis)
            axes.set_ylim(0, 1.1 * max(point.ratio for point in found))
            axes.grid(axis="y")
            axes.tick_params(length=0)
        for axes in grid[len(axes_of) :]:
            axes.set_axis_off()
        words = "; ".join(
            f"{axis}: " + ", ".join(f"{p.value} {p.ratio:.2f}" for p in found)
            for axis, found in axes_of.items()
        )
        return as_svg(figure, name, f"Cost relative to the base. {words}")
