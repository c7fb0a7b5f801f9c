"""The GPU-hours of a plan, by cell and by precision (torch-free)."""

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple, get_args

from benchmarks.gpus import Speed, assumed_speed, speed_of
from benchmarks.matrix import Cell, select
from benchmarks.plan import Plan, Planned, passes
from qkd.spec import Network, Precision
from qkd.spec.value import digest
from slurm.planning.work import Work

PRECISIONS: tuple[Precision, ...] = get_args(Precision)


class Hours(NamedTuple):
    """Hours on one GPU in each of `PRECISIONS`."""

    of: tuple[float, ...]

    def __add__(self, other: object) -> "Hours":
        if not isinstance(other, Hours):
            return NotImplemented
        return Hours(tuple(a + b for a, b in zip(self.of, other.of, strict=True)))

    def __sub__(self, other: "Hours") -> "Hours":
        return Hours(tuple(a - b for a, b in zip(self.of, other.of, strict=True)))


NONE = Hours((0.0,) * len(PRECISIONS))


class Step(NamedTuple):
    """What ONLY= picks in its turn, the hours that it adds to what went before, and all so far."""

    only: str
    adds: Hours
    so_far: Hours


class Estimate:
    """Hours of stages, by the speeds of their networks.

    A frozen teacher's pass, a third of a training step's three, counts in its own precision where
    the recipe gives it one.
    """

    def __init__(self, cells: Iterable[Cell]) -> None:
        self._macs: dict[str, int] = {}
        self._pixels: dict[str, int] = {}
        for pair in {id(cell.pair): cell.pair for cell in cells}.values():
            self._macs[digest(pair.student)] = pair.student_macs
            self._macs[digest(pair.teacher)] = pair.teacher_macs
        self._known: dict[str, Hours] = {}

    def speed(self, network: Network, pixels: int, precision: Precision) -> Speed:
        """Images a second that are trained of a network."""
        known = speed_of(network, pixels, precision)
        return known or assumed_speed(self._macs.get(digest(network), 0))

    def stage(self, planned: Planned) -> Hours:
        """The hours of one stage."""
        if planned.digest not in self._known:
            found = tuple(self._seconds(planned, precision) / 3600 for precision in PRECISIONS)
            self._known[planned.digest] = Hours(found)
        return self._known[planned.digest]

    def _seconds(self, planned: Planned, precision: Precision) -> float:
        history = planned.stage.history
        pixels = history.data.photos.size if history.data.photos else 0
        count = passes(history, planned.stage.steps)
        frozen = history.recipe.frozen_teacher_precision or precision
        seconds = count.student / 3 / self.speed(history.student.network, pixels, precision).images
        if history.teacher is not None:
            teacher = history.teacher.network
            seconds += count.teacher / 3 / self.speed(teacher, pixels, precision).images
            seconds += count.frozen / 3 / self.speed(teacher, pixels, frozen).images
        return seconds

    def sum(self, stages: Iterable[Planned]) -> Hours:
        """The hours of several stages."""
        return sum(map(self.stage, stages), NONE)

    def marks(self, plan: Plan) -> set[str]:
        """The marks of all speeds that the plan's stages need."""
        return {
            self.speed(side.network, h.data.photos.size if h.data.photos else 0, precision).mark
            for h in (planned.stage.history for planned in plan.stages.values())
            for side in (h.student, h.teacher)
            if side is not None
            for precision in PRECISIONS
        }


def with_and_without_sharing(work: Work, estimate: Estimate) -> tuple[Hours, Hours]:
    """The hours of the plan, and those if each cell were trained by itself."""
    alone = (estimate.sum(chain) for chain in work.plan.alone())
    return estimate.sum(work.plan.stages.values()), sum(alone, NONE)


def by_cell(work: Work, estimate: Estimate) -> Iterator[tuple[Cell, int, Hours]]:
    """A cell of each pair, bits and method; how many seeds it has; the hours of one by itself."""
    groups: dict[tuple[str, str, str], list[tuple[Cell, str]]] = {}
    for cell, end in work.plan.cell_stages:
        bits = cell.bits.label if cell.bits else ""
        groups.setdefault((cell.pair.label, bits, cell.method.name), []).append((cell, end))
    for members in groups.values():
        cell, end = members[0]
        yield cell, len(members), estimate.sum(work.plan.chain(end))


def in_order(work: Work, estimate: Estimate) -> list[Step]:
    """What the matrix's order adds, step by step; a step that no chosen cell has is left out."""
    found: list[Step] = []
    chosen = [cell for cell, _ in work.plan.cell_stages]
    picked: list[Cell] = []
    before = NONE
    for only in work.matrix.order:
        new = [cell for cell in _picked(chosen, only) if cell not in picked]
        if not new:
            continue
        picked += new
        so_far = estimate.sum(work.whole.of(picked).stages.values())
        found.append(Step(only, so_far - before, so_far))
        before = so_far
    return found


def _picked(cells: Sequence[Cell], only: str) -> list[Cell]:
    try:
        return select(list(cells), only)
    except ValueError:
        return []
