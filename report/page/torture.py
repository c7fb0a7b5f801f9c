"""What make torture found: kills, hostile input, two launches at once, a full disk."""

from typing import NamedTuple

from benchmarks.torture.figures import Row, Torture, faults_of
from report.page.table import Column, Table, number, table
from report.texts import duration


class TortureView(NamedTuple):
    """What a machine's file shows: where and how long, the table, the first faults, and what was
    not tried."""

    title: str
    facts: str
    table: Table
    examples: tuple[str, ...]
    skipped: tuple[str, ...]


COLUMNS: tuple[Column[Row], ...] = (
    Column("part", lambda row: row.part),
    Column("what", lambda row: row.what),
    number("tried", lambda row: f"{row.tried:,}"),
    Column("faults", lambda row: ", ".join(f"{n} {kind}" for kind, n in row.faults.items())),
    Column("how it went", lambda row: row.note),
)


def torture_view(found: Torture, name: str) -> TortureView:
    """A machine's table; ``name`` is its id."""
    machine, faults = found.machine, faults_of(found)
    said = "no fault" if faults == 0 else f"{faults} fault{'s' if faults > 1 else ''}"
    facts = (
        f"{said} in {sum(row.tried for row in found.rows):,} trials, {duration(found.seconds)}; "
        f"torch {machine.torch}, {machine.date}"
    )
    return TortureView(
        title=machine.processor,
        facts=facts,
        table=table(name, f"Torture on {machine.processor}", COLUMNS, found.rows, lead="Torture"),
        examples=found.examples,
        skipped=tuple(f"{what} was not tried: {why}" for what, why in found.skipped.items()),
    )
