"""Long-lived worker processes on this machine: the executor behind `slurm.launch`."""

import contextlib
import gc
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, Literal, NamedTuple

import msgspec

from qkd.records.record import Store, store_of
from qkd.spec import Stage
from qkd.spec.value import decode, encode
from qkd.training.portable import VARIABLES, NotPortable, obstacles
from qkd.training.runtime import ALLOCATOR, Runtime, starting_with

STOP_SECONDS = 60.0


class Event(NamedTuple):
    """What a worker says of a stage: ``detail`` is a Progress, or a text."""

    kind: Literal["progress", "done", "failed", "locked", "stopped", "lost"]
    digest: str
    detail: Any = None


@dataclass
class _Worker:
    process: BaseProcess
    pipe: Connection
    digest: str | None = None


class LocalExecutor:
    """``jobs`` processes, each training one stage after another.

    Workers die with their launcher, however it dies. Used as a context: leaving it stops them.
    """

    def __init__(self, jobs: int, results: Path, runtime: Runtime) -> None:
        self._context = multiprocessing.get_context("spawn")
        self._results = results
        self._runtime = runtime = _settled(runtime)
        self._variables = {**ALLOCATOR, **(VARIABLES if runtime.portable else {})}
        with starting_with(self._variables):
            self._workers = [self._start(index) for index in range(jobs)]

    def __enter__(self) -> "LocalExecutor":
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def has_room(self) -> bool:
        """Whether a worker is idle."""
        return any(worker.digest is None for worker in self._workers)

    def submit(self, stage: Stage) -> None:
        """Gives the stage to an idle worker. Raises RuntimeError where there is none."""
        worker = next((worker for worker in self._workers if worker.digest is None), None)
        if worker is None:
            raise RuntimeError("every worker is busy")
        worker.digest = stage.history.digest
        with contextlib.suppress(OSError):  # it died idle: the next events say that it is lost
            worker.pipe.send(encode(stage))

    def events(self, seconds: float) -> list[Event]:
        """What happened within ``seconds``; returns as soon as there is something."""
        found: list[Event] = []
        ready = set(wait([worker.pipe for worker in self._workers], timeout=seconds))
        for index, worker in enumerate(self._workers):
            if worker.pipe in ready:
                found += self._read(index, worker)
        return found

    def _read(self, index: int, worker: _Worker) -> list[Event]:
        found = []
        try:
            while worker.pipe.poll():
                event = Event(*worker.pipe.recv())
                found.append(event)
                if event.kind != "progress":
                    worker.digest = None
        except (EOFError, OSError):
            worker.process.join()
            if worker.digest is not None:
                found.append(Event("lost", worker.digest, _death(worker.process.exitcode)))
            with starting_with(self._variables):
                self._workers[index] = self._start(index)
        return found

    def stop(self) -> None:
        """Asks the workers to save and stop; those that do not in time are killed."""
        for worker in self._workers:
            if worker.process.is_alive():
                worker.process.terminate()
        deadline = time.monotonic() + STOP_SECONDS
        for worker in self._workers:
            worker.process.join(max(0.0, deadline - time.monotonic()))
            if worker.process.is_alive():
                worker.process.kill()
                worker.process.join()
            worker.pipe.close()

    def _start(self, index: int) -> _Worker:
        ours, theirs = self._context.Pipe()
        runtime = msgspec.structs.replace(self._runtime, device_index=index)
        # No daemon: it may have processes of its own, which decode images.
        process = self._context.Process(
            target=_work, args=(theirs, str(self._results), encode(runtime)), daemon=False
        )
        process.start()
        theirs.close()
        return _Worker(process, ours)


def _settled(runtime: Runtime) -> Runtime:
    """With PORTABLE=1 where that was left open and can hold here: on a cluster's node, say."""
    if runtime.portable is not None:
        return runtime
    found = obstacles(runtime.threads, runtime.compile, runtime.device == "cpu")
    return msgspec.structs.replace(runtime, portable=next(found, None) is None)


def _death(exit_code: int | None) -> str:
    if exit_code is not None and exit_code < 0:
        name = signal.Signals(-exit_code).name
        return f"its worker was killed by {name} (out of memory? fewer JOBS, then make retry)"
    return f"its worker ended with exit code {exit_code}"


class _Leave(BaseException):
    """An idle worker is asked to stop."""


def _work(pipe: Connection, results: str, runtime_text: bytes) -> None:
    """A worker's life: stages come, events go."""
    _die_with_launcher()
    busy, stopping = threading.Event(), threading.Event()

    def stop(*_: object) -> None:
        stopping.set()
        if not busy.is_set():
            raise _Leave

    # The launcher decides what Ctrl-C means, and SLURM's warning before a job's end.
    for number in (signal.SIGINT, signal.SIGUSR2):
        signal.signal(number, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, stop)
    try:
        from qkd.training.loop import Progress  # torch: not before the signals are in place

        gc.freeze()  # what was imported stays: a collection need not look at it again and again
        runtime = decode(runtime_text, Runtime)
        store = store_of(Path(results))

        def tell(progress: Progress) -> None:
            pipe.send(("progress", progress.digest, progress))

        while not stopping.is_set():
            stage = decode(pipe.recv(), Stage)
            busy.set()
            pipe.send(_train(stage, store, runtime, tell, stopping.is_set))
            busy.clear()
    except (_Leave, EOFError):
        pass


def _train(
    stage: Stage,
    store: Store,
    runtime: Runtime,
    tell: Callable[[Any], None],
    should_stop: Callable[[], bool],
) -> tuple[str, str, str]:
    from qkd.records.code import CodeChanged
    from qkd.records.lock import Locked, LockLost
    from qkd.train import StageFailed, run_stage
    from qkd.training.begin import ParentMissing
    from qkd.training.distributed import RankLost, RanksApart
    from qkd.training.loop import Stopped

    digest = stage.history.digest
    kinds = {
        StageFailed: "failed",
        Locked: "locked",
        LockLost: "locked",
        Stopped: "stopped",
        RankLost: "lost",
        RanksApart: "lost",
    }
    try:
        run_stage(stage, store, runtime, tell, should_stop)
    except tuple(kinds) as error:
        return kinds[type(error)], digest, str(error)
    except ParentMissing as error:  # done when the launch looked, and gone since
        store.record_to_write(stage.history).fail("ParentMissing", str(error))
        return "failed", digest, str(error)
    except (NotPortable, CodeChanged) as error:  # nothing was begun, and nothing is noted of it
        return "failed", digest, str(error)
    except OSError as error:  # no record could even be begun, or locked
        return "failed", digest, f"{store.record_to_write(stage.history).path}: {error}"
    return "done", digest, ""


def _die_with_launcher() -> None:
    """Ends this process when its launcher is gone, however that happened."""
    launcher = multiprocessing.parent_process()
    assert launcher is not None  # noqa: S101 (a worker is always started by one)

    def watch() -> None:
        wait([launcher.sentinel])
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
