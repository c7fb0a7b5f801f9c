"""The commands that run a matrix, or one of its cells, again."""

from pathlib import Path

import benchmarks
from benchmarks.matrix import Cell, cell_values
from report.cells import Readings

TARGETS = ("ablation", "rivals")


def varied(readings: Readings) -> list[str]:
    """The keys by which ONLY= must pick: method, bits, and what else the cells differ in."""
    values = [cell_values(reading.cell) for reading in readings.cells]
    return [
        key
        for key in ("dataset", "student", "teacher", "bits", "method")
        if key in ("method", "bits") or len({value[key] for value in values}) > 1
    ]


def cell_command(cell: Cell, readings: Readings, keys: list[str]) -> str:
    """What runs the cell, or goes on with it, from a shell in the repository."""
    values = cell_values(cell)
    only = " ".join(f"{key}={values[key]}" for key in keys)
    return f"{command(*readings.run.key)} ONLY='{only}' SEEDS={cell.seed}"


def shortest_command(matrix: str, scale: str) -> str:
    """As `command`, by the matrix's own target where it has one."""
    return f"make {matrix}" if matrix in TARGETS and scale == "laptop" else command(matrix, scale)


def command(matrix: str, scale: str) -> str:
    """What runs a matrix at a scale; a matrix that is not ours is named by the user's own file."""
    ours = (Path(benchmarks.__file__).parent / f"{matrix}.py").exists()
    return f"make run MATRIX={matrix if ours else f'path/to/{matrix}.py'} SCALE={scale}"
