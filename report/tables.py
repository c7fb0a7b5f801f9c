"""The tables of a section: contrasts, methods, and the comparison with the reference."""

from collections.abc import Sequence

from benchmarks.plan import cost
from qkd.spec.value import digest
from report import words
from report.cells import counted
from report.comparison import Row as ReferenceRow
from report.contrasts import Compared, p_value
from report.left_out import of_a_method
from report.outcomes import Status
from report.paper import Claim, Number
from report.summary import COMPARED_SCALE, Comparison, Summary, compare
from report.table import Cell, Column, Row, Table, mean_cell, number, row, state, table
from report.training_figures import SHORT
from report.words import NO_BREAK, NONE, bracket, fixed, kilobytes, millions, signed

BASE = "qat"


def contrast_table(compared: Sequence[Compared], name: str, *, is_fixed: bool) -> Table:
    """What each contrast asks, the difference, the test, the verdict; dashes where not run."""
    after = [number("Holm p")] if is_fixed else []
    least = [number("corrected")] if is_fixed else []
    return table(
        name,
        f"Contrasts: {words.FIXED_TITLE if is_fixed else words.EXPLORATORY_TITLE}",
        [
            "contrast", "asks", number("points"), number("95 % interval"), number("n"),
            number("p"), *after, number("power"), *least, "verdict",
        ],
        [_contrast_row(one, is_fixed=is_fixed) for one in compared],
        caption=words.FIXED if is_fixed else words.EXPLORATORY,
        lead=f"{words.FIXED_TITLE if is_fixed else words.EXPLORATORY_TITLE}.",
    )  # fmt: skip


def _contrast_row(compared: Compared, *, is_fixed: bool) -> Row:
    paired = compared.paired
    tested = paired is not None and paired.p is not None
    corrected = p_text(compared.corrected) if tested else NONE
    return row(
        compared.contrast.label,
        compared.contrast.asks,
        signed(paired.mean if paired else None),
        bracket(paired.low, paired.high) if paired and tested else NONE,
        str(paired.n if paired else 0),
        p_text(paired.p if paired else None),
        *([corrected] if is_fixed else []),
        fixed(compared.power),
        *([fixed(compared.corrected_power)] if is_fixed else []),
        state(compared.verdict),
    )


def seed_test_table(compared: Sequence[Compared], name: str) -> Table | None:
    """McNemar's test for each seed whose records say which images are right; None without any."""
    rows = [
        row(
            one.contrast.label,
            str(test.seed),
            str(test.only_first),
            str(test.only_second),
            p_text(test.p),
        )
        for one in compared
        for test in one.tests
    ]
    columns: list[str | Column] = [
        "contrast", number("seed"), number("b: only the first right"),
        number("c: only the second right"), number("p"),
    ]  # fmt: skip
    title = "McNemar's test for each seed"
    return table(name, title, columns, rows, caption=words.MCNEMAR) if rows else None


def p_text(value: float | None) -> str:
    """``0.012``, ``< 0.001``, or a dash."""
    return NONE if value is None else p_value(value).removeprefix("= ")


def method_table(
    methods: Sequence[Summary],
    scale: str,
    paper: dict[Claim, Number],
    name: str,
    *,
    caption: str,
) -> Table:
    """The methods of one setting; cost is relative to plain QAT's. Claimed numbers stand beside
    ours at the paper's scale alone."""
    costs = {summary.name: _cost(summary) for summary in methods}
    has_sizes = any(summary.packed_bytes is not None for summary in methods)
    has_claims = scale == COMPARED_SCALE
    sizes = [number("packed, kB"), number("bit operations, million")] if has_sizes else []
    claims: list[str | Column] = (
        [number("claimed"), number("points"), "verdict"] if has_claims else []
    )
    return table(
        name,
        "Methods",
        [
            "method", "bits", "phases, steps", number("student steps"), number("teacher steps"),
            number("cost"), *sizes, number("test top-1, %"), number("n"), number("best held-out"),
            number("teacher top-1"), *claims, "status",
        ],
        [
            row(
                *_trained(summary, _relative(costs, summary.name)),
                *(_sizes(summary) if has_sizes else []),
                *_measured(summary),
                *(_claimed(compare(summary, scale, paper)) if has_claims else []),
                state(_status(summary)),
            )
            for summary in methods
        ],
        caption=caption,
    )  # fmt: skip


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


def _trained(summary: Summary, relative: str) -> list[Cell | str]:
    """The method's name with its notes, its bits, its phases, its steps, and its cost."""
    cell = summary.cells[0].cell
    parts = cell.history.parts if cell.method.shares else ()
    went_without = of_a_method(reading.left_out for reading in summary.cells)
    notes = tuple(filter(None, (cell.method.note, summary.cells[0].recipe, went_without)))
    phases = ", ".join(
        f"{SHORT.get(part.phase.name, part.phase.name)}{NO_BREAK}{part.steps}" for part in parts
    )
    return [
        Cell(summary.name, notes=notes),
        cell.bits.label if cell.bits else "fp",
        phases or NONE,
        str(sum(part.steps for part in parts)),
        str(sum(part.steps for part in parts if part.phase.trains_teacher)),
        relative,
    ]


def _sizes(summary: Summary) -> list[str]:
    return [kilobytes(summary.packed_bytes), millions(summary.bit_operations)]


def _measured(summary: Summary) -> list[Cell | str]:
    interval = summary.interval
    return [
        mean_cell(interval, kind="strong"),
        str(interval.n if interval else 0),
        fixed(summary.best_top1),
        _teacher(summary),
    ]


def _claimed(comparison: Comparison) -> list[Cell | str]:
    number_ = comparison.number
    return [
        Cell(fixed(number_.top1 if number_ else None), notes=(number_.mark,) if number_ else ()),
        signed(comparison.difference),
        state(comparison.verdict),
    ]


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
    first = summary.cells[0]
    if any(reading.status != first.status for reading in summary.cells):
        return counted(summary.cells)
    return f"skipped: {first.message}" if first.status == Status.SKIPPED else first.status.value


def reference_table(rows: Sequence[ReferenceRow], name: str) -> Table:
    """A method of the committed reference beside this run's, a row each."""
    return table(
        name,
        "Beside the committed reference",
        [
            "method", "setting", number("reference"), number("this run"), number("points"),
            number("90 % interval"), "verdict",
        ],
        [
            row(
                one.method,
                one.setting,
                fixed(one.reference.mean),
                fixed(one.own.mean if one.own else None),
                signed(one.difference.mean if one.difference else None),
                bracket(*one.difference[1:3]) if one.difference else NONE,
                state(one.verdict if one.same_stages else f"{one.verdict}; other settings"),
            )
            for one in rows
        ],
        caption=words.REFERENCE_MARGIN,
    )  # fmt: skip
