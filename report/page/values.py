"""A cell's values as a difference from its matrix's base: what most of its cells have."""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import msgspec

from qkd.marks import marks
from qkd.spec import Data, History, Quantization, Recipe
from report.page.table import Column, Table, mark, table

# Told in words beside the values: the phases, what the networks begin with, bits, and the seed.
_IN_WORDS = ("parts", "start", "weights", "bits", "seed")
_ABSENT = ("teacher", "quantization")  # whole groups of values that a cell may not have
_SPEC: dict[str, type] = {"recipe.": Recipe, "data.": Data, "student.quantization.": Quantization}

Flat = Mapping[str, str]


class Difference(NamedTuple):
    """A value that a cell has of its own; ``base`` is empty where most cells have none."""

    name: str
    own: str
    base: str


def flat(history: History) -> dict[str, str]:
    """Every value of the history by its dotted name, but those that are told in words."""
    found: dict[str, str] = {}
    _flatten("", msgspec.to_builtins(history), found)
    return found


def _flatten(name: str, value: Any, found: dict[str, str]) -> None:
    if not isinstance(value, dict):
        found[name] = _text(value)
        return
    for key, item in value.items():
        if key not in _IN_WORDS and not (item is None and key in _ABSENT):
            _flatten(f"{name}.{key}" if name else key, item, found)


def _text(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    return "none" if value is None else str(value) if value != "" else "empty"


def base_of(cells: Iterable[Flat]) -> dict[str, str]:
    """By name the most common value; the first of those equally common."""
    counts: dict[str, Counter[str]] = {}
    for cell in cells:
        for name, value in cell.items():
            counts.setdefault(name, Counter())[value] += 1
    return {name: count.most_common(1)[0][0] for name, count in counts.items()}


def differences(own: Flat, base: Flat) -> tuple[Difference, ...]:
    """The values in which a cell differs from the base."""
    return tuple(
        Difference(name, value, base.get(name, ""))
        for name, value in own.items()
        if base.get(name) != value
    )


BASE_COLUMNS: tuple[Column[tuple[str, str, str]], ...] = (
    Column("value", lambda of: of[0]),
    Column("is", lambda of: of[1]),
    Column("mark", lambda of: mark(of[2])),
)


def base_table(base: Flat, name: str) -> Table:
    """The base, with the mark of each value that the paper does not state."""
    known = {one.where: one.mark for one in marks()}
    rows = [(key, value, known.get(_where(key), "")) for key, value in base.items()]
    caption = (
        "What most cells of this matrix have. A run's drawer lists what it has otherwise; phases "
        "and beginnings stand there in words. The reasons for marks end the page."
    )
    return table(name, "The base's values", BASE_COLUMNS, rows, caption=caption)


def _where(name: str) -> str:
    """``qkd.spec.Recipe.batch`` of ``recipe.batch``; the name itself of what has no such place."""
    for begin, kind in _SPEC.items():
        rest = name.removeprefix(begin)
        if rest != name and "." not in rest:
            return f"{kind.__module__}.{kind.__name__}.{rest}"
    return name
