"""Cells -> the tree of histories -> stages in order; what it costs, what sharing saves
(torch-free).
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

import msgspec

from benchmarks.matrix import Cell
from qkd.history import grown, parents
from qkd.spec import History, Phase, Stage
from qkd.value import digest

Label = tuple[str, str]


@dataclass
class _Edge:
    """A stretch of one phase in the tree, and what comes after it."""

    phase: Phase
    steps: int
    history: History
    after: "dict[Label, _Edge]" = field(default_factory=dict)


class Planned(NamedTuple):
    """A stage, the digests that it waits for, and its cost in multiply-accumulates."""

    stage: Stage
    digest: str
    parents: tuple[str, ...]
    macs: int


class Plan(NamedTuple):
    """Stages by digest, parents first; the stage that each cell ends in; what each history costs.

    ``unshared_macs`` is what the same cells would cost if each were trained by itself, the
    pre-training once for each network all the same.
    """

    stages: dict[str, Planned]
    cell_stages: list[tuple[Cell, str]]
    unshared_macs: int

    @property
    def macs(self) -> int:
        """Multiply-accumulates of all stages."""
        return sum(planned.macs for planned in self.stages.values())


def plan(cells: Iterable[Cell], wanted: Iterable[Cell] | None = None) -> Plan:
    """The stages of ``wanted`` (by default all), cut where the paths of ``cells`` part.

    Cutting by all cells keeps the cuts the same whichever are wanted.
    """
    every = [cell for cell in cells if not cell.skipped]
    chosen = every if wanted is None else [cell for cell in wanted if not cell.skipped]
    macs = _macs_of_networks(every)
    stages: dict[str, Planned] = {}
    paths = _paths(every)
    for history in paths:
        if history.student.weights is not None:
            _add(stages, Stage(history=history, steps=0), macs)
    for root in _trees(paths):
        for edge in root.values():
            _add_tree(stages, edge, macs)
    ends = [(cell, cell.history.digest) for cell in chosen]
    ordered = _with_parents([cell.history.digest for cell in every], stages)
    needed = _with_parents([end for _, end in ends], stages)
    kept = {key: ordered[key] for key in ordered if key in needed}
    alone = {history.digest: history for history in _paths(chosen)}
    unshared = sum(cost(history, history.steps, macs) for history in alone.values())
    return Plan(kept, ends, unshared)


def cost(history: History, steps: int, macs: dict[str, int]) -> int:
    """Multiply-accumulates of the history's last ``steps`` steps.

    A step that trains a network counts three forward passes of it, a frozen teacher one.
    """
    student = macs.get(digest(history.student.network), 0)
    teacher = macs.get(digest(history.teacher.network), 0) if history.teacher else 0
    total, left = 0, steps
    for part in reversed(history.parts):
        length = min(part.steps, left)
        left -= length
        passes = 3 if part.phase.trains_teacher else 1 if part.phase.needs_teacher else 0
        total += length * (3 * student + passes * teacher)
    return total * history.recipe.batch


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
    roots: dict[str, dict[Label, _Edge]] = {}
    for history in histories:
        beginning = msgspec.structs.replace(history, parts=(), teacher=None)
        _insert(roots.setdefault(beginning.digest, {}), beginning, history)
    return list(roots.values())


def _insert(root: dict[Label, _Edge], beginning: History, history: History) -> None:
    """Walks the history's parts down the tree, splitting an edge where the paths part."""
    position, here = root, beginning
    teacher = digest(history.teacher) if history.teacher else ""
    for part in history.parts:
        label = (digest(part.phase), teacher if part.phase.needs_teacher else "")
        left = part.steps
        while left:
            edge = position.get(label)
            length = left if edge is None else min(left, edge.steps)
            after = grown(here, part.phase, length, history.teacher)
            if edge is None:
                position[label] = edge = _Edge(part.phase, length, after)
            elif edge.steps > length:
                rest = _Edge(edge.phase, edge.steps - length, edge.history, edge.after)
                position[label] = edge = _Edge(part.phase, length, after, {label: rest})
            position, here, left = edge.after, edge.history, left - length


def _add_tree(stages: dict[str, Planned], edge: _Edge, macs: dict[str, int]) -> None:
    """Adds an edge, and what comes after it."""
    _add(stages, Stage(history=edge.history, steps=edge.steps), macs)
    for after in edge.after.values():
        _add_tree(stages, after, macs)


def _add(stages: dict[str, Planned], stage: Stage, macs: dict[str, int]) -> None:
    key = stage.history.digest
    if key not in stages:
        waits_for = tuple(history.digest for history in parents(stage))
        stages[key] = Planned(stage, key, waits_for, cost(stage.history, stage.steps, macs))


def _with_parents(ends: Iterable[str], stages: dict[str, Planned]) -> dict[str, Planned]:
    """The stages that lead to the ends, each after all that it waits for."""
    found: dict[str, Planned] = {}

    def add(key: str) -> None:
        if key not in found:
            for parent in stages[key].parents:
                add(parent)
            found[key] = stages[key]

    for end in ends:
        add(end)
    return found
