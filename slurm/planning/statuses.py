"""The status of every stage of a plan, read off the records (torch-free)."""

from enum import StrEnum
from functools import cache

from benchmarks.plan import Plan, Planned
from qkd.records.record import State, Store


class Status(StrEnum):
    """What a launch knows of a stage."""

    DONE = "done"
    RUNNING = "running"
    ELSEWHERE = "running elsewhere"
    PENDING = "pending"
    HELD = "held"
    UNSEEN = "unseen"
    UNPROVEN = "unproven"
    MISSING = "missing"
    FAILED = "failed"
    BLOCKED = "blocked"
    CHANGED = "changed"


def statuses(plan: Plan, store: Store) -> dict[str, Status]:
    """The status of every stage of the plan, read off the records; parents stand first.

    Unproven is one that is done, but without the integer proof that a cell which ends in it needs.
    """
    words = {
        State.DONE: Status.DONE,
        State.FAILED: Status.FAILED,
        State.RUNNING: Status.ELSEWHERE,
        State.MISSING: Status.MISSING,
    }
    states = store.states(planned.stage.history for planned in plan.stages.values())
    found = {key: words[state] for key, state in zip(plan.stages, states, strict=True)}
    _without_weights(plan, store, found)
    for digest, planned in plan.stages.items():
        if found[digest] == Status.MISSING and is_stuck(planned, found):
            found[digest] = Status.BLOCKED
        if found[digest] == Status.DONE and is_unproven(planned, store):
            found[digest] = Status.UNPROVEN
    return found


def is_unproven(planned: Planned, store: Store) -> bool:
    """Whether a cell ends in a stage that was done where none did, and can still be proven."""
    return planned.is_end and store.lacks_proof(planned.stage.history)


def is_stuck(planned: Planned, found: dict[str, Status]) -> bool:
    """Whether a stage that it goes on from failed, or is blocked itself."""
    return any(found[parent] in (Status.FAILED, Status.BLOCKED) for parent in planned.parents)


def _without_weights(plan: Plan, store: Store, found: dict[str, Status]) -> None:
    """A stage that is done but lost its weights is missing where a child still needs them."""
    has_weights = cache(lambda parent: weights_of(plan.stages[parent], store))
    for planned in reversed(list(plan.stages.values())):
        if found[planned.digest] in (Status.DONE, Status.FAILED):
            continue
        for parent in planned.parents:
            if found[parent] == Status.DONE and not has_weights(parent):
                found[parent] = Status.MISSING


def weights_of(planned: Planned, store: Store) -> bool:
    """Whether the record of a stage still has its checkpoint."""
    return store.record(planned.stage.history).checkpoint_file.exists()
