"""Settings that differ in the length of training alone: their contrasts beside each other."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import msgspec
import pandas as pd

from benchmarks.contrasts import Contrast
from benchmarks.matrix import Matrix
from qkd.spec import Recipe
from qkd.spec.value import encode
from report.analysis.contrasts import Compared, contrast_frames
from report.analysis.sections import Group

OF_LENGTH = frozenset({"horizon", "log_every"})


class Several(NamedTuple):
    """What was trained for several ``steps`` (of a method of the usual epochs): the setting in
    words, and by contrast what is known at each length at which any of its seeds has run."""

    label: str
    steps: tuple[int, ...]
    contrasts: dict[Contrast, dict[int, Compared]]


def several_lengths(matrix: Matrix, groups: Sequence[Group]) -> list[Several]:
    """Those of the settings that were run for several lengths, and have a contrast at each of two.
    Where a length is there twice, which of them belongs to the others is not known: none is shown.

    Each length is a training of its own, whose learning rate falls to zero at its end: what stands
    side by side here is not paired.
    """
    alike: dict[tuple[object, ...], list[tuple[int, Group]]] = {}
    for group in groups:
        length = matrix.grids[group.place].recipe.horizon
        alike.setdefault(_common(matrix, group), []).append((length, group))
    every = (dict(found) for found in alike.values() if len(dict(found)) == len(found))
    return [one for found in every for one in _several(found)]


def _common(matrix: Matrix, group: Group) -> tuple[object, ...]:
    """What settings have in common that differ in nothing but their length: the pair, the bits, and
    of each grid the methods and the recipe without its length."""
    names = [one.name for one in msgspec.structs.fields(Recipe) if one.name not in OF_LENGTH]
    grids = [
        grid
        for place, grid in zip(matrix.places(), matrix.grids, strict=True)
        if place == group.place
    ]
    values = [
        (*map(encode, grid.methods), *(getattr(grid.recipe, name) for name in names))
        for grid in grids
    ]
    return encode(grids[0].pair), _width(group), tuple(values)


def _width(group: Group) -> str:
    """The setting's bits: its own cells' in full precision may stand beside quantized ones."""
    widths = [bits for bits in group.methods["bits"] if bits != "fp"]
    return widths[0] if widths else "full precision"


def _several(found: dict[int, Group]) -> Iterator[Several]:
    steps = tuple(sorted(found))
    contrasts: dict[Contrast, dict[int, Compared]] = {}
    for length in steps:
        for one in found[length].compared:
            if one.estimate is not None:
                contrasts.setdefault(one.contrast, {})[length] = one
    contrasts = {contrast: at for contrast, at in contrasts.items() if len(at) > 1}
    if contrasts:
        group = found[steps[0]]
        first = group.methods.iloc[0]
        pair = f"{first['student']} <- {first['teacher']} on {first['dataset']}"
        yield Several(f"{pair}, {_width(group)}", steps, contrasts)


def length_frames(found: Several) -> tuple[pd.DataFrame, pd.DataFrame]:
    """A row a contrast at a length, without an interval where its differences do not vary; and a
    row a seed of each."""
    every = [(steps, one) for at in found.contrasts.values() for steps, one in at.items()]
    means, seeds = contrast_frames(every)
    means[["low", "high"]] = means[["low", "high"]].where(means["p"].notna(), axis=0)
    return means, seeds
