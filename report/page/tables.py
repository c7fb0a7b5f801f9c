"""The tables of a section: contrasts, methods, lengths, and the comparison with the reference."""

from collections.abc import Sequence
from math import isnan

from report.analysis.claim_tests import counted
from report.analysis.contrasts import Compared, SeedTest
from report.analysis.evidence import in_short
from report.analysis.lengths import Several
from report.analysis.methods import MethodRow
from report.analysis.reference import ReferenceRow
from report.analysis.verdicts import COMPARED_SCALE
from report.page import words
from report.page.integers import label
from report.page.table import Cell, Column, Table, mean_cell, number, state, table
from report.texts import NONE, bracket, fixed, kilobytes, millions, p_value, signed


def p_text(value: float | None) -> str:
    """``0.012``, ``< 0.001``, or a dash."""
    return NONE if value is None else p_value(value).removeprefix("= ")


def _is_fixed(rows: Sequence[Compared]) -> bool:
    return rows[0].contrast.fixed


def _interval(one: Compared) -> str:
    own = one.estimate
    return bracket(*own.interval()) if own and own.is_tested else NONE


CONTRAST_COLUMNS: tuple[Column[Compared], ...] = (
    Column("contrast", lambda one: one.contrast.label),
    Column("asks", lambda one: one.contrast.asks),
    number("points", lambda one: signed(one.estimate.mean if one.estimate else None)),
    number("95 % interval", _interval),
    number("n", lambda one: counted(one.n)),
    number("p", lambda one: p_text(one.estimate.p if one.estimate else None)),
    number("Holm p", lambda one: p_text(one.corrected), shown=_is_fixed),
    number("power", lambda one: fixed(one.power)),
    number("corrected", lambda one: fixed(one.corrected_power), shown=_is_fixed),
    Column("verdict", lambda one: state(one.verdict)),
)


def contrast_table(compared: Sequence[Compared], name: str) -> Table:
    """What each contrast asks, the difference, the test, the verdict; dashes where not run. All are
    of one family, or none is fixed."""
    is_fixed = _is_fixed(compared)
    title = words.FAMILY_TITLES[compared[0].contrast.family if is_fixed else ""]
    caption = words.FIXED if is_fixed else words.EXPLORATORY
    if is_fixed and compared[0].was_seen:
        caption = f"{words.SEEN} {caption}"
    return table(
        name, f"Contrasts: {title}", CONTRAST_COLUMNS, compared, caption=caption, lead=f"{title}."
    )


SEED_TEST_COLUMNS: tuple[Column[tuple[Compared, SeedTest]], ...] = (
    Column("contrast", lambda of: of[0].contrast.label),
    number("seed", lambda of: str(of[1].seed)),
    number("b: only the first right", lambda of: str(of[1].only_first)),
    number("c: only the second right", lambda of: str(of[1].only_second)),
    number("p", lambda of: p_text(of[1].p)),
)


def seed_test_table(compared: Sequence[Compared], name: str) -> Table | None:
    """McNemar's test for each seed whose records say which images are right; None without any."""
    rows = [(one, test) for one in compared for test in one.tests]
    title = "McNemar's test for each seed"
    return table(name, title, SEED_TEST_COLUMNS, rows, caption=words.MCNEMAR) if rows else None


def _name(one: MethodRow) -> Cell:
    went_without = (
        f"left out as unreadable: up to {one.left_out_training:.0f} training and "
        f"{one.left_out_test:.0f} test images of a run"
        if one.left_out_training or one.left_out_test
        else ""
    )
    return Cell(one.method, notes=tuple(filter(None, (one.note, one.recipe, went_without))))


def loss_note(loss: float | None) -> tuple[str, ...]:
    """The test loss that stands beneath a top-1; a dash where it is not recorded."""
    return (f"loss {fixed(loss, 3)}",)


def teacher(one: MethodRow) -> Cell:
    """Its test top-1 before and after, where the method has a teacher, over its test loss."""
    top1s = _before_and_after(one, one.teacher_before, one.teacher_top1, 2)
    loss = _before_and_after(one, one.teacher_loss_before, one.teacher_loss, 3)
    return Cell(top1s, notes=() if top1s == NONE else (f"loss {loss}",))


def _before_and_after(one: MethodRow, first: float, last: float, digits: int) -> str:
    before, after = fixed(first, digits), fixed(last, digits)
    has_changed = one.teacher_steps and (before, after) != (NONE, NONE)
    return f"{before} \N{RIGHTWARDS ARROW} {after}" if has_changed else before


def has_sizes(rows: Sequence[MethodRow]) -> bool:
    """Whether it is recorded what the networks cost."""
    return not all(isnan(one.packed_bytes) for one in rows)


