"""Progress while a launch works: a table on a terminal, plain lines elsewhere."""

import sys
import time
from collections import Counter
from types import TracebackType

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from benchmarks.plan import Plan
from qkd.records.files import printable
from qkd.records.record import readable_name
from qkd.training.loop import Progress
from slurm.local.executor import Event
from slurm.local.schedule import Schedule
from slurm.planning.estimate import Speed, in_words
from slurm.planning.statuses import Status

LINE_SECONDS = 30.0


class Display:
    """Listens to a launch. ``speed``: that of earlier records, until this launch has its own."""

    def __init__(self, plan: Plan, jobs: int, speed: Speed | None) -> None:
        self._plan, self._jobs, self._speed = plan, jobs, speed
        self._console = Console(file=sys.stderr)
        self._running: dict[str, Progress] = {}
        self._began = self._last_line = time.monotonic()
        self._macs_before = 0.0
        self._first: dict[str, float] = {}  # the part of a stage that an earlier launch did
        self.schedule: Schedule | None = None
        self._live: Live | None = None
        if self._console.is_terminal:
            self._live = Live(console=self._console, get_renderable=self._table)

    def __enter__(self) -> "Display":
        if self._live:
            self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._live:
            self._live.stop()

    def watch(self, schedule: Schedule) -> None:
        """Takes note of what is done already."""
        self.schedule = schedule
        self._macs_before = self._macs_done()

    def listen(self, event: Event) -> None:
        """One event of the executor."""
        if event.kind == "progress":
            self._running[event.digest] = event.detail
            self._first.setdefault(event.digest, event.detail.first / event.detail.steps)
            if not self._live and time.monotonic() - self._last_line >= LINE_SECONDS:
                self._last_line = time.monotonic()
                for progress in self._running.values():
                    self._print(f"  {self._name(progress.digest)}: {_where(progress)}")
                self._print(self._summary())
            return
        last = self._running.pop(event.digest, None)
        if event.kind != "done":  # a done stage counts from where this launch began it
            self._first.pop(event.digest, None)
        name = self._name(event.digest)
        if event.kind == "done":
            accuracy = f", held-out top-1 {last.top1:.1f} %" if last and last.top1 else ""
            self._print(f"done   {name}{accuracy} ({self._summary()})")
        elif event.kind == "locked":
            self._print(f"waits  {name}: another launch trains it")
        else:
            self._print(f"{event.kind:6} {name}: {event.detail}")

    def _print(self, line: str) -> None:
        line = printable(line)
        if self._live:
            self._console.print(Text(line))
        else:
            print(line, flush=True)

    def _name(self, digest: str) -> str:
        return readable_name(self._plan.stages[digest].stage.history)

    def _macs_done(self) -> float:
        if self.schedule is None:
            return 0.0
        total = 0.0
        for digest, planned in self._plan.stages.items():
            if self.schedule.status[digest] == Status.DONE:
                total += planned.macs
            elif digest in self._running:
                progress = self._running[digest]
                total += planned.macs * progress.step / progress.steps
        return total

    def _summary(self) -> str:
        assert self.schedule is not None  # noqa: S101 (watch comes first)
        counts = Counter(self.schedule.status.values())
        parts = [f"{counts[Status.DONE]}/{len(self.schedule.status)} stages done"]
        for status in (Status.FAILED, Status.BLOCKED):
            if counts[status]:
                parts.append(f"{counts[status]} {status}")
        left = self._seconds_left()
        if left is not None:
            parts.append(f"{in_words(left)} left")
        return ", ".join(parts)

    def _seconds_left(self) -> float | None:
        """By the speed of this launch so far; at its beginning, by that of the records."""
        assert self.schedule is not None  # noqa: S101 (watch comes first)
        elapsed = time.monotonic() - self._began
        done = self._macs_done()
        hopeless = (Status.FAILED, Status.BLOCKED)
        todo = sum(
            planned.macs
            for digest, planned in self._plan.stages.items()
            if self.schedule.status[digest] not in hopeless
        )
        resumed = sum(self._plan.stages[one].macs * part for one, part in self._first.items())
        here = done - self._macs_before - resumed
        if elapsed > LINE_SECONDS and here > 0:
            return (todo - done) * elapsed / here
        if self._speed is None:
            return None
        return (todo - done) / (self._speed.macs_per_second * self._jobs)

    def _table(self) -> Group:
        table = Table(box=None, pad_edge=False)
        table.add_column("stage", overflow="fold")  # it ends in the seed
        for column in ("step", "images/s", "held-out top-1"):
            table.add_column(column, justify="right")
        statuses = self.schedule.status if self.schedule else {}
        for digest, status in statuses.items():
            if status == Status.RUNNING:
                table.add_row(self._name(digest), *_columns(self._running.get(digest)))
        return Group(table, Text(self._summary() if self.schedule else "starting"))


def _columns(progress: Progress | None) -> tuple[str, str, str]:
    if progress is None:
        return "starting", "", ""
    return (
        f"{progress.step}/{progress.steps}",
        "" if progress.images_per_second is None else f"{progress.images_per_second:.0f}",
        f"{progress.top1:.1f} %" if progress.top1 is not None else "",
    )


def _where(progress: Progress) -> str:
    where = f"step {progress.step}/{progress.steps}"
    if progress.images_per_second is not None:
        where += f", {progress.images_per_second:.0f} images/s"
    if progress.top1 is not None:
        where += f", held-out top-1 {progress.top1:.1f} %"
    return where
