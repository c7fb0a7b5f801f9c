"""cells.csv and summary.csv: the same bytes from the same records."""

import csv
import io
from collections.abc import Iterable

from benchmarks.matrix import Cell
from report.cells import Reading
from report.paper import Claim, Number
from report.summary import Summary, compare

OF_A_METHOD = (
    "matrix",
    "scale",
    "dataset",
    "student",
    "teacher",
    "weight_bits",
    "activation_bits",
    "method",
)
CELL_COLUMNS = (
    *OF_A_METHOD,
    "seed",
    "status",
    "top1",
    "best_top1",
    "teacher_top1",
    "steps",
    "stage",
)
# Where a run left out photos that could not be decoded, and nowhere else.
LEFT_OUT_COLUMNS = ("left_out_training", "left_out_test")
SUMMARY_COLUMNS = (
    *OF_A_METHOD,
    "status",
    "top1",
    "best_top1",
    "teacher_top1",
    "n",
    "mean",
    "low",
    "high",
    "paper",
    "mark",
    "difference",
    "verdict",
    "steps",
)


def _of_a_method(key: tuple[str, str], cell: Cell) -> dict[str, str]:
    return {
        "matrix": key[0],
        "scale": key[1],
        "dataset": cell.pair.data.name,
        "student": cell.pair.student.name,
        "teacher": cell.pair.teacher.name,
        "weight_bits": str(cell.weight_bits),
        "activation_bits": str(cell.activation_bits),
        "method": cell.method.name,
    }


def _steps(cell: Cell) -> str:
    """The student's steps, which tell apart two lengths of a method; 0 for one of no phases."""
    return str(cell.history.steps if cell.method.shares else 0)


def _number(value: float | None) -> str:
    """Four decimals; empty where it is not known; no negative zero."""
    return "" if value is None else f"{round(value, 4) + 0.0:.4f}"


def cell_rows(key: tuple[str, str], cells: Iterable[Reading]) -> list[dict[str, str]]:
    """The lines of cells.csv of one run; ``key`` is its matrix and scale."""
    return [
        _of_a_method(key, reading.cell)
        | {
            "seed": str(reading.cell.seed),
            "status": reading.status.value,
            "top1": _number(reading.top1),
            "best_top1": _number(reading.best_top1),
            "teacher_top1": _number(reading.teacher_top1),
            "steps": _steps(reading.cell),
            "stage": reading.cell.history.digest,
        }
        | _left_out(reading)
        for reading in cells
    ]


def _left_out(reading: Reading) -> dict[str, str]:
    """Counts of images; nothing of a cell that is not done."""
    if reading.top1 is None:
        return {}
    one = reading.left_out
    counts = (one.training, one.test) if one else (0, 0)
    return dict(zip(LEFT_OUT_COLUMNS, map(str, counts), strict=True))


def cell_columns(rows: Iterable[dict[str, str]]) -> tuple[str, ...]:
    """The columns of cells.csv: what was left out has columns where something was."""
    has_some = any(row.get(name, "0") != "0" for row in rows for name in LEFT_OUT_COLUMNS)
    return (*CELL_COLUMNS, *LEFT_OUT_COLUMNS) if has_some else CELL_COLUMNS


def summary_rows(
    key: tuple[str, str], summaries: Iterable[Summary], paper: dict[Claim, Number]
) -> list[dict[str, str]]:
    """The lines of summary.csv of one run; ``key`` is its matrix and scale."""
    rows = []
    for summary in summaries:
        interval, comparison = summary.interval, compare(summary, key[1], paper)
        rows.append(
            _of_a_method(key, summary.cells[0].cell)
            | {
                "status": summary.status,
                "top1": _number(interval.mean if interval else None),
                "best_top1": _number(summary.best_top1),
                "teacher_top1": _number(summary.teacher_top1),
                "n": str(interval.n if interval else 0),
                "mean": _number(interval.mean if interval else None),
                "low": _number(interval.low if interval else None),
                "high": _number(interval.high if interval else None),
                "paper": _number(comparison.number.top1 if comparison.number else None),
                "mark": comparison.number.mark if comparison.number else "",
                "difference": _number(comparison.difference),
                "verdict": comparison.verdict,
                "steps": _steps(summary.cells[0].cell),
            }
        )
    return rows


def as_csv(rows: list[dict[str, str]], columns: tuple[str, ...]) -> bytes:
    """The columns of the rows, as UTF-8 with line feeds."""
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()
