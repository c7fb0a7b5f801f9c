"""The commands with CLUSTER=: a matrix's missing stages as jobs of SLURM."""

import getpass
import secrets
import time
from collections.abc import Iterable
from pathlib import Path

from qkd.records.lock import Lock, Locked, describe
from qkd.records.record import Record
from slurm.cluster.job import ReportJob, StageJob
from slurm.cluster.profiles import Profile, profile, without_effect
from slurm.cluster.queue import DEFAULT_ARRAY, Cluster, QueueUnknown, cancel, cluster, in_queue
from slurm.cluster.standing import Standing, look, settle
from slurm.cluster.submission import Order, Sent, dependency
from slurm.cluster.table import show, show_sent
from slurm.cluster.units import Unit, units
from slurm.cluster.waves import Wave, waves
from slurm.planning import cleaning
from slurm.planning.changes import require_settled
from slurm.planning.kept import kept
from slurm.planning.matrices import is_file, remember
from slurm.planning.notes import JOBS, Note, forget, note_of, write_note
from slurm.planning.statuses import Status
from slurm.planning.trials import try_networks
from slurm.planning.work import Work, read_data, runtime_of

SUBMISSION = "submission"
TO_SEND = (Status.MISSING, Status.UNPROVEN, Status.ELSEWHERE)
IN_QUEUE = (Status.PENDING, Status.HELD, Status.RUNNING)


class Alone(Lock):
    """Nobody else sends or cancels jobs of a results folder meanwhile; who does is waited for."""

    def __enter__(self) -> Lock:
        waiting = False
        while True:
            try:
                return super().__enter__()
            except Locked:
                if not waiting:
                    print(f"waits for {describe(self.path)}, which is sending jobs", flush=True)
                waiting = True
                time.sleep(1.0)


def submit(work: Work) -> int:
    """Sends every stage that is neither done nor in the queue; returns an exit code."""
    given = _profile(work)
    require_settled(work)
    read_data(work)  # the nodes of a cluster may be unable to fetch it
    if is_file(work.settings.matrix):  # ours need no trial, and a login node no torch for them
        try_networks(work, given.processes)
    remember(work.matrix, work.settings.results)
    with Alone(_jobs(work) / SUBMISSION) as lock:
        here, found = cluster(), look(work)
        settle(work, found)
        planned = _waves(work, given, found, here.longest_array)
        sent = _send(work, planned, found, given=given, here=here, lock=lock) if planned else []
    return show_sent(work, found, [len(one.wave.units) for one in sent])


def dry_run(work: Work) -> int:
    """Prints what `submit` would send, and sends nothing."""
    given = _profile(work)
    found = look(work)
    try:
        longest = cluster().longest_array
    except QueueUnknown:
        longest = DEFAULT_ARRAY
    folder = _jobs(work, make=False) / "TOKEN"
    sent: list[Sent] = []
    planned = _waves(work, given, found, longest)
    for number, wave in enumerate(planned):
        order = Order(
            wave, given, _name(work, wave, folder, number), folder, dependency(wave, sent)
        )
        elements = f"array of {len(wave.units)}" if len(wave.units) > 1 else "one job"
        waits = order.waits_for or "nothing"
        print(f"\nwave {number}: {wave.label}, {elements}; waits for {waits}")
        for index, unit in enumerate(wave.units):
            for key in unit.stages:
                print(f"  {index:4d} {work.record(key).path.name}")
        print(order.text())
        sent.append(Sent(wave, f"WAVE{number}"))
    if planned:
        print("\nlast: the report, when all of them have ended")
        print(_last(work, given, folder, sent, found).text())
    return 0


def show_status(work: Work) -> int:
    """Records and queue in one table."""
    show(work, look(work))
    return 0


def cancel_jobs(work: Work) -> int:
    """Cancels the jobs of the chosen stages that were sent for this matrix, and no others."""
    notes = [note for key in work.plan.stages if (note := note_of(work.record(key)))]
    ours = [note for note in notes if (note.matrix, note.scale) == _matrix(work)]
    with Alone(_jobs(work) / SUBMISSION):
        names = {note.name for note in ours}
        reports = {_report_name(work, Path(note.folder)) for note in ours}
        queue = in_queue(names | reports)
        chosen = {note.place for note in ours}
        found = [job for job in queue if job.place in chosen]
        if all(job.place in chosen or job.name in reports for job in queue):
            found = queue  # nothing is left for the reports to wait for
        mine = [job.id for job in found if job.user == getpass.getuser()]
        cancel(mine)
    print(f"{len(mine)} jobs cancelled; what they had saved stays")
    if len(mine) < len(found):
        print(f"{len(found) - len(mine)} jobs belong to another user and stay")
    return 0


