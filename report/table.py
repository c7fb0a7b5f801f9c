"""A table as it is displayed: texts in rows under columns, the same on the page and in files."""

from collections.abc import Iterable
from typing import Literal, NamedTuple

from report.statistics import Interval
from report.words import PLUS_MINUS, fixed

Kind = Literal["", "state", "mark", "strong", "code"]


class Cell(NamedTuple):
    """What stands in a cell: ``aside`` follows the text, quiet; ``notes`` stand below it, small.

    ``kind`` says how the text is set; ``link`` is an address on the page or beside it.
    """

    text: str
    aside: str = ""
    notes: tuple[str, ...] = ()
    kind: Kind = ""
    link: str = ""

    @property
    def is_bare(self) -> bool:
        """Whether it is its text and nothing else, as most cells are."""
        return not (self.aside or self.notes or self.kind or self.link)

    @property
    def plain(self) -> str:
        """All of it as one text, as files have it."""
        if self.is_bare:
            return self.text
        notes = f"({'; '.join(self.notes)})" if self.notes else ""
        return " ".join(filter(None, (self.text, self.aside, notes)))


class Column(NamedTuple):
    """A column's head; numbers stand to the right and are sorted by value."""

    title: str
    is_number: bool = False


class Row(NamedTuple):
    """A row; its first cell is its head. ``anchor`` is its id on the page, where it has one."""

    cells: tuple[Cell, ...]
    anchor: str = ""


class Table(NamedTuple):
    """A table. ``name`` is its id on the page and the name of its files, ``title`` what a screen
    reader says; the caption begins with ``lead``."""

    name: str
    title: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    caption: str = ""
    lead: str = ""


def number(title: str) -> Column:
    """A column of numbers."""
    return Column(title, is_number=True)


def row(*cells: str | Cell, anchor: str = "") -> Row:
    """A row of cells, those without ornament given as text."""
    return Row(tuple(Cell(one) if isinstance(one, str) else one for one in cells), anchor)


def mean_cell(interval: Interval | None, kind: Kind = "") -> Cell:
    """A mean with half the width of its interval; a dash where there is none."""
    if interval is None or interval.high is None:
        return Cell(fixed(interval.mean if interval else None), kind=kind)
    half = interval.high - interval.mean
    return Cell(fixed(interval.mean), aside=f"{PLUS_MINUS} {fixed(half)}", kind=kind)


def state(text: str) -> Cell:
    """A status or a verdict, which the page gives a colour beside its word."""
    return Cell(text, kind="state")


def table(
    name: str,
    title: str,
    columns: Iterable[str | Column],
    rows: Iterable[Row],
    *,
    caption: str = "",
    lead: str = "",
) -> Table:
    """A table; columns of texts are given by their titles.

    Raises ValueError where a row has not as many cells as there are columns.
    """
    heads = tuple(Column(one) if isinstance(one, str) else one for one in columns)
    found = tuple(rows)
    if any(len(one.cells) != len(heads) for one in found):
        raise ValueError(f"table {name}: a row has not {len(heads)} cells")
    return Table(name, title, heads, found, caption, lead)
