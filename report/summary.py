"""Cells of a method taken together over their seeds, and set against the claimed number."""

from collections.abc import Sequence
from statistics import fmean
from typing import NamedTuple

from qkd.spec import Bits
from report.cells import Reading
from report.integers import is_proven
from report.outcomes import Status
from report.paper import Claim, Number, claim
from report.parts import Cost
from report.setting import Setting
from report.statistics import Interval, mean_interval
from report.verdicts import FAILED, NO_PROOF, NOT_COMPARED, NOT_RUN, equivalence

COMPARED_SCALE = "paper"


class Summary(NamedTuple):
    """The cells of a method in a setting. ``interval`` is of the test top-1 of those done (95 %
    Student-t); the means of best held-out and of the teacher's top-1 are None where not known."""

    setting: Setting
    cells: tuple[Reading, ...]
    interval: Interval | None
    best_top1: float | None
    teacher_before: float | None
    teacher_top1: float | None

    @property
    def name(self) -> str:
        """The method's name."""
        return self.cells[0].cell.method.name

    @property
    def about(self) -> Claim | None:
        """What its top-1 is of, as a claimed number says it; None of cells whose first and last or
        depthwise layers have bits of their own, for no claimed number is of such."""
        cell = self.cells[0].cell
        bits = cell.bits
        if bits and bits != Bits(weight=bits.weight, activation=bits.activation):
            return None
        names = cell.pair.data.name, cell.pair.student.name, cell.method.name
        return claim(*names, cell.weight_bits, cell.activation_bits)

    @property
    def top1s(self) -> dict[int, float]:
        """The test top-1 by seed of the cells that are done."""
        return {r.cell.seed: r.top1 for r in self.cells if r.top1 is not None}

    @property
    def packed_bytes(self) -> float | None:
        """Bytes of the packed student, mean over seeds; None where not recorded."""
        return _mean([cost.packed_bytes for cost in self._costs])

    @property
    def bit_operations(self) -> float | None:
        """The student's bit operations on one image, mean over seeds; None where not recorded."""
        return _mean([cost.bit_operations for cost in self._costs])

    @property
    def _costs(self) -> list[Cost]:
        results = [r.outcome.result for r in self.cells if r.top1 is not None]
        return [result.cost for result in results if result and result.cost]

    @property
    def is_proven(self) -> bool:
        """Whether every cell that is done, and quantized, runs as integers."""
        return all(is_proven(reading) for reading in self.cells if reading.top1 is not None)

    @property
    def status(self) -> str:
        """``done``, ``skipped``, or how many of how many are done."""
        for all_of_them in (Status.DONE, Status.SKIPPED):
            if all(reading.status == all_of_them for reading in self.cells):
                return all_of_them.value
        return f"{len(self.top1s)} of {len(self.cells)} done"


class Comparison(NamedTuple):
    """A mean beside the claimed number; ``difference`` is ours less theirs, in points."""

    number: Number | None
    difference: float | None
    verdict: str


def summaries(cells: Sequence[Reading]) -> list[Summary]:
    """One summary for each method of each setting, in the order of the cells."""
    groups: dict[tuple[Setting, str], list[Reading]] = {}
    for reading in cells:
        groups.setdefault((reading.setting, reading.cell.method.name), []).append(reading)
    return [
        Summary(
            setting=setting,
            cells=tuple(group),
            interval=_interval(group),
            best_top1=_mean([r.best_top1 for r in group]),
            teacher_before=_mean([r.teacher_before for r in group]),
            teacher_top1=_mean([r.teacher_top1 for r in group]),
        )
        for (setting, _), group in groups.items()
    ]


def _interval(group: list[Reading]) -> Interval | None:
    values = [reading.top1 for reading in group if reading.top1 is not None]
    return mean_interval(values) if values else None


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return fmean(known) if known else None


def compare(summary: Summary, scale: str, paper: dict[Claim, Number]) -> Comparison:
    """A method's mean against the claimed number; smaller scales and bits that no number is of are
    never set against one, and cells that do not all run as integers get no verdict."""
    if scale != COMPARED_SCALE:
        return Comparison(None, None, NOT_COMPARED)
    number = paper.get(summary.about) if summary.about else None
    if summary.interval is None:
        return Comparison(number, None, not_there(summary))
    if number is None:
        return Comparison(None, None, NOT_COMPARED)
    difference = summary.interval.mean - number.top1
    if not number.table:
        return Comparison(number, difference, NOT_COMPARED)
    if not summary.is_proven:
        return Comparison(number, difference, NO_PROOF)
    differences = [value - number.top1 for value in summary.top1s.values()]
    return Comparison(number, difference, equivalence(mean_interval(differences, 0.90)))


def not_there(summary: Summary) -> str:
    """The word for a method without a number: failed, or not run."""
    stuck = {Status.FAILED, Status.BLOCKED, Status.UNREADABLE}
    return FAILED if stuck & {reading.status for reading in summary.cells} else NOT_RUN
