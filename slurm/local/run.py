"""A launch on this machine: what is missing is trained, and what it took is noted."""

import time
from collections import Counter

from qkd.records.files import printable
from qkd.records.launches import Launch, note, now
from qkd.records.record import STAGES
from slurm.local.schedule import Schedule
from slurm.planning.changes import require_settled
from slurm.planning.estimate import speed_of
from slurm.planning.kept import kept
from slurm.planning.matrices import remember
from slurm.planning.show import show_plan
from slurm.planning.statuses import Status, statuses
from slurm.planning.trials import try_networks
from slurm.planning.work import Work, read_data, reason_of, runtime_of
from slurm.planning.workers import workers

SUCCESS, FAILURE = 0, 1


def run(work: Work) -> int:
    """Trains what is missing. Returns an exit code: 1 where a stage failed or is blocked.

    Raises CodeChanged, before anything is begun, where a user's code is not what stages used.
    """
    settings = work.settings
    if settings.dry_run:
        show_plan(work)
        return SUCCESS
    require_settled(work)
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
    try_networks(work)
    show_plan(work)
    jobs = workers(settings)
    (settings.results / STAGES).mkdir(parents=True, exist_ok=True)
    speed = speed_of(work.plan, work.store)
    runtime = runtime_of(settings, work.plan.stages.values(), kept(work).stages)
    with (
        Display(work.plan, jobs, speed) as display,
        LocalExecutor(jobs, settings.results, runtime) as executor,
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
    stages = (work.plan.stages[digest].stage for digest in schedule.trained)
    results = [result for stage in stages if (result := work.store.result(stage.history))]
    launch = Launch(
        matrix=work.matrix.name,
        scale=work.settings.scale,
        time=now(),
        workers=jobs,
        stages=len(schedule.trained),
        whole=fresh and _own(work) <= schedule.trained,
        wall_seconds=seconds,
        training_seconds=sum(one.seconds for one in results),
        proof_seconds=sum(one.integer.seconds for one in results if one.integer),
    )
    note(work.settings.results, launch)


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
