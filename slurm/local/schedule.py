"""Starts each stage when its parents are done, until nothing more can be started."""

import contextlib
import time
from collections import Counter
from collections.abc import Callable
from typing import Protocol

from benchmarks.plan import Plan, Planned
from qkd.records.record import Record, State, Store
from qkd.spec import Stage
from slurm.local.executor import Event
from slurm.planning.statuses import Status, is_stuck, is_unproven, statuses, weights_of

POLL_SECONDS = 1.0
LOST_RETRIES = 1


class Executor(Protocol):
    """Where stages run."""

    @property
    def has_room(self) -> bool:
        """Whether another stage can be submitted."""

    def submit(self, stage: Stage) -> None:
        """Starts the stage."""

    def events(self, seconds: float) -> list[Event]:
        """What happened within ``seconds``."""


def _urgency(plan: Plan) -> dict[str, int]:
    """For each stage the cost of the longest path from it: starting the longest first leaves no
    worker idle at the end."""
    urgency = {digest: planned.macs for digest, planned in plan.stages.items()}
    for digest, planned in reversed(plan.stages.items()):
        for parent in planned.parents:
            longer = plan.stages[parent].macs + urgency[digest]
            urgency[parent] = max(urgency[parent], longer)
    return urgency


class Schedule:
    """One launch of a plan."""

    def __init__(
        self, plan: Plan, store: Store, executor: Executor, listen: Callable[[Event], None]
    ) -> None:
        self._plan, self._store, self._executor, self._listen = plan, store, executor, listen
        self.status = statuses(plan, store)
        self._trained_before: set[str] = set()
        self.reasons: dict[str, str] = {}
        self.trained: set[str] = set()
        self._lost: Counter[str] = Counter()
        self._not_before: dict[str, float] = {}
        self._order = sorted(plan.stages, key=_urgency(plan).__getitem__, reverse=True)

    def run(self) -> None:
        """Until every stage is done, failed or blocked."""
        while self._open():
            self._start_ready()
            for event in self._executor.events(POLL_SECONDS):
                self._take(event)
                self._listen(event)
            self._look_elsewhere()
            self._block()

    def _open(self) -> bool:
        going_on = (Status.MISSING, Status.UNPROVEN, Status.RUNNING, Status.ELSEWHERE)
        return any(status in going_on for status in self.status.values())

    def _start_ready(self) -> None:
        now = time.monotonic()
        for digest in self._order:
            if not self._executor.has_room:
                return
            planned = self._plan.stages[digest]
            ready = all(self.status[parent] == Status.DONE for parent in planned.parents)
            late_enough = self._not_before.get(digest, 0.0) <= now
            unproven = self.status[digest] == Status.UNPROVEN
            ready = unproven or (self.status[digest] == Status.MISSING and ready)
            if ready and late_enough:
                if unproven:
                    self._trained_before.add(digest)
                self._executor.submit(planned.stage)
                self.status[digest] = Status.RUNNING

    def _take(self, event: Event) -> None:
        if event.kind == "done":
            self._store.refresh()
            self.status[event.digest] = Status.DONE
            if event.digest not in self._trained_before:
                self.trained.add(event.digest)
        elif event.kind == "failed":
            self._fail(event)
        elif event.kind == "lost":
            self._lost[event.digest] += 1
            if self._lost[event.digest] > LOST_RETRIES:
                self._lose(event)
            else:
                self.status[event.digest] = Status.MISSING
        elif event.kind in ("locked", "stopped"):
            self._not_before[event.digest] = time.monotonic() + POLL_SECONDS
            self.status[event.digest] = Status.MISSING

    def _fail(self, event: Event) -> None:
        self.status[event.digest] = Status.FAILED
        self.reasons[event.digest] = str(event.detail)

    def _lose(self, event: Event) -> None:
        """A second worker is lost: the stage fails, unless the worker died after its end."""
        self._store.refresh()
        history = self._plan.stages[event.digest].stage.history
        if self._store.record(history).state() == State.DONE:
            self.status[event.digest] = Status.DONE
            return
        with contextlib.suppress(OSError):
            self._store.record_to_write(history).fail("WorkerLost", str(event.detail))
        self._fail(event)

    def _block(self) -> None:
        """Blocks the stages that go on from a failed one."""
        for digest, planned in self._plan.stages.items():
            if self.status[digest] == Status.MISSING and is_stuck(planned, self.status):
                self.status[digest] = Status.BLOCKED

    def _look_elsewhere(self) -> None:
        """Notices what another launch trains, finished or failed."""
        for digest, status in self.status.items():
            if status not in (Status.ELSEWHERE, Status.MISSING):
                continue
            state = self._record(digest).state()
            if state == State.FAILED:
                self.status[digest] = Status.FAILED
            elif state == State.RUNNING:
                self.status[digest] = Status.ELSEWHERE
            elif status == Status.ELSEWHERE:
                self.status[digest] = self._after(self._plan.stages[digest], state)

    def _after(self, planned: Planned, state: State) -> Status:
        """What a stage has come to that another launch was at work on."""
        if state != State.DONE or not weights_of(planned, self._store):
            return Status.MISSING
        return Status.UNPROVEN if is_unproven(planned, self._store) else Status.DONE

    def _record(self, digest: str) -> Record:
        return self._store.record(self._plan.stages[digest].stage.history)
