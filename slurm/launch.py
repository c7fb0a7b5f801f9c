"""The one door to running: python -m slurm.launch COMMAND, with the variables in QKD_*.

The commands stand at the end of this file; `make help` explains them.
"""

import signal
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from benchmarks.settings import Settings, SettingsError, from_environment
from qkd.imports import load_file
from qkd.records.files import printable
from qkd.records.record import STAGES
from qkd.spec.value import digest
from slurm.cluster.queue import QueueUnknown
from slurm.cluster.standing import by_records
from slurm.cluster.table import show
from slurm.doctor.examine import examine
from slurm.local.schedule import Schedule
from slurm.local.workers import workers
from slurm.planning import disk
from slurm.planning.cleaning import clean_checkpoints, clean_data, clean_records, retry
from slurm.planning.estimate import A100, gpu_hours, in_words, speed_of
from slurm.planning.launches import Launch, note, now, taken
from slurm.planning.matrices import is_file, remember
from slurm.planning.statuses import Status, statuses
from slurm.planning.work import Work, prepare, read_data, reason_of, runtime_of

SUCCESS, FAILURE, USAGE, INTERRUPTED = 0, 1, 2, 130


def run(work: Work) -> int:
    """Trains what is missing. Returns an exit code: 1 where a stage failed or is blocked."""
    settings = work.settings
    if settings.dry_run:
        return show_plan(work)
    remember(work.matrix, settings.results)
    before = statuses(work.plan, work.store)
    if all(status == Status.DONE for status in before.values()):
        print(f"{work.matrix.name} at {settings.scale}: all {len(before)} stages are done")
        return SUCCESS
    reasons: dict[str, str] = {}
    if any(s not in (Status.DONE, Status.FAILED, Status.BLOCKED) for s in before.values()):
        schedule = _train(work)
        before, reasons = schedule.status, schedule.reasons
    return _conclude(work, before, reasons)


def _train(work: Work) -> Schedule:
    from slurm.local.display import Display  # torch, only where it is needed
    from slurm.local.executor import LocalExecutor

    settings, began = work.settings, time.monotonic()
    fresh = not any(_has_begun(work, key) for key in _own(work))
    read_data(work)
    _build_networks(work)
    show_plan(work)
    jobs = workers(settings)
    (settings.results / STAGES).mkdir(parents=True, exist_ok=True)
    speed = speed_of(work.plan, work.store)
    with (
        Display(work.plan, jobs, speed) as display,
        LocalExecutor(jobs, settings.results, runtime_of(settings)) as executor,
    ):
        schedule = Schedule(work.plan, work.store, executor, display.listen)
        display.watch(schedule)
        schedule.run()
        _note(work, schedule, jobs, time.monotonic() - began, fresh)
    return schedule


def _own(work: Work) -> set[str]:
    """The stages of the whole matrix but those of the networks that it begins with."""
    return {key for key, planned in work.whole.stages.items() if planned.parents}


def _has_begun(work: Work, key: str) -> bool:
    record = work.store.record(work.whole.stages[key].stage.history)
    return record.result_file.exists() or record.checkpoint_file.exists()


def _note(work: Work, schedule: Schedule, jobs: int, seconds: float, fresh: bool) -> None:
    """What the launch took, for `make speed`."""
    training, proof = taken(work.plan, work.store, schedule.trained)
    launch = Launch(
        matrix=work.matrix.name, scale=work.settings.scale, time=now(), workers=jobs,
        stages=len(schedule.trained), whole=fresh and _own(work) <= schedule.trained,
        wall_seconds=seconds, training_seconds=training, proof_seconds=proof,
    )  # fmt: skip
    note(work.settings.results, launch)


def _build_networks(work: Work) -> None:
    """Builds every student and teacher once, quantized as it will be and with the ready weights
    that are still to be taken in: a network that cannot be built or traced, or whose weights do not
    fit, is found before anything is trained. Raises ValueError, naming it."""
    import torch

    from qkd.training.begin import build
    from qkd.weights.reading import fill

    found = statuses(work.plan, work.store)
    learners = {
        digest(learner): (learner, found[planned.digest])
        for planned in work.plan.stages.values()
        for learner in (planned.stage.history.student, planned.stage.history.teacher)
        if learner is not None
    }
    for learner, status in learners.values():
        try:
            network = build(learner, 0, "check", torch.device("cpu"))
            if learner.weights is not None and status != Status.DONE:
                fill(network, learner.weights, work.settings.data)
        except Exception as error:
            raise ValueError(f"the network {learner.network.name}: {error}") from error


