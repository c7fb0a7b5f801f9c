"""Cells -> a tree of histories -> stages in order, with their cost (torch-free)."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from benchmarks.matrix import Cell
from qkd.spec import History, Precision, Stage
from qkd.spec.history import continues, parents, prefix
from qkd.spec.value import Value, digest

Label = tuple[str, str]


@dataclass
class _Edge:
    """A stretch of one phase in the tree, the history at its end, and what comes after it."""

    steps: int
    history: History
    after: "dict[Label, _Edge]" = field(default_factory=dict)


class Planned(NamedTuple):
    """A stage, the digests that it waits for, and its cost in multiply-accumulates.

    ``is_end``: a cell of the matrix ends in it.
    """

    stage: Stage
    digest: str
    parents: tuple[str, ...]
    macs: int
    is_end: bool = False


class Plan(NamedTuple):
    """Stages by digest, parents first; and the stage that each cell ends in.

    ``unshared_macs`` is the cost if each cell were trained by itself, with one pre-training for
    each network.
    """

    stages: dict[str, Planned]
    cell_stages: list[tuple[Cell, str]]
    unshared_macs: int

    @property
    def macs(self) -> int:
        """Multiply-accumulates of all stages."""
        return sum(planned.macs for planned in self.stages.values())

    def chain(self, end: str) -> Iterator[Planned]:
        """A stage and the earlier ones of the same history, the last first."""
        return _chain(end, self.stages)

    def alone(self) -> Iterator[list[Planned]]:
        """The stages of each cell as if it were trained by itself, and each pre-training once."""
        for history in _paths([cell for cell, _ in self.cell_stages]):
            yield list(self.chain(history.digest))

    def of(self, wanted: Iterable[Cell]) -> "Plan":
        """The stages that some of the cells need, in the same order and cut as they are."""
        return _leading_to(wanted, self.stages)


def precisions(planned: Plan) -> set[Precision]:
    """In which the stages train, and in which frozen teachers compute."""
    recipes = [one.stage.history.recipe for one in planned.stages.values() if one.stage.steps]
    frozen = (recipe.frozen_teacher_precision for recipe in recipes)
    return {recipe.precision for recipe in recipes} | {one for one in frozen if one}


def plan(cells: Iterable[Cell], wanted: Iterable[Cell] | None = None) -> Plan:
    """The stages of ``wanted`` (by default all), cut where the paths of ``cells`` part.

    Cutting by all cells keeps the cuts the same whichever are wanted.
    """
    every = [cell for cell in cells if not cell.skipped]
    macs = _macs_of_networks(every)
    stages: dict[str, Planned] = {}
    paths = _paths(every)
    for history in paths:
        if history.student.weights is not None:
            _add(stages, Stage(history=history, steps=0), {}, macs)
    for root in _trees(paths):
        for edge in root.values():
            _add_tree(stages, edge, {}, macs)
    ends = {cell.history.digest for cell in every}
    stages = {key: planned._replace(is_end=key in ends) for key, planned in stages.items()}
    ordered = _with_parents([cell.history.digest for cell in every], stages)
    return _leading_to(every if wanted is None else wanted, ordered)


def _leading_to(cells: Iterable[Cell], stages: dict[str, Planned]) -> Plan:
    chosen = [cell for cell in cells if not cell.skipped]
    ends = [(cell, cell.history.digest) for cell in chosen]
    needed = _with_parents([end for _, end in ends], stages)
    kept = {key: planned for key, planned in stages.items() if key in needed}
    unshared = sum(p.macs for history in _paths(chosen) for p in _chain(history.digest, stages))
    return Plan(kept, ends, unshared)


def _chain(key: str, stages: dict[str, Planned]) -> Iterator[Planned]:
    """A history's stages since its start, the last first."""
    planned = stages[key]
    while continues(planned.stage):
        yield planned
        planned = stages[planned.parents[0]]
    yield planned


def cost(history: History, steps: int, macs: dict[str, int]) -> int:
    """Multiply-accumulates of the history's last ``steps`` steps.

    A step that trains a network counts three forward passes of it, a frozen teacher one.
    """
    student = macs.get(digest(history.student.network), 0)
    teacher = macs.get(digest(history.teacher.network), 0) if history.teacher else 0
    count = passes(history, steps)
    return count.student * student + (count.teacher + count.frozen) * teacher


