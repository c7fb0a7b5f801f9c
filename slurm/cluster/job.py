"""What runs inside a job: one stage after another, each in a worker of its own process."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import FrameType
from typing import NoReturn

import msgspec
import submitit
from submitit.core.utils import DelayedSubmission
from submitit.helpers import TorchDistributedEnvironment

from qkd.records.record import Record, State, Store, store_of
from qkd.spec import History, Stage
from qkd.spec.history import parents
from qkd.training.runtime import Runtime
from slurm.local.executor import Event, LocalExecutor

PARENT_SECONDS = 60.0
LOCKED_SECONDS = 5.0
TOLD_SECONDS = 60.0
LAST_SECONDS = 3600.0  # more than ranks wait for one another
LOST_WORKERS = 1


class Told(BaseException):
    """SLURM ends this job for now: it is preempted, requeued or cancelled."""


class StageJob:
    """Trains the stages of a unit, in order; what submitit runs, and runs again after a requeue.

    It keeps nothing itself: what is done and how far the rest is stands in the records, so that it
    may be started twice, or again after its end. It succeeds only if every stage is done.

    Args:
        results: the results folder, absolute.
        records: the names of the stages' record folders, each with its stage.json.
        runtime: as for a launch on one machine, its paths absolute.
        lost_nodes: how often it may be started again because its node was lost.
    """

    def __init__(
        self, results: str, records: tuple[str, ...], runtime: Runtime, lost_nodes: int
    ) -> None:
        self.results, self.records = results, records
        self.runtime, self.lost_nodes = runtime, lost_nodes
        self._executor: LocalExecutor | None = None

    def __call__(self) -> None:
        """Exits with 1 where a stage could not be trained."""
        environment = submitit.JobEnvironment()
        self._is_first, self._ranks = environment.global_rank == 0, environment.num_tasks
        if self._ranks > 1:
            _export_ranks(environment)
        if shutil.which("scontrol") is None:
            sys.exit(
                "there is no scontrol on this node, and a job needs it to requeue itself: install "
                "it here, or in the container"
            )
        if self._is_first:  # what a job that was killed while it wrote would stumble over
            for part in environment.paths.folder.glob(f"{environment.job_id}_*.save_tmp"):
                part.unlink()
        store = store_of(Path(self.results))
        records = [Record(store.root / name) for name in self.records]
        self._refuse_if_lost(records, store)
        signal.signal(signal.SIGTERM, _told)
        runtime = msgspec.structs.replace(self.runtime, job=environment.job_id)
        with LocalExecutor(1, Path(self.results), runtime) as executor:
            self._executor = executor
            try:
                undone = [record for record in records if not self._is_trained(record, store)]
            except Told:
                self._stop()
                _wait_for_the_end()
        if undone:
            sys.exit(f"not done: {', '.join(record.path.name for record in undone)}")

    def checkpoint(self) -> DelayedSubmission:
        """Called by submitit on the signal before a time limit or a preemption: saves."""
        self._stop()
        return DelayedSubmission(
            StageJob(self.results, self.records, self.runtime, self.lost_nodes)
        )

    def _stop(self) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # one is enough, and the requeueing's comes
        if submitit.JobEnvironment().global_rank == 0:
            with _told_file().open("a") as file:
                file.write("told to stop\n")
        if self._executor is not None:
            self._executor.stop()

    def _refuse_if_lost(self, records: list[Record], store: Store) -> None:
        """Gives up where the job was started again more often than it was told to stop."""
        starts = int(os.environ.get("SLURM_RESTART_COUNT") or 0)
        told = len(_told_file().read_text().splitlines()) if _told_file().exists() else 0
        if starts - told <= self.lost_nodes or not self._is_first:
            return
        message = (
            f"a node or a rank was lost {starts - told} times, and the profile allows "
            f"lost_nodes = {self.lost_nodes}"
        )
        for record in records:
            ready = all(store.record(h).state() == State.DONE for h in parents(record.stage()))
            if ready and record.state() == State.MISSING:
                record.fail("NodeLost", message)
                break
        sys.exit(message)

    def _is_trained(self, record: Record, store: Store) -> bool:
        """Trains one stage; whether it is done."""
        stage = record.stage()
        for history in parents(stage):
            if not self._is_there(store, history):
                _say(f"{record.path.name} goes on from {store.record(history).path.name}: not done")
                return False
        _say(f"{record.path.name}: begins")
        lost = 0
        while True:
            event = self._outcome(stage)
            _say(f"{record.path.name}: {event.kind} {event.detail}")
            if event.kind == "stopped":
                raise Told
            if event.kind == "locked":
                time.sleep(LOCKED_SECONDS)
            elif event.kind == "lost" and self._ranks > 1:
                self._start_again()
            elif event.kind == "lost" and lost < LOST_WORKERS:
                lost += 1
            elif event.kind == "lost":
                if self._is_first and record.state() != State.DONE:
                    record.fail("WorkerLost", str(event.detail))
                return record.state() == State.DONE
            else:
                return event.kind == "done"

    def _is_there(self, store: Store, history: History) -> bool:
        """Whether a parent is done; a shared file system may show it only after a while."""
        deadline = time.monotonic() + PARENT_SECONDS
        while store.record(history).state() != State.DONE:
            ours = store.record(history).path.name in self.records
            if ours or time.monotonic() >= deadline:
                return False
            time.sleep(1.0)
            store.refresh()
        return True

    def _start_again(self) -> NoReturn:
        """Requeues the job: where one rank is lost, all must start again together."""
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # the requeueing's: nobody was told to save
        if self._is_first:
            job = submitit.JobEnvironment().job_id
            subprocess.run(["scontrol", "requeue", job], check=True)  # noqa: S603, S607 (our own id)
        _wait_for_the_end()

    def _outcome(self, stage: Stage) -> Event:
        """Has the worker train the stage; what came of it. Progress is told once a minute."""
        executor, told = self._executor, time.monotonic()
        assert executor is not None  # noqa: S101 (a stage is trained while there is one)
        executor.submit(stage)
        while True:
            for event in executor.events(1.0):
                if event.kind != "progress":
                    return event
                if time.monotonic() - told >= TOLD_SECONDS:
                    told = time.monotonic()
                    step, steps, speed = event.detail[1:4]
                    _say(f"  step {step} of {steps}, {speed:.0f} images/s")


class ReportJob:
    """Writes the report from the records that are there when it runs."""

    def __init__(self, results: str, report: str) -> None:
        self.results, self.report = results, report

    def __call__(self) -> None:
        """Raises CalledProcessError where the report cannot be written."""
        told = {"QKD_RESULTS": self.results, "QKD_REPORT": self.report}
        kept = {name: value for name, value in os.environ.items() if not name.startswith("QKD_")}
        command = [sys.executable, "-m", "report"]
        subprocess.run(command, env={**kept, **told}, check=True)  # noqa: S603 (fixed command)


def _told_file() -> Path:
    """A line for each time that this job was told to stop."""
    environment = submitit.JobEnvironment()
    return Path(environment.paths.folder) / f"{environment.job_id}.told"


def _told(_number: int, _frame: FrameType | None) -> None:
    raise Told


def _export_ranks(environment: submitit.JobEnvironment) -> None:
    """Torchrun's variables, by which the ranks find one another."""
    TorchDistributedEnvironment().export(set_cuda_visible_devices=False, overwrite=True)
    if environment.num_nodes == 1:  # needs no name that resolves
        os.environ["MASTER_ADDR"] = "127.0.0.1"


def _wait_for_the_end() -> NoReturn:
    """SLURM, which has told the job to stop, decides what comes next."""
    time.sleep(LAST_SECONDS)
    sys.exit(f"SLURM told this job to stop and did not end it within {LAST_SECONDS:.0f} s")


def _say(line: str) -> None:
    print(time.strftime("%H:%M:%S"), line, flush=True)