def _is_reestimated(rows: Sequence[MethodRow]) -> bool:
    return not all(isnan(one.reestimated_training_top1) for one in rows)


def _is_reestimated_plain(rows: Sequence[MethodRow]) -> bool:
    return not all(isnan(one.reestimated_top1) for one in rows)


def has_shares(rows: Sequence[MethodRow]) -> bool:
    """Whether it is recorded which share of the products has the bits in question."""
    return not all(isnan(one.at_bits) for one in rows)


def _has_claims(rows: Sequence[MethodRow]) -> bool:
    return rows[0].scale == COMPARED_SCALE


def _claimed(one: MethodRow) -> Cell:
    return Cell(fixed(one.claimed), notes=(one.mark,) if one.mark else ())


METHOD_COLUMNS: tuple[Column[MethodRow], ...] = (
    Column("method", _name),
    Column("bits", label),
    Column("phases, steps", lambda one: one.phases or NONE),
    number("student steps", lambda one: str(one.steps)),
    number("teacher steps", lambda one: str(one.teacher_steps)),
    number("cost", lambda one: fixed(one.cost)),
    number("packed, kB", lambda one: kilobytes(one.packed_bytes), shown=has_sizes),
    number("bit operations, million", lambda one: millions(one.bit_operations), shown=has_sizes),
    number("MACs at these bits, %", lambda one: fixed(one.at_bits, 1), shown=has_shares),
    number("test top-1, %", lambda one: mean_cell(one.mean, one.high, "strong")),
    number("test loss", lambda one: fixed(one.test_loss, 3)),
    number("n", lambda one: str(one.n)),
    number("best held-out", lambda one: fixed(one.best_top1)),
    number(
        "batch norms re-estimated",
        lambda one: fixed(one.reestimated_training_top1),
        shown=_is_reestimated,
    ),
    number(
        "batch norms re-estimated, not augmented",
        lambda one: fixed(one.reestimated_top1),
        shown=_is_reestimated_plain,
    ),
    number("teacher top-1, test loss", teacher),
    number("claimed", _claimed, shown=_has_claims),
    number("points", lambda one: signed(one.difference), shown=_has_claims),
    Column("verdict", lambda one: state(one.verdict), shown=_has_claims),
    Column("status", lambda one: state(one.states)),
)


def method_table(methods: Sequence[MethodRow], name: str) -> Table:
    """The methods of one setting. Claimed numbers stand beside ours at the paper's scale alone."""
    texts = (
        f"{methods[0].setting}.",
        words.COST,
        words.SIZES if has_sizes(methods) else "",
        words.REESTIMATED if _is_reestimated(methods) else "",
        words.REESTIMATED_PLAIN if _is_reestimated_plain(methods) else "",
        words.SHARES if has_shares(methods) else "",
        words.VERDICTS if _has_claims(methods) else "",
    )
    return table(name, "Methods", METHOD_COLUMNS, methods, caption=" ".join(filter(None, texts)))


REFERENCE_COLUMNS: tuple[Column[ReferenceRow], ...] = (
    Column("method", lambda one: one.method),
    Column("setting", lambda one: one.setting),
    number("reference", lambda one: fixed(one.reference)),
    number("this run", lambda one: fixed(one.own)),
    number("points", lambda one: signed(one.difference.mean if one.difference else None)),
    number("90 % interval", lambda one: bracket(*one.difference[1:3]) if one.difference else NONE),
    Column(
        "verdict",
        lambda one: state(one.verdict if one.same_stages else f"{one.verdict}; other settings"),
    ),
)


def reference_table(rows: Sequence[ReferenceRow], name: str) -> Table:
    """A method of the committed reference beside this run's, a row each."""
    title = "Beside the committed reference"
    return table(name, title, REFERENCE_COLUMNS, rows, caption=words.REFERENCE_MARGIN)


def length_table(found: Several, name: str) -> Table:
    """A row a contrast, a column a length: the difference with its interval, and the verdict."""
    first: Column[dict[int, Compared]] = Column(
        "contrast", lambda at: next(iter(at.values())).contrast.label
    )
    columns = (first, *map(_of_length, found.steps))
    return table(
        name,
        "Contrasts by length of training",
        columns,
        list(found.contrasts.values()),
        caption=f"{found.label}. {words.BY_LENGTH}",
    )


def _of_length(steps: int) -> Column[dict[int, Compared]]:
    return number(f"{steps:,} steps", lambda at: _at_length(at.get(steps)))


def _at_length(one: Compared | None) -> str:
    return f"{in_short(one.estimate)}, {one.verdict}" if one and one.estimate else NONE
