"""The first screen's table: a row a setting, what QKD is to beat, and by how much it does; and what
all settings say together."""

from collections.abc import Callable, Iterator, Sequence

from benchmarks.contrasts import HEADLINE
from report.analysis.evidence import in_short
from report.analysis.headline import QKD, HeadlineRow, difference_rows
from report.analysis.joined import Joined
from report.figures.drawing import Picture
from report.figures.headline import headline as figure
from report.page import words
from report.page.table import Cell, Column, Kind, Table, mean_cell, number, state, table
from report.page.tables import loss_note, p_text, teacher
from report.texts import MINUS, NONE, bracket, fixed, signed

TITLES = {"kd": "KD", "qat": "QAT", "qat-cost": "QAT at its cost"}


def _top1(name: str) -> Callable[[HeadlineRow], Cell]:
    """The cell of a method: its top-1 over its test loss."""

    def value(row: HeadlineRow) -> Cell:
        one = row.methods.get(name)
        if one is None:
            return Cell(NONE)
        kind: Kind = "strong" if name == QKD else ""
        return mean_cell(one.mean, one.high, kind)._replace(notes=loss_note(one.test_loss))

    return value


def _full_precision(row: HeadlineRow) -> Cell:
    one = row.full_precision
    return Cell(fixed(one.top1), notes=loss_note(one.loss)) if one else Cell(NONE)


def _difference(second: str) -> Callable[[HeadlineRow], Cell]:
    """The cell of a contrast: its mean over its interval and its word."""

    def value(row: HeadlineRow) -> Cell:
        one = row.contrasts.get(second)
        if one is None or one.estimate is None:
            return Cell(NONE)
        interval = bracket(*one.estimate.interval())
        notes = one.verdict if interval == NONE else interval, one.verdict
        return Cell(signed(one.estimate.mean), notes=tuple(dict.fromkeys(notes)))

    return value


def _length(row: HeadlineRow) -> str:
    n = row.methods[QKD].n
    return (
        f"{row.steps:,} steps, {100 * row.share:.2g} % of the paper's length, "
        f"{n} seed{'s' if n > 1 else ''}"
    )


def _setting(row: HeadlineRow) -> Cell:
    run = f"{row.matrix}, {words.COMMITTED}" if row.is_reference else row.matrix
    return Cell(row.setting, notes=(_length(row), run), link=f"#{row.anchor}")


HEADLINE_COLUMNS: tuple[Column[HeadlineRow], ...] = (
    Column("setting", _setting),
    Column("float", _full_precision, is_number=True),
    Column("plain QAT", _top1("qat"), is_number=True),
    Column("plain KD", _top1("kd"), is_number=True),
    Column("QKD", _top1(QKD), is_number=True),
    Column("QAT at QKD's cost", _top1("qat-cost"), is_number=True),
    *(
        Column(f"QKD {MINUS} {TITLES[second]}", _difference(second), is_number=True)
        for _, second in HEADLINE
    ),
    Column("teacher", lambda row: teacher(row.methods[QKD]), is_number=True),
)


def headline_table(found: Sequence[HeadlineRow]) -> Table | None:
    """A row a setting; None where QKD has not run."""
    title = "What came out"
    return (
        table("headline", title, HEADLINE_COLUMNS, found, caption=words.HEADLINE) if found else None
    )


def headline_figures(found: Sequence[HeadlineRow]) -> Iterator[Picture]:
    """QKD's differences by length, for a wide window and for a narrow one."""
    differences = difference_rows(found)
    for name, narrow in (("headline-wide", False), ("headline-narrow", True)):
        drawn = figure(differences, name, narrow=narrow)
        if drawn is not None:
            yield Picture(name, words.HEADLINE_FIGURE, drawn)


def _standing(one: Joined) -> str:
    return f"{words.SCALE_TITLES[one.scale].lower()}{', seen before' if one.was_seen else ''}"


JOINED_COLUMNS: tuple[Column[Joined], ...] = (
    Column("contrast", lambda one: one.contrast.label),
    Column("family", lambda one: one.contrast.family),
    Column("runs", _standing),
    number("settings", lambda one: str(one.mean.settings)),
    number("points", lambda one: in_short(one.mean.estimate)),
    number("p", lambda one: p_text(one.mean.estimate.p)),
    number("Holm p", lambda one: p_text(one.corrected)),
    number("homogeneity", lambda one: p_text(one.mean.homogeneity)),
    Column("verdict", lambda one: state(one.verdict)),
    Column("over", lambda one: "; ".join(of.label for of in one.settings)),
)


def joined_table(found: Sequence[Joined]) -> Table | None:
    """A row a fixed contrast; None where no setting can judge one."""
    title = "All settings together"
    return table("joined", title, JOINED_COLUMNS, found, caption=words.JOINED) if found else None
