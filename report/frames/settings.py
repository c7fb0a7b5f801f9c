"""Settings: which cells are compared with each other, and what their label says."""

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from benchmarks.matrix import Cell, Grid, Matrix
from qkd.spec import Recipe

FULL_PRECISION = "full precision"


class Stand(NamedTuple):
    """Where a grid's cells stand: their place, what tells it from others that would have the same
    label, and what tells the grid from others at the same place (both may be empty)."""

    place: int
    apart: str
    recipe: str


def stands(matrix: Matrix) -> list[Stand]:
    """One for each grid."""
    places, found = matrix.places(), []
    apart = _apart(matrix)
    for place, grid in zip(places, matrix.grids, strict=True):
        beside = [g.recipe for of, g in zip(places, matrix.grids, strict=True) if of == place]
        found.append(Stand(place, apart[place], _in_words(grid.recipe, beside)))
    return found


def _apart(matrix: Matrix) -> dict[int, str]:
    """What each place's recipe has of its own; its number where another place would have one of its
    labels too."""
    by_place: dict[int, list[Grid]] = {}
    for place, grid in zip(matrix.places(), matrix.grids, strict=True):
        by_place.setdefault(place, []).append(grid)
    words, labels = {}, {}
    for place, grids in by_place.items():
        beside = [own[0].recipe for own in by_place.values() if _names(own[0]) == _names(grids[0])]
        words[place] = _in_words(grids[0].recipe, beside)
        labels[place] = {
            (_names(grid), width, words[place]) for grid in grids for width in _widths(grid)
        }
    held = Counter(label for own in labels.values() for label in own)
    return {
        place: f"grid {place + 1}" if any(held[label] > 1 for label in own) else words[place]
        for place, own in labels.items()
    }


def _names(grid: Grid) -> tuple[str, str]:
    return grid.pair.label, grid.pair.data.name


def _widths(grid: Grid) -> set[str]:
    """What `setting_of` says of the bits of its cells."""
    own = {bits.label for bits in grid.bits}
    return own if len(own) == 1 else {*own, FULL_PRECISION}


def _in_words(recipe: Recipe, others: Sequence[Recipe]) -> str:
    """The recipe's values in which not all of the others are equal: of how often they write a line
    of metrics, which changes no training, only where nothing else tells them apart."""
    fields = [field.name for field in msgspec.structs.fields(Recipe)]
    differ = [name for name in fields if len({getattr(other, name) for other in others}) > 1]
    enough = [name for name in differ if name != "log_every"]
    if len(_values(others, enough)) == len(_values(others, differ)):
        differ = enough
    return ", ".join(f"{name.replace('_', ' ')} {getattr(recipe, name)}" for name in differ)


def _values(recipes: Sequence[Recipe], names: Sequence[str]) -> set[tuple[object, ...]]:
    return {tuple(getattr(recipe, name) for name in names) for recipe in recipes}


def setting_of(stand: Stand, grid: Grid, cell: Cell) -> str:
    """The setting of a cell of the grid: its label, which no other setting of the matrix has.

    Cells of comparable grids at the same bits are compared with each other. Where a grid has only
    one choice of bits, its full-precision cells stand in the same setting, elsewhere in their own.
    """
    bits = cell.bits or (grid.bits[0] if len(grid.bits) == 1 else None)
    width = bits.label if bits else FULL_PRECISION
    label = f"{grid.pair.label} on {grid.pair.data.name}, {width}"
    return f"{label}; {stand.apart}" if stand.apart else label
