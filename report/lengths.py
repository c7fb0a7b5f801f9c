"""Settings that differ in the length of training alone: their contrasts beside each other."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import msgspec

from benchmarks.contrasts import Contrast
from benchmarks.matrix import Grid, Matrix, Pair
from qkd.spec import Bits, Recipe
from qkd.spec.value import encode
from report.content import Group
from report.contrasts import Compared
from report.statistics import Paired
from report.table import Row, Table, number, row, table
from report.words import BY_LENGTH, NONE, bracket, signed

OF_LENGTH = frozenset({"horizon", "log_every"})


class AtLength(NamedTuple):
    """A contrast at one length, in ``steps`` of a method of the usual epochs: its difference, and
    all that is known of it."""

    steps: int
    paired: Paired
    compared: Compared


class Lengths(NamedTuple):
    """A contrast at each length at which any of its seeds has run, ascending."""

    contrast: Contrast
    found: tuple[AtLength, ...]


class Several(NamedTuple):
    """What was trained for several ``steps``: the setting in words, and its contrasts."""

    label: str
    steps: tuple[int, ...]
    contrasts: tuple[Lengths, ...]


def several_lengths(matrix: Matrix, groups: Sequence[Group]) -> list[Several]:
    """Those of the settings that were run for several lengths, and have a contrast at each of two.
    Where a length is there twice, which of them belongs to the others is not known: none is shown.

    Each length is a training of its own, whose learning rate falls to zero at its end: what stands
    side by side here is not paired.
    """
    alike: dict[_Common, list[tuple[int, Group]]] = {}
    for group in groups:
        grids = _grids(matrix, group.setting.place)
        length = grids[0].recipe.horizon
        alike.setdefault(_common(group, grids), []).append((length, group))
    return [
        one
        for found in alike.values()
        if len(dict(found)) == len(found)
        for one in _several(dict(found))
    ]


class _Common(NamedTuple):
    """What settings have in common that differ in nothing but their length: the pair encoded, the
    bits, and of each grid the methods, encoded, and the recipe without its length."""

    pair: bytes
    bits: Bits | None
    grids: tuple[tuple[object, ...], ...]


def _grids(matrix: Matrix, place: int) -> list[Grid]:
    return [grid for of, grid in zip(matrix.places(), matrix.grids, strict=True) if of == place]


def _common(group: Group, grids: Sequence[Grid]) -> _Common:
    names = [one.name for one in msgspec.structs.fields(Recipe) if one.name not in OF_LENGTH]
    values = tuple(
        (*map(encode, grid.methods), *(getattr(grid.recipe, name) for name in names))
        for grid in grids
    )
    return _Common(encode(_pair(group)), group.setting.bits, values)


def _pair(group: Group) -> Pair:
    return group.methods[0].cells[0].cell.pair


def _several(found: dict[int, Group]) -> Iterator[Several]:
    steps = tuple(sorted(found))
    by_contrast: dict[Contrast, list[AtLength]] = {}
    for length in steps:
        for one in found[length].compared:
            if one.paired is not None:
                at = AtLength(length, one.paired, one)
                by_contrast.setdefault(one.contrast, []).append(at)
    contrasts = tuple(
        Lengths(contrast, tuple(at)) for contrast, at in by_contrast.items() if len(at) > 1
    )
    if contrasts:
        first = found[steps[0]]
        pair, bits = _pair(first), first.setting.bits
        width = bits.label if bits else "full precision"
        yield Several(f"{pair.label} on {pair.data.name}, {width}", steps, contrasts)


def length_table(found: Several, name: str) -> Table:
    """A row a contrast, a column a length: the difference with its interval, and the verdict."""
    heads = [number(f"{length:,} steps") for length in found.steps]
    rows = [_row(one, found.steps) for one in found.contrasts]
    return table(
        name, "Contrasts by length of training", ["contrast", *heads], rows,
        caption=f"{found.label}. {BY_LENGTH}",
    )  # fmt: skip


def _row(contrast: Lengths, steps: Sequence[int]) -> Row:
    texts = {at.steps: f"{difference(at.paired)}, {at.compared.verdict}" for at in contrast.found}
    return row(contrast.contrast.label, *(texts.get(length, NONE) for length in steps))


def difference(paired: Paired) -> str:
    """``+0.44 [-0.03, 0.91]``: the mean, and its interval where the differences vary."""
    mean, low, high = paired[:3]
    return signed(mean) if paired.p is None else f"{signed(mean)} {bracket(low, high)}"
