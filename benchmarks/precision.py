"""A matrix in another precision than its own: PRECISION= and TEACHER_PRECISION= (torch-free)."""

import re
from collections.abc import Iterable
from typing import get_args

from msgspec.structs import replace

from benchmarks.matrix import Grid, Matrix
from qkd.spec import Precision


def with_precision(
    matrix: Matrix, precision: Precision | None = None, teacher: Precision | None = None
) -> Matrix:
    """The matrix trained in ``precision``, a frozen teacher's forward passes in ``teacher``.

    None leaves its own. What is changed is part of each id, and of the matrix's name, so that no
    run is taken for another; what networks begin with stays as it is. A teacher that computes as
    training does anyway is no change.
    """
    grids = tuple(_changed(grid, precision, teacher) for grid in matrix.grids)
    if grids == matrix.grids:
        return matrix
    words, names = [], []
    if [one.recipe.precision for one in grids] != [g.recipe.precision for g in matrix.grids]:
        words.append(f"trained in {precision}")
        names.append(str(precision))
    # A matrix may have a teacher's precision of its own: nobody asked for that one.
    if teacher and _frozen(grids) != _frozen(matrix.grids):
        words.append(f"a frozen teacher in {teacher}")
        names.append(f"teacher-{teacher}")
    label = replace(
        matrix.label,
        title=f"{matrix.label.title} ({', '.join(words)})",
        deviations=(*matrix.label.deviations, f"{' and '.join(words)}, as asked for"),
    )
    return replace(matrix, name="-".join((matrix.name, *names)), label=label, grids=grids)


def _frozen(grids: Iterable[Grid]) -> list[Precision | None]:
    return [one.recipe.frozen_teacher_precision for one in grids]


_NAME = re.compile("(.+?)(?:-({0}))?(?:-teacher-({0}))?".format("|".join(get_args(Precision))))


def asked(name: str) -> tuple[str, dict[str, str]]:
    """The matrix that such a name is of, and the variables that made it another."""
    found = _NAME.fullmatch(name)
    if found is None:
        return name, {}
    base, *values = found.groups()
    names = ("PRECISION", "TEACHER_PRECISION")
    return base, {key: value for key, value in zip(names, values, strict=True) if value}


def _changed(grid: Grid, precision: Precision | None, teacher: Precision | None) -> Grid:
    own = precision or grid.recipe.precision
    frozen = teacher or grid.recipe.frozen_teacher_precision
    recipe = replace(
        grid.recipe,
        precision=own,
        frozen_teacher_precision=None if frozen == own else frozen,
    )
    return replace(grid, recipe=recipe)