def retry(work: Work) -> int:
    """Clears failures, and jobs that are not seen any more, so that they are sent again."""
    found = look(work)
    settle(work, found)
    for key, one in found.items():
        if one.status == Status.UNSEEN:
            forget(work.record(key))
            print(f"forgot the job of {work.record(key).path.name}")
    return cleaning.retry(work)


def _profile(work: Work) -> Profile:
    given = profile(work.settings.cluster)
    phases = {planned.stage.label for planned in work.whole.stages.values()}
    for name in without_effect(given, phases | {grid.pair.data.name for grid in work.matrix.grids}):
        print(f"[...stages.{name}] of the profile has no effect: no stage of this matrix is of it")
    return given


def _jobs(work: Work, make: bool = True) -> Path:
    folder = (work.settings.results / JOBS).resolve()
    if make:
        folder.mkdir(parents=True, exist_ok=True)
    return folder


def _waves(work: Work, given: Profile, found: dict[str, Standing], longest: int) -> list[Wave]:
    todo = [key for key, one in found.items() if one.status in TO_SEND]
    queued = {key: one.job for key, one in found.items() if one.status in IN_QUEUE and one.job}
    made = units(work.plan, todo, given.resources, work.settings.pack)
    return waves(work.plan, made, queued, longest)


def _send(
    work: Work,
    planned: Iterable[Wave],
    found: dict[str, Standing],
    *,
    given: Profile,
    here: Cluster,
    lock: Lock,
) -> list[Sent]:
    """Sends the waves one after another; a stage's job is kept beside it at once."""
    folder = _jobs(work) / secrets.token_hex(3)
    keeping = kept(work).stages
    sent: list[Sent] = []
    for number, wave in enumerate(planned):
        lock.check()
        order = Order(
            wave, given, _name(work, wave, folder, number), folder, dependency(wave, sent)
        )
        for unit in wave.units:
            for key in unit.stages:
                _own(work, key).open(work.plan.stages[key].stage)
        _keep(work, order, here)
        functions = [_function(work, given, unit, keeping) for unit in wave.units]
        sent.append(order.send(functions))
        _keep(work, order, here, sent[-1].job)
        print(f"sent {sent[-1].job}: {wave.label}, jobs: {len(wave.units)}", flush=True)
    settings = work.settings
    report = ReportJob(str(settings.results.resolve()), str(settings.report.resolve()))
    sent.append(_last(work, given, folder, sent, found).send([report]))
    return sent


def _last(
    work: Work, given: Profile, folder: Path, sent: list[Sent], found: dict[str, Standing]
) -> Order:
    """The job that writes the report, when these and those already in the queue have ended."""
    earlier = {one.job.partition("_")[0] for one in found.values() if one.job}
    jobs = dict.fromkeys([*(one.job for one in sent), *sorted(earlier)])
    wave = Wave("report", (Unit((), given.for_report, ()),))
    after = "afterany:" + ":".join(jobs)
    return Order(wave, given, _report_name(work, folder), folder, after)


def _keep(work: Work, order: Order, here: Cluster, job: str = "") -> None:
    for index, unit in enumerate(order.wave.units):
        note = Note(
            name=order.name,
            element=index if len(order.wave.units) > 1 else -1,
            job=job,
            matrix=work.matrix.name,
            scale=work.matrix.scale,
            cluster=here.name,
            folder=str(order.folder),
        )
        for key in unit.stages:
            write_note(_own(work, key), note)


def _own(work: Work, key: str) -> Record:
    return work.store.record_to_write(work.plan.stages[key].stage.history)


def _function(work: Work, given: Profile, unit: Unit, keeping: Iterable[str]) -> StageJob:
    records = tuple(_own(work, key).path.name for key in unit.stages)
    results = str(work.settings.results.resolve())
    stages = [work.plan.stages[key] for key in unit.stages]
    runtime = runtime_of(work.settings, stages, keeping)
    return StageJob(results, records, runtime, given.lost_nodes)


def _matrix(work: Work) -> tuple[str, str]:
    return work.matrix.name, work.matrix.scale


def _name(work: Work, wave: Wave, folder: Path, number: int) -> str:
    return f"{'-'.join(_matrix(work))}-{wave.label}-{folder.name}-{number}"


def _report_name(work: Work, folder: Path) -> str:
    return f"{'-'.join(_matrix(work))}-report-{folder.name}"
