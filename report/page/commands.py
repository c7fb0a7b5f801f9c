"""The commands that run a matrix, or one of its cells, again."""

from collections.abc import Sequence

from benchmarks.matrix import Cell, cell_values
from benchmarks.precision import asked
from report.reading.sources import Run

TARGETS = ("ablation", "rivals")


def varied(cells: Sequence[Cell]) -> list[str]:
    """The keys by which ONLY= must pick: method, bits, and what else the cells differ in."""
    values = [cell_values(cell) for cell in cells]
    return [
        key
        for key in ("dataset", "student", "teacher", "bits", "method")
        if key in ("method", "bits") or len({value[key] for value in values}) > 1
    ]


def cell_command(cell: Cell, run: Run, keys: list[str]) -> str:
    """What runs the cell, or goes on with it, from a shell in the repository."""
    values = cell_values(cell)
    only = " ".join(f"{key}={values[key]}" for key in keys)
    return f"{command(run)} ONLY='{only}' SEEDS={cell.seed}"


def shortest_command(run: Run) -> str:
    """As `command`, by the matrix's own target where it has one."""
    matrix, scale = run.key
    return f"make {matrix}" if matrix in TARGETS and scale == "laptop" else command(run)


def command(run: Run) -> str:
    """What runs a matrix at a scale; a matrix that is not ours is named by the user's own file."""
    matrix, scale = run.key
    name, variables = asked(matrix)
    words = "".join(f" {key}={value}" for key, value in variables.items())
    return f"make run MATRIX={name if run.is_ours else f'path/to/{name}.py'} SCALE={scale}{words}"
