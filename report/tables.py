"""The rows of the tables, as texts."""

from collections import Counter
from typing import NamedTuple

from benchmarks.plan import cost
from qkd.value import digest
from report.comparison import Row
from report.contrasts import Compared, p_value
from report.figures import SHORT
from report.outcomes import Status
from report.paper import Claim, Number
from report.summary import Summary, compare
from report.words import NO_BREAK, NONE, bracket, fixed, kilobytes, millions, signed

BASE = "qat"


class ContrastRow(NamedTuple):
    """A contrast: what it asks, the difference with its interval, the test, the verdict."""

    label: str
    asks: str
    difference: str
    interval: str
    n: str
    p: str
    corrected: str
    power: str
    corrected_power: str
    verdict: str


class SeedTestRow(NamedTuple):
    """McNemar's test of a contrast's two networks of one seed."""

    label: str
    seed: str
    only_first: str
    only_second: str
    p: str


class MethodRow(NamedTuple):
    """A method in a setting, and the claimed number that it is set beside. ``recipe`` is what its
    grid's recipe has of its own."""

    name: str
    note: str
    recipe: str
    bits: str
    phases: str
    steps: str
    teacher_steps: str
    cost: str
    packed: str
    bit_operations: str
    mean: str
    half: str
    n: str
    best: str
    teacher: str
    status: str
    paper: str
    mark: str
    difference: str
    verdict: str


class ReferenceRow(NamedTuple):
    """A method of the committed reference beside this run's."""

    setting: str
    method: str
    reference: str
    own: str
    difference: str
    interval: str
    verdict: str


def contrast_row(compared: Compared) -> ContrastRow:
    """A contrast's row; dashes where it was not run."""
    paired = compared.paired
    tested = paired is not None and paired.p is not None
    return ContrastRow(
        label=compared.contrast.label,
        asks=compared.contrast.asks,
        difference=signed(paired.mean if paired else None),
        interval=bracket(paired.low, paired.high) if paired and tested else NONE,
        n=str(paired.n if paired else 0),
        p=_p(paired.p if paired else None),
        corrected=_p(compared.corrected) if tested else NONE,
        power=fixed(compared.power),
        corrected_power=fixed(compared.corrected_power),
        verdict=compared.verdict,
    )


def seed_test_rows(compared: Compared) -> list[SeedTestRow]:
    """A row for each seed whose records say which images are right."""
    return [
        SeedTestRow(
            label=compared.contrast.label,
            seed=str(test.seed),
            only_first=str(test.only_first),
            only_second=str(test.only_second),
            p=_p(test.p),
        )
        for test in compared.tests
    ]


def _p(value: float | None) -> str:
    return NONE if value is None else p_value(value).removeprefix("= ")


def method_rows(methods: list[Summary], scale: str, paper: dict[Claim, Number]) -> list[MethodRow]:
    """The methods of one setting; cost is relative to plain QAT's."""
    costs = {summary.name: _cost(summary) for summary in methods}
    return [
        _method_row(summary, _relative(costs, summary.name), scale, paper) for summary in methods
    ]


def _cost(summary: Summary) -> int:
    """Multiply-accumulates of one seed's training; 0 where none, or not known."""
    cell = summary.cells[0].cell
    if not cell.method.shares or not cell.pair.student_macs or not cell.pair.teacher_macs:
        return 0
    macs = {
        digest(cell.pair.student): cell.pair.student_macs,
        digest(cell.pair.teacher): cell.pair.teacher_macs,
    }
    return cost(cell.history, cell.history.steps, macs)


def _relative(costs: dict[str, int], name: str) -> str:
    base = costs.get(BASE, 0)
    return f"{costs[name] / base:.2f}" if base and costs[name] else NONE


def _method_row(
    summary: Summary, relative: str, scale: str, paper: dict[Claim, Number]
) -> MethodRow:
    cell, interval = summary.cells[0].cell, summary.interval
    comparison = compare(summary, scale, paper)
    parts = cell.history.parts if cell.method.shares else ()
    half = interval.high - interval.mean if interval and interval.high is not None else None
    return MethodRow(
        name=summary.name,
        note=cell.method.note,
        recipe=summary.cells[0].recipe,
        bits=cell.bits.label if cell.bits else "fp",
        phases=", ".join(
            f"{SHORT.get(part.phase.name, part.phase.name)}{NO_BREAK}{part.steps}" for part in parts
        ),
        steps=str(sum(part.steps for part in parts)),
        teacher_steps=str(sum(part.steps for part in parts if part.phase.trains_teacher)),
        cost=relative,
        packed=kilobytes(summary.packed_bytes),
        bit_operations=millions(summary.bit_operations),
        mean=fixed(interval.mean if interval else None),
        half=fixed(half) if half is not None else "",
        n=str(interval.n if interval else 0),
        best=fixed(summary.best_top1),
        teacher=_teacher(summary),
        status=_status(summary),
        paper=fixed(comparison.number.top1 if comparison.number else None),
        mark=comparison.number.mark if comparison.number else "",
        difference=signed(comparison.difference),
        verdict=comparison.verdict,
    )


def _teacher(summary: Summary) -> str:
    """Its test top-1 before and after, where the method has a teacher."""
    if summary.cells[0].cell.history.teacher is None:
        return NONE
    if summary.teacher_before is None and summary.teacher_top1 is None:
        return NONE
    before, after = fixed(summary.teacher_before), fixed(summary.teacher_top1)
    trains = any(p.phase.trains_teacher for p in summary.cells[0].cell.history.parts)
    return f"{before} \N{RIGHTWARDS ARROW} {after}" if trains else before


def _status(summary: Summary) -> str:
    """The cells' states in words, and why they were skipped."""
    counts = Counter(reading.status for reading in summary.cells)
    if len(counts) == 1 and Status.SKIPPED in counts:
        return f"skipped: {summary.cells[0].message}"
    if len(counts) == 1:
        return summary.cells[0].status.value
    return ", ".join(f"{counts[status]} {status.value}" for status in Status if counts[status])


def reference_row(row: Row) -> ReferenceRow:
    """A row of the comparison with the reference."""
    difference = row.difference
    return ReferenceRow(
        setting=row.setting,
        method=row.method,
        reference=fixed(row.reference.mean),
        own=fixed(row.own.mean if row.own else None),
        difference=signed(difference.mean if difference else None),
        interval=bracket(difference.low, difference.high) if difference else NONE,
        verdict=row.verdict if row.same_stages else f"{row.verdict}; other settings",
    )
