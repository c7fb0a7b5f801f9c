"""The section on repeatability: how far apart two trainings of the same cell end."""

from typing import NamedTuple

from benchmarks.repeatability.figures import Repeatability, Row
from report.page.table import Column, Table, number, table
from report.texts import fixed


class RepeatabilityView(NamedTuple):
    """What a machine's file shows: what was trained where, the table, and a sentence for each bits
    that compares the two ways of training again."""

    title: str
    facts: str
    table: Table
    sentences: tuple[str, ...]


COLUMNS: tuple[Column[Row], ...] = (
    Column("bits", lambda row: "float" if row.bits == "FP" else row.bits),
    Column("between", lambda row: row.between),
    number("pairs", lambda row: str(row.pairs)),
    number("answers that differ, %", lambda row: fixed(100 * row.differing)),
    number("top-1, rms points", lambda row: fixed(row.top1_rms)),
    number("distance of weights, %", lambda row: fixed(100 * row.distance)),
)


def repeatability_view(found: Repeatability, name: str) -> RepeatabilityView:
    """A machine's table; ``name`` is its id."""
    machine = found.machine
    sets = dict.fromkeys(
        f"{run.instructions} ({run.capability})" if run.capability else run.instructions
        for run in found.runs
    )
    seeds = len({run.seed for run in found.runs})
    facts = (
        f"{found.cell}, {found.steps} steps, {found.images:,} test images; {', '.join(sets)}; "
        f"{seeds} seeds; torch {machine.torch}, {machine.date}"
    )
    return RepeatabilityView(
        title=machine.processor,
        facts=facts,
        table=table(name, "Repeatability", COLUMNS, found.rows),
        sentences=tuple(_sentences(found)),
    )


def _sentences(found: Repeatability) -> list[str]:
    rows = {(row.bits, row.between): row for row in found.rows}
    sentences = []
    for bits in dict.fromkeys(row.bits for row in found.rows):
        sets, seeds = rows.get((bits, "instruction sets")), rows.get((bits, "seeds"))
        if sets and seeds:
            what = "in float" if bits == "FP" else f"at {bits}"
            sentences.append(
                f"{what[0].upper()}{what[1:]} another instruction set changes "
                f"{fixed(100 * sets.differing)} % of the answers, another seed "
                f"{fixed(100 * seeds.differing)} %."
            )
    return sentences
