"""What one job trains: a stage, or by PACK= several that go on from one another (torch-free)."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from benchmarks.plan import Plan
from qkd.spec import Stage
from qkd.spec.history import continues
from slurm.cluster.profiles import Resources


class Unit(NamedTuple):
    """The stages of one job, in order, what it asks for, and the stages that it waits for."""

    stages: tuple[str, ...]
    resources: Resources
    waits_for: tuple[str, ...]


def units(
    plan: Plan, todo: Sequence[str], resources: Callable[[Stage], Resources], pack: int = 1
) -> list[Unit]:
    """The stages of ``todo`` (parents first) in units of at most ``pack``, parents first.

    A unit walks a branch: stages that go on with the same student, a parent before its children.
    Small branches that wait for the same stages share a unit. All stages of a unit ask for the same
    resources.
    """
    found: list[tuple[list[str], Resources]] = []
    filling: dict[tuple[tuple[str, ...], Resources], list[str]] = {}
    for branch in _branches(plan, todo):
        pieces = _pieces(plan, branch, resources, pack)
        for piece in pieces:
            asked = resources(plan.stages[piece[0]].stage)
            if len(pieces) > 1 or len(piece) == pack:
                found.append((piece, asked))
                continue
            alike = _waits_for(plan, piece), asked
            room = filling.get(alike)
            if room is not None and len(room) + len(piece) <= pack:
                room.extend(piece)
            else:
                found.append((piece, asked))
                filling[alike] = piece
    made = [Unit(tuple(piece), asked, _waits_for(plan, piece)) for piece, asked in found]
    return _parents_first(made)


def _pieces(
    plan: Plan, branch: list[str], resources: Callable[[Stage], Resources], pack: int
) -> list[list[str]]:
    """A branch cut where a unit is full, or where other resources are asked for."""
    pieces: list[list[str]] = []
    before: Resources | None = None
    for key in branch:
        asked = resources(plan.stages[key].stage)
        if not pieces or asked != before or len(pieces[-1]) == pack:
            pieces.append([])
        pieces[-1].append(key)
        before = asked
    return pieces


def _branches(plan: Plan, todo: Sequence[str]) -> list[list[str]]:
    """The stages of each beginning, depth first."""
    wanted = set(todo)
    after: dict[str, list[str]] = {}
    roots = []
    for key in todo:
        stage = plan.stages[key].stage
        before = plan.stages[key].parents[0] if continues(stage) else ""
        if before in wanted:
            after.setdefault(before, []).append(key)
        else:
            roots.append(key)
    found = []
    for root in roots:
        branch, waiting = [], [root]
        while waiting:
            key = waiting.pop()
            branch.append(key)
            waiting.extend(reversed(after.get(key, [])))
        found.append(branch)
    return found


def _waits_for(plan: Plan, stages: Sequence[str]) -> tuple[str, ...]:
    own = set(stages)
    parents = (parent for key in stages for parent in plan.stages[key].parents)
    return tuple(dict.fromkeys(parent for parent in parents if parent not in own))


def _parents_first(made: list[Unit]) -> list[Unit]:
    place = {key: number for number, unit in enumerate(made) for key in unit.stages}
    ordered: dict[int, Unit] = {}

    def add(number: int) -> None:
        if number not in ordered:
            for key in made[number].waits_for:
                if key in place:
                    add(place[key])
            ordered[number] = made[number]

    for number in range(len(made)):
        add(number)
    return list(ordered.values())
