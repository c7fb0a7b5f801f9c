"""The GPU-hours of a plan, as a launch prints them (torch-free)."""

from collections.abc import Iterable

from rich.console import Console
from rich.table import Table
from rich.text import Text

from benchmarks.gpus import ASSUMED_SHARE, GPU
from qkd.records.files import printable
from slurm.planning.estimate import in_words
from slurm.planning.hours import (
    PRECISIONS,
    Estimate,
    Hours,
    by_cell,
    in_order,
    with_and_without_sharing,
)
from slurm.planning.work import Work


def show_hours(work: Work) -> None:
    """Prints the hours with and without sharing: by cell and precision where the speeds of the
    networks are known, in one line where they are assumed.
    """
    estimate = Estimate(work.matrix.cells())
    shared, alone = with_and_without_sharing(work, estimate)
    marks = estimate.marks(work.plan)
    if marks == {"assumed"}:
        print(
            f"on one {GPU}: {_told(shared.of[0])}, without sharing {_told(alone.of[0])} (assumed: "
            f"{100 * ASSUMED_SHARE:.0f} % of its peak in float32)"
        )
        return
    Console().print(_cells(work, estimate, shared, alone))
    print(
        f"speeds: {', '.join(sorted(marks))} (benchmarks/gpus.py), of networks in float: what "
        "quantizers and reading photos add is not counted"
    )
    steps = in_order(work, estimate)
    if not steps:
        return
    own = work.matrix.grids[0].recipe.precision
    place = PRECISIONS.index(own)
    table = Table(title=Text(f"What to ask first: hours in {own}, with sharing"))
    table.add_column("ONLY=")
    _add_columns(table, ("adds", "so far"))
    for step in steps:
        numbers = (_numbers(hours)[place] for hours in (step.adds, step.so_far))
        table.add_row(Text(printable(step.only)), *numbers)
    Console().print(table)


def _cells(work: Work, estimate: Estimate, shared: Hours, alone: Hours) -> Table:
    table = Table(title=Text(f"Hours on one {GPU}, of one seed trained by itself"))
    for name in ("pair", "bits", "method"):
        table.add_column(name)
    table.add_column("seeds", justify="right")
    _add_columns(table, PRECISIONS)
    for cell, seeds, hours in by_cell(work, estimate):
        names = (cell.pair.label, cell.bits.label if cell.bits else "fp", cell.method.name)
        table.add_row(*(Text(printable(name)) for name in names), str(seeds), *_numbers(hours))
    table.add_section()
    table.add_row("all seeds", "", "", "", *_numbers(alone))
    table.add_row("with sharing", "", "", "", *_numbers(shared))
    return table


def _told(hours: float) -> str:
    """GPU-hours as a budget counts them; what takes less than one as people say it."""
    return f"{hours:.3g} hours" if hours >= 1 else in_words(3600 * hours)


def _add_columns(table: Table, names: Iterable[str]) -> None:
    for name in names:
        table.add_column(name, justify="right")


def _numbers(hours: Hours) -> list[str]:
    return [f"{one:,.1f}" if one < 1000 else f"{one:,.0f}" for one in hours.of]
