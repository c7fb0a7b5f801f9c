"""What one job trains: a stage, or by PACK= several that go on from one another (torch-free)."""

from collections.abc import Sequence
from typing import NamedTuple

from benchmarks.plan import Plan
from qkd.history import continues


class Unit(NamedTuple):
    """The stages of one job, in order, and the stages elsewhere that they wait for."""

    stages: tuple[str, ...]
    waits_for: tuple[str, ...]


def units(plan: Plan, todo: Sequence[str], pack: int = 1) -> list[Unit]:
    """The stages of ``todo`` (parents first) in units of at most ``pack``, parents first.

    A unit walks a branch: stages that go on with the same student, a parent before its children.
    Small branches that wait for the same stages share a unit.
    """
    branches = _branches(plan, todo)
    pieces = [branch[i : i + pack] for branch in branches for i in range(0, len(branch), pack)]
    found: list[list[str]] = []
    filling: dict[tuple[str, ...], list[str]] = {}
    whole = {branch[0] for branch in branches if len(branch) < pack}
    for piece in pieces:
        awaited = _waits_for(plan, piece)
        room = filling.get(awaited) if piece[0] in whole else None
        if room is not None and len(room) + len(piece) <= pack:
            room.extend(piece)
            continue
        found.append(piece)
        if piece[0] in whole:
            filling[awaited] = piece
    made = [Unit(tuple(piece), _waits_for(plan, piece)) for piece in found]
    return _parents_first(made)


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