def _conclude(work: Work, found: dict[str, Status], reasons: dict[str, str]) -> int:
    counts = Counter(found.values())
    words = ", ".join(f"{counts[status]} {status}" for status in Status if counts[status])
    print(f"{work.matrix.name} at {work.settings.scale}: {words}")
    for key, status in found.items():
        if status == Status.FAILED:
            record = work.record(key)
            reason = reason_of(record) or reasons.get(key, "")
            print(printable(f"failed {record.path.name}: {reason} (see {record.log_file})"))
    if counts[Status.FAILED] or counts[Status.BLOCKED]:
        print("Clear failures with: make retry (same variables), then run again")
        return FAILURE
    return SUCCESS


def show_plan(work: Work) -> int:
    """What would run, and what it costs with and without sharing."""
    found = statuses(work.plan, work.store)
    todo = [p for key, p in work.plan.stages.items() if found[key] != Status.DONE]
    speed = speed_of(work.plan, work.store)
    title = printable(f"{work.matrix.label.title} (SCALE={work.settings.scale})")
    table = Table(title=Text(title))
    for name in ("phase", "stages", "done", "steps to do", "share of the cost"):
        table.add_column(name, justify="left" if name == "phase" else "right")
    phases: dict[str, list[str]] = {}
    for key, planned in work.plan.stages.items():
        phases.setdefault(planned.stage.label, []).append(key)
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
    print(
        f"on one {A100.name}: {gpu_hours(work.plan.macs):.3g} hours, without sharing "
        f"{gpu_hours(work.plan.unshared_macs):.3g} (supposed: {100 * A100.utilisation:.0f} % of "
        "its peak in float32)"
    )
    print(printable(disk.in_words(work)))
    if work.settings.cluster:
        return SUCCESS  # how long that takes there, its queue decides
    jobs = workers(work.settings)
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
    show(work, by_records(work))
    return SUCCESS


def _on_cluster(command: str, work: Work) -> int:
    """The commands that differ where CLUSTER= is given."""
    from slurm.cluster import remote  # submitit, which other commands do not need

    if command == "run" and work.settings.dry_run:
        return show_plan(work) or remote.dry_run(work)
    on_cluster = {
        "run": remote.submit,
        "status": remote.show_status,
        "retry": remote.retry,
        "cancel": remote.cancel_jobs,
    }
    return on_cluster.get(command, COMMANDS[command])(work)


def export_stage(settings: Settings) -> int:
    """Writes a done stage's networks in forms that others read. Returns an exit code."""
    if not settings.stage:
        raise SettingsError(
            "make export STAGE=...: a stage's digest, or its record's name or folder"
        )
    from qkd.export.stage import export, tell  # torch, which other commands do not need

    if is_file(settings.matrix):
        load_file(Path(settings.matrix))
    return tell(export(settings.results, settings.stage, settings.data))


def cancel(_work: Work) -> int:
    """There is nothing to cancel on one machine."""
    raise SettingsError("make cancel needs CLUSTER=...: on one machine, stop the launch by Ctrl-C")


COMMANDS: dict[str, Callable[[Work], int]] = {
    "run": run,
    "plan": show_plan,
    "status": show_status,
    "retry": retry,
    "cancel": cancel,
    "clean-checkpoints": clean_checkpoints,
}
WITHOUT_MATRIX: dict[str, Callable[[Settings], int]] = {
    "export": export_stage,
    "doctor": examine,
    "clean-data": clean_data,
    "clean-records": clean_records,
}


def _as_ctrl_c(*_: object) -> None:
    raise KeyboardInterrupt


def main(arguments: list[str]) -> int:
    """Runs a command; returns its exit code."""
    signal.signal(signal.SIGTERM, _as_ctrl_c)
    commands = (*COMMANDS, *WITHOUT_MATRIX)
    if len(arguments) != 1 or arguments[0] not in commands:
        print(f"usage: python -m slurm.launch {'|'.join(commands)}", file=sys.stderr)
        return USAGE
    try:
        settings = from_environment()
        if arguments[0] in WITHOUT_MATRIX:
            return WITHOUT_MATRIX[arguments[0]](settings)
        if settings.pack > 1 and not settings.cluster:
            raise SettingsError("PACK= is the stages of one job of a cluster: give CLUSTER= too")
        work = prepare(settings, unread=arguments[0] == "plan")
        if settings.cluster:
            return _on_cluster(arguments[0], work)
        return COMMANDS[arguments[0]](work)
    except (ValueError, OSError, QueueUnknown) as error:
        print(printable(f"error: {error}"), file=sys.stderr)
        return USAGE
    except KeyboardInterrupt:
        print("\nstopped; the same command goes on from here", file=sys.stderr)
        return INTERRUPTED


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
