"""The one door to running: python -m slurm.launch COMMAND, with the variables in QKD_*.

The commands stand at the end of this file; `make help` explains them.
"""

import os
import sys
from collections import Counter
from collections.abc import Callable
from typing import NamedTuple

from rich.console import Console
from rich.table import Table
from rich.text import Text

from benchmarks.matrix import Matrix, select
from benchmarks.plan import Plan, plan
from benchmarks.settings import Settings, from_environment
from qkd.record import State, Store, readable_name, store_of
from qkd.runtime import Runtime
from slurm.cleaning import clean_data, clean_records
from slurm.doctor import examine
from slurm.estimate import in_words, speed_of
from slurm.matrices import build, is_file, remember
from slurm.schedule import Schedule, Status, statuses

SUCCESS, FAILURE, USAGE, INTERRUPTED = 0, 1, 2, 130


class Work(NamedTuple):
    """A matrix with its plan and the records."""

    settings: Settings
    matrix: Matrix
    plan: Plan
    store: Store


def prepare(settings: Settings) -> Work:
    """What the settings ask for. Raises ValueError for what cannot be."""
    matrix = build(settings)
    cells = list(matrix.cells())
    chosen = plan(cells, select(cells, settings.only))
    return Work(settings, matrix, chosen, store_of(settings.results))


def run(work: Work) -> int:
    """Trains what is missing. Returns an exit code: 1 where a stage failed or is blocked."""
    settings = work.settings
    remember(work.matrix, settings.results)
    before = statuses(work.plan, work.store)
    if all(status == Status.DONE for status in before.values()):
        print(f"{work.matrix.name} at {settings.scale}: all {len(before)} stages are done")
        return SUCCESS
    if any(s not in (Status.DONE, Status.FAILED, Status.BLOCKED) for s in before.values()):
        before = _train(work)
    return _conclude(work, before)


def _train(work: Work) -> dict[str, Status]:
    from qkd.data.cache import load  # what takes seconds to import, only where it is needed
    from slurm.display import Display
    from slurm.local import LocalExecutor

    settings = work.settings
    for grid in work.matrix.grids:
        load(grid.pair.data, settings.data)
    show_plan(work)
    jobs = settings.jobs or _default_jobs(settings.threads)
    runtime = Runtime(
        data=str(settings.data),
        threads=settings.threads,
        matrix_file=settings.matrix if is_file(settings.matrix) else "",
    )
    (settings.results / "stages").mkdir(parents=True, exist_ok=True)
    speed = speed_of(work.plan, work.store, settings.scale)
    with (
        Display(work.plan, jobs, speed) as display,
        LocalExecutor(jobs, settings.results, runtime) as executor,
    ):
        schedule = Schedule(work.plan, work.store, executor, display.listen)
        display.watch(schedule)
        schedule.run()
    return schedule.status


