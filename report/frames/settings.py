"""Settings: which cells are compared with each other, and what their label says."""

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
    for place, grid in zip(places, matrix.grids, strict=True):
        beside = [g.recipe for of, g in zip(places, matrix.grids, strict=True) if of == place]
        found.append(Stand(place, _apart(matrix, place), _in_words(grid.recipe, beside)))
    return found


def _apart(matrix: Matrix, place: int) -> str:
    """What the place's recipe has of its own; its number where another place has equal bits too."""
    first = matrix.grids[place]
    alike = [matrix.grids[of] for of in sorted(set(matrix.places()))]
    alike = [grid for grid in alike if _alike(grid, first)]
    same = [grid for grid in alike if grid.recipe == first.recipe]
    if sum(bool(_widths(grid) & _widths(first)) for grid in same) > 1:
        return f"grid {place + 1}"
    return _in_words(first.recipe, [grid.recipe for grid in alike])


def _widths(grid: Grid) -> set[str]:
    """The bits that settings of the grid are named by."""
    own = {bits.label for bits in grid.bits}
    return own if len(own) == 1 else {*own, FULL_PRECISION}


def _alike(one: Grid, other: Grid) -> bool:
    names = [(grid.pair.label, grid.pair.data.name) for grid in (one, other)]
    return names[0] == names[1]


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