class Passes(NamedTuple):
    """Forward passes of one image, three for one that is trained on: of the student, of a teacher
    that learns, and of a frozen one.
    """

    student: int
    teacher: int
    frozen: int


def passes(history: History, steps: int) -> Passes:
    """Those of the history's last ``steps`` steps."""
    learning = frozen = 0
    left = steps
    for part in reversed(history.parts):
        length = min(part.steps, left)
        left -= length
        if part.phase.trains_teacher:
            learning += length
        elif part.phase.needs_teacher:
            frozen += length
    batch = history.recipe.batch
    return Passes(3 * (steps - left) * batch, 3 * learning * batch, frozen * batch)


def _macs_of_networks(cells: list[Cell]) -> dict[str, int]:
    macs: dict[str, int] = {}
    for pair in {id(cell.pair): cell.pair for cell in cells}.values():
        macs[digest(pair.student)] = pair.student_macs
        macs[digest(pair.teacher)] = pair.teacher_macs
    return macs


def _paths(cells: Iterable[Cell]) -> list[History]:
    """The histories of the cells, each after the pre-trainings that it begins with."""
    found: dict[str, History] = {}

    def add(history: History) -> None:
        for learner in (history.student, history.teacher):
            if learner is not None and learner.start is not None:
                add(learner.start)
        found.setdefault(history.digest, history)

    for cell in cells:
        add(cell.history)
    return list(found.values())


def _trees(histories: list[History]) -> list[dict[Label, _Edge]]:
    """One tree for each beginning: the same data, student, recipe and seed."""
    roots: dict[tuple[object, ...], dict[Label, _Edge]] = {}
    for history in histories:
        _insert(roots.setdefault(_beginning(history), {}), history)
    return list(roots.values())


def _beginning(history: History) -> tuple[object, ...]:
    """All but the parts and the teacher, as what can be compared quickly."""
    names = (name for name in History.__struct_fields__ if name not in ("parts", "teacher"))
    items = (getattr(history, name) for name in names)
    return tuple(digest(item) if isinstance(item, Value) else item for item in items)


def _insert(root: dict[Label, _Edge], history: History) -> None:
    """Walks the history's parts down the tree, splitting an edge where the paths part."""
    position, steps = root, 0
    teacher = digest(history.teacher) if history.teacher else ""
    for part in history.parts:
        label = (digest(part.phase), teacher if part.phase.needs_teacher else "")
        left = part.steps
        while left:
            edge = position.get(label)
            if edge is None or edge.steps > left:
                rest = _after(edge, left, label) if edge else {}
                edge = position[label] = _Edge(left, prefix(history, steps + left), rest)
            position, steps, left = edge.after, steps + edge.steps, left - edge.steps


def _after(edge: _Edge, steps: int, label: Label) -> dict[Label, _Edge]:
    """What comes after the edge's first ``steps``: the rest of it."""
    return {label: _Edge(edge.steps - steps, edge.history, edge.after)}


def _add_tree(
    stages: dict[str, Planned], edge: _Edge, path: dict[int, History], macs: dict[str, int]
) -> None:
    """Adds an edge, and what comes after it.

    ``path`` holds the histories on the way to the edge by their steps.
    """
    _add(stages, Stage(history=edge.history, steps=edge.steps), path, macs)
    further = {**path, edge.history.steps: edge.history}
    for after in edge.after.values():
        _add_tree(stages, after, further, macs)


def _add(
    stages: dict[str, Planned], stage: Stage, path: dict[int, History], macs: dict[str, int]
) -> None:
    key = stage.history.digest
    if key not in stages:
        # A parent within the same history ends where an edge does: it stands in the path.
        read = parents(stage, lambda _, steps: path[steps])
        waits_for = tuple(history.digest for history in read)
        stages[key] = Planned(stage, key, waits_for, cost(stage.history, stage.steps, macs))


def _with_parents(ends: Iterable[str], stages: dict[str, Planned]) -> dict[str, Planned]:
    """The ends and all stages that they need, parents first."""
    found: dict[str, Planned] = {}

    def add(key: str) -> None:
        if key not in found:
            for parent in stages[key].parents:
                add(parent)
            found[key] = stages[key]

    for end in ends:
        add(end)
    return found