def _default_jobs(threads: int) -> int:
    """One worker for each GPU, else one for each core."""
    import torch

    if torch.cuda.is_available():
        return torch.cuda.device_count()
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return max(1, (cores or 1) // threads)


def _conclude(work: Work, found: dict[str, Status]) -> int:
    counts = Counter(found.values())
    words = ", ".join(f"{counts[status]} {status}" for status in Status if counts[status])
    print(f"{work.matrix.name} at {work.settings.scale}: {words}")
    for digest, status in found.items():
        if status == Status.FAILED:
            _show_failure(work, digest)
    if counts[Status.FAILED] or counts[Status.BLOCKED]:
        print("Clear failures with: make retry (same variables), then run again")
        return FAILURE
    return SUCCESS


def _show_failure(work: Work, digest: str) -> None:
    record = work.store.record(work.plan.stages[digest].stage.history)
    try:
        message = record.read_json(record.failed_file).get("message", "")
    except ValueError as error:
        message = error
    print(f"failed {record.path.name}: {message} (more in {record.log_file})")


def show_plan(work: Work) -> int:
    """What would run, and what it costs with and without sharing."""
    found = statuses(work.plan, work.store)
    todo = [p for key, p in work.plan.stages.items() if found[key] != Status.DONE]
    speed = speed_of(work.plan, work.store, work.settings.scale)
    table = Table(title=f"{work.matrix.label.title} (SCALE={work.settings.scale})")
    for name in ("phase", "stages", "done", "steps to do", "share of the cost"):
        table.add_column(name, justify="left" if name == "phase" else "right")
    phases: dict[str, list[str]] = {}
    for key, planned in work.plan.stages.items():
        phases.setdefault(planned.stage.history.parts[-1].phase.name, []).append(key)
    total = work.plan.macs or 1
    for phase, keys in phases.items():
        members = [work.plan.stages[key] for key in keys]
        done = sum(found[key] == Status.DONE for key in keys)
        steps = sum(p.stage.steps for p in members if found[p.digest] != Status.DONE)
        share = sum(p.macs for p in members) / total
        table.add_row(phase, str(len(keys)), str(done), f"{steps:,}", f"{100 * share:.0f} %")
    Console().print(table)
    macs = sum(planned.macs for planned in todo)
    print(f"cells: {len(work.plan.cell_stages)}; stages: {len(found)}, to do: {len(todo)}")
    print(
        f"cost with sharing: {work.plan.macs:.3g} multiply-accumulates, "
        f"without: {work.plan.unshared_macs:.3g} (sharing saves "
        f"{100 * (1 - work.plan.macs / (work.plan.unshared_macs or 1)):.0f} %)"
    )
    jobs = work.settings.jobs or _cores(work.settings.threads)
    if not todo:
        print("time: nothing to do")
    elif speed is None:
        print("time: unknown until a first stage has run here")
    else:
        seconds = macs / speed.macs_per_second / jobs
        print(f"time: about {in_words(seconds)} with {jobs} workers, by {speed.source}")
    return SUCCESS


def show_status(work: Work) -> int:
    """What is done, running, missing, failed and blocked."""
    found = statuses(work.plan, work.store)
    counts = Counter(found.values())
    for status in Status:
        if counts[status]:
            print(f"{counts[status]:5d} {status}")
    table = Table("stage", "status", "detail")
    for key, status in found.items():
        if status not in (Status.DONE, Status.MISSING):
            record = work.store.record(work.plan.stages[key].stage.history)
            detail = ""
            if status == Status.FAILED:
                detail = str(record.read_json(record.failed_file).get("message", ""))
            table.add_row(Text(record.path.name), status, Text(detail))
    if table.row_count:
        Console().print(table)
    return SUCCESS


def retry(work: Work) -> int:
    """Clears failures, so that the next run tries those stages again."""
    cleared = 0
    for planned in work.plan.stages.values():
        record = work.store.record(planned.stage.history)
        if record.state() == State.FAILED:
            record.failed_file.unlink()
            print(f"cleared {record.path.name}")
            cleared += 1
    print(f"{cleared} failures cleared; run again to train them")
    return SUCCESS


def clean_checkpoints(work: Work) -> int:
    """Removes the checkpoints whose planned children are all done; a stage whose weights are
    needed after all is trained again."""
    children: dict[str, list[str]] = {key: [] for key in work.plan.stages}
    for key, planned in work.plan.stages.items():
        for parent in planned.parents:
            children[parent].append(key)
    found = statuses(work.plan, work.store)
    freed = 0
    for key, planned in work.plan.stages.items():
        record = work.store.record(planned.stage.history)
        finished = all(found[k] == Status.DONE for k in (key, *children[key]))
        ours = record.path.parent == work.store.root
        if finished and ours and record.checkpoint_file.exists():
            freed += record.checkpoint_file.stat().st_size
            record.checkpoint_file.unlink()
            print(f"removed the checkpoint of {readable_name(planned.stage.history)}")
    print(f"{freed / 2**20:.1f} MiB freed")
    return SUCCESS


def _cores(threads: int) -> int:
    return max(1, (os.cpu_count() or 1) // threads)


COMMANDS: dict[str, Callable[[Work], int]] = {
    "run": run,
    "plan": show_plan,
    "status": show_status,
    "retry": retry,
    "clean-checkpoints": clean_checkpoints,
}
WITHOUT_MATRIX: dict[str, Callable[[Settings], int]] = {
    "doctor": examine,
    "clean-data": clean_data,
    "clean-records": clean_records,
}


def main(arguments: list[str]) -> int:
    """Runs a command; returns its exit code."""
    commands = (*COMMANDS, *WITHOUT_MATRIX)
    if len(arguments) != 1 or arguments[0] not in commands:
        print(f"usage: python -m slurm.launch {'|'.join(commands)}", file=sys.stderr)
        return USAGE
    try:
        settings = from_environment()
        if arguments[0] in WITHOUT_MATRIX:
            return WITHOUT_MATRIX[arguments[0]](settings)
        return COMMANDS[arguments[0]](prepare(settings))
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return USAGE
    except KeyboardInterrupt:
        print("\nstopped; the same command goes on from here", file=sys.stderr)
        return INTERRUPTED


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
