"""The frame of methods: the cells of a method in a setting, taken together over their seeds."""

import math
from collections import Counter
from collections.abc import Callable, Iterable
from typing import NamedTuple

import pandas as pd

from report.analysis.arithmetic import pooled
from report.analysis.statistics import half_widths, mean_interval
from report.analysis.verdicts import (
    COMPARED_SCALE,
    FAILED,
    NO_PROOF,
    NOT_COMPARED,
    NOT_RUN,
    OTHER_ARITHMETIC,
    equivalence,
)
from report.frames.cells import CellRow
from report.frames.tidy import rows
from report.reading.paper import About, ClaimedNumber, about
from report.reading.records import Status

BASE = "qat"  # what costs are relative to
KEY = ["place", "setting", "method"]
OF_THE_FIRST = [
    *("matrix", "scale", "dataset", "student", "teacher", "weight_bits", "activation_bits", "bits"),
    *("recipe", "note", "phases", "steps", "teacher_steps", "macs"),
]
MEANS = [
    "test_loss",
    "best_top1",
    "reestimated_top1",
    "reestimated_training_top1",
    "teacher_before",
    "teacher_top1",
    "teacher_loss_before",
    "teacher_loss",
    "packed_bytes",
    "bit_operations",
    "at_bits",
    "in_float",
]
STUCK = {
    Status.FAILED.value,
    Status.BLOCKED.value,
    Status.UNREADABLE.value,
    Status.CHANGED.value,
}


class MethodRow(NamedTuple):
    """A method of a setting; what its cells have in common is that of the first.

    ``mean``, ``low`` and ``high`` are of the test top-1 of the ``n`` cells that are done, and of
    the setting's most numerous arithmetic, with a 95 % Student-t interval; ``top1s`` has them by
    seed, ``stages`` the digests of all cells' last
    stages; ``not_there`` is the word for none. What is not known is NaN. ``cost`` is that
    of training, relative to plain QAT's in the same setting. ``status`` counts the cells that are
    done, ``states`` all; ``left_out_...`` are the most of a cell. ``is_proven``: every cell that is
    done, and quantized, runs as integers. ``about`` is what a claimed number of it would be of:
    None where first and last or depthwise layers have bits of their own. ``claimed``, ``mark`` and
    ``difference`` (ours less the number) are there at the paper's scale alone.
    """

    matrix: str
    scale: str
    dataset: str
    student: str
    teacher: str
    weight_bits: int
    activation_bits: int
    bits: str
    place: int
    setting: str
    recipe: str
    method: str
    note: str
    phases: str
    steps: int
    teacher_steps: int
    macs: float
    cost: float
    status: str
    states: str
    n: int
    mean: float
    low: float
    high: float
    test_loss: float
    best_top1: float
    reestimated_top1: float
    reestimated_training_top1: float
    teacher_before: float
    teacher_top1: float
    teacher_loss_before: float
    teacher_loss: float
    packed_bytes: float
    bit_operations: float
    at_bits: float
    in_float: float
    left_out_training: float
    left_out_test: float
    is_proven: bool
    top1s: dict[int, float]
    stages: dict[int, str]
    not_there: str
    about: About | None
    claimed: float
    mark: str
    difference: float
    verdict: str


