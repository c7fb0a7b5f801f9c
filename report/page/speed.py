"""The section on speed: a machine's measured ratios with their goals, and how cost grows."""

from typing import NamedTuple

import pandas as pd
from markupsafe import Markup

from benchmarks.speed.figures import Figure, MachineSpeed
from report.figures.speed import growth
from report.page.table import Cell, Column, Table, number, table
from report.texts import fixed


class MachineView(NamedTuple):
    """All that one machine's file shows."""

    title: str
    facts: str
    tables: tuple[Table, ...]
    growth: Markup | None
    skipped: tuple[str, ...]


def _goal(one: Figure) -> str:
    sign = "at most" if one.better == "lower" else "at least"
    return f"{sign} {fixed(one.goal)}" if one.goal is not None else ""


def _verdict(one: Figure) -> str:
    verdict = {True: "met", False: "missed", None: ""}[one.met]
    if one.met is False and one.goal:
        gap = abs(one.ratio - one.goal)
        verdict += f" by {gap:.2f}" if gap >= 0.005 else f" by {gap:.1g}"
    return verdict


COLUMNS: tuple[Column[Figure], ...] = (
    Column("measured", lambda one: one.name),
    number("ratio", lambda one: Cell(fixed(one.ratio), kind="strong")),
    number(
        "middle half",
        lambda one: "" if one.low is None else f"{fixed(one.low)} to {fixed(one.high)}",
    ),
    Column("goal", _goal),
    Column("verdict", _verdict),
    Column("note", lambda one: one.note),
)


def speed_view(speed: MachineSpeed, name: str) -> MachineView:
    """A machine's tables, one for each group of figures; ``name`` begins their ids."""
    machine = speed.machine
    groups: dict[str, list[Figure]] = {}
    for figure in speed.figures:
        groups.setdefault(figure.group, []).append(figure)
    changes = " with local changes" if machine.dirty else ""
    facts = [
        machine.device,
        f"{machine.cores} cores",
        f"{machine.threads} thread for each process",
        f"torch {machine.torch}",
        machine.date,
        f"commit {machine.commit[:12]}{changes}" if machine.commit else "commit unknown",
    ]
    points = pd.DataFrame(
        [(one.axis, one.value, one.ratio) for one in speed.growth],
        columns=["axis", "value", "ratio"],
        dtype=object,
    )
    return MachineView(
        title=machine.processor,
        facts=", ".join(facts),
        tables=tuple(
            table(
                f"{name}-{place}",
                f"Speed: {title}",
                COLUMNS,
                figures,
                lead=f"{title[:1].upper()}{title[1:]}",
            )
            for place, (title, figures) in enumerate(groups.items())
        ),
        growth=growth(points, f"{name}-growth"),
        skipped=tuple(f"{what}: {why}" for what, why in speed.skipped.items()),
    )
