"""Tables: columns over rows of one kind, and what comes of them, the same on the page and in files.

One more column of a table is one more `Column` in its list.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Literal, NamedTuple, TypeVar

from report.texts import NONE, PLUS_MINUS, fixed, visible

Kind = Literal["", "state", "mark", "strong", "code"]
R = TypeVar("R")


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
        """All of it as one text, as files have it: what cannot be seen is replaced."""
        if self.is_bare:
            return visible(self.text)
        notes = f"({'; '.join(self.notes)})" if self.notes else ""
        return visible(" ".join(filter(None, (self.text, self.aside, notes))))


@dataclass(frozen=True)
class Column(Generic[R]):
    """A column: its title, and what stands in it of a row. Numbers stand to the right and are
    sorted by value. It is left out where it is not ``shown``, which looks at all rows."""

    title: str
    value: Callable[[R], str | Cell]
    is_number: bool = False
    shown: Callable[[Sequence[R]], bool] = lambda _: True


def number(
    title: str,
    value: Callable[[R], str | Cell],
    shown: Callable[[Sequence[R]], bool] = lambda _: True,
) -> Column[R]:
    """A column of numbers."""
    return Column(title, value, True, shown)


class Row(NamedTuple):
    """A row; its first cell is its head. ``anchor`` is its id on the page, where it has one."""

    cells: tuple[Cell, ...]
    anchor: str = ""


class Table(NamedTuple):
    """A table. ``name`` is its id on the page and the name of its files, ``title`` what a screen
    reader says; the caption begins with ``lead``."""

    name: str
    title: str
    columns: tuple[Column[Any], ...]
    rows: tuple[Row, ...]
    caption: str = ""
    lead: str = ""


def table(
    name: str,
    title: str,
    columns: Iterable[Column[R]],
    rows: Sequence[R],
    *,
    caption: str = "",
    lead: str = "",
    anchor: Callable[[R], str] = lambda _: "",
) -> Table:
    """The table of these rows, in their order."""
    shown = tuple(column for column in columns if column.shown(rows))
    found = (Row(tuple(as_cell(one.value(row)) for one in shown), anchor(row)) for row in rows)
    return Table(name, title, shown, tuple(found), caption, lead)


def as_cell(value: str | Cell) -> Cell:
    """A text without ornament as a cell."""
    return Cell(value) if isinstance(value, str) else value


def mean_cell(mean: float, high: float, kind: Kind = "") -> Cell:
    """A mean with half the width of its interval; a dash where there is none."""
    half = fixed(high - mean)
    return Cell(fixed(mean), aside="" if half == NONE else f"{PLUS_MINUS} {half}", kind=kind)


def state(text: str) -> Cell:
    """A status or a verdict, which the page gives a colour beside its word."""
    return Cell(text, kind="state")


def mark(text: str) -> Cell:
    """The mark of a value."""
    return Cell(text, kind="mark")


def code(text: str) -> Cell:
    """A name of the project's."""
    return Cell(text, kind="code")