def methods(cells: pd.DataFrame, paper: dict[About, ClaimedNumber]) -> pd.DataFrame:
    """A row for each method of each setting, in the order of the cells."""
    cells = pooled(cells, KEY[:2], ["top1", *MEANS])
    groups = cells.groupby(KEY, sort=False)
    found = cells.drop_duplicates(KEY).set_index(KEY)[OF_THE_FIRST].join(groups[MEANS].mean())
    found = found.join(groups[["left_out_training", "left_out_test"]].max().fillna(0))
    top1 = groups["top1"].agg(n="count", mean="mean", spread="std")
    half = half_widths(top1["spread"], top1["n"])
    found = found.join(top1[["n", "mean"]])
    found["low"], found["high"] = top1["mean"] - half, top1["mean"] + half
    own: dict[tuple[object, ...], list[CellRow]] = {}
    for row in rows(cells, CellRow):
        own.setdefault((row.place, row.setting, row.method), []).append(row)
    found = found.reset_index()
    for name, of_cells in OF_ALL.items():
        found[name] = pd.Series([of_cells(of) for of in own.values()], dtype=object)
    found["is_proven"] = found["is_proven"].astype(bool)
    compared = [_compared(row, paper) for row in rows(found, _Beside)]
    for place, name in enumerate(("claimed", "mark", "difference", "verdict")):
        kind = object if name in ("mark", "verdict") else float
        found[name] = pd.Series([one[place] for one in compared], dtype=kind)
    known = found["macs"].where(found["macs"] > 0)
    base = known.where(found["method"] == BASE).groupby([found["place"], found["setting"]])
    found["cost"] = known / base.transform("max")
    return found[list(MethodRow._fields)]


def _status(cells: list[CellRow]) -> str:
    """``done``, ``skipped``, or how many of how many are done."""
    for of_all in (Status.DONE, Status.SKIPPED):
        if all(row.status == of_all.value for row in cells):
            return of_all.value
    return f"{sum(row.status == Status.DONE.value for row in cells)} of {len(cells)} done"


def _states(cells: list[CellRow]) -> str:
    """The cells' states in words, and why they were skipped."""
    first = cells[0]
    if any(row.status != first.status for row in cells):
        return counted(row.status for row in cells)
    is_skipped = first.status == Status.SKIPPED.value
    return f"skipped: {first.message}" if is_skipped else first.status


def counted(states: Iterable[str]) -> str:
    """How many are in which state: ``54 done, 2 failed``."""
    counts = Counter(states)
    return ", ".join(f"{counts[one.value]} {one.value}" for one in Status if counts[one.value])


def _about(row: CellRow) -> About | None:
    if row.bits not in ("fp", f"W{row.weight_bits}A{row.activation_bits}"):
        return None
    return about(row.dataset, row.student, row.method, row.weight_bits, row.activation_bits)


def _is_pooled(row: CellRow) -> bool:
    """Whether the cell is done, and counts in its method's means."""
    return row.status == Status.DONE and row.top1 is not None and not math.isnan(row.top1)


def _not_there(cells: list[CellRow]) -> str:
    found = {row.status for row in cells}
    if Status.DONE.value in found:
        return OTHER_ARITHMETIC
    return FAILED if STUCK & found else NOT_RUN


class _Beside(NamedTuple):
    """What of a method is set beside a claimed number."""

    scale: str
    about: About | None
    top1s: dict[int, float]
    is_proven: bool
    not_there: str


def _compared(
    one: _Beside, paper: dict[About, ClaimedNumber]
) -> tuple[float | None, str, float | None, str]:
    """The claimed number, its mark, the difference and the verdict. Smaller scales and bits that no
    number is of are never set against one; cells that do not all run as integers get no verdict."""
    if one.scale != COMPARED_SCALE:
        return None, "", None, NOT_COMPARED
    number = paper.get(one.about) if one.about else None
    claimed, mark = (number.top1, number.mark) if number else (None, "")
    if not one.top1s:
        return claimed, mark, None, one.not_there
    if number is None:
        return None, "", None, NOT_COMPARED
    values = list(one.top1s.values())
    difference = mean_interval(values).mean - number.top1
    if not number.table:
        return claimed, mark, difference, NOT_COMPARED
    if not one.is_proven:
        return claimed, mark, difference, NO_PROOF
    verdict = equivalence(mean_interval([value - number.top1 for value in values], 0.90))
    return claimed, mark, difference, verdict


# What follows from all cells of a method.
OF_ALL: dict[str, Callable[[list[CellRow]], object]] = {
    "top1s": lambda of: {row.seed: row.top1 for row in of if _is_pooled(row)},
    "stages": lambda of: {row.seed: row.stage for row in of},
    "is_proven": lambda of: all(row.is_proven for row in of if row.status == Status.DONE),
    "not_there": _not_there,
    "status": _status,
    "states": _states,
    "about": lambda of: _about(of[0]),
}
