"""The commands with CLUSTER=: a matrix's missing stages as jobs of SLURM."""

import secrets
import time
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from qkd.claim import Claim, Claimed, describe
from qkd.data.cache import load
from qkd.printable import printable
from qkd.record import Record
from qkd.runtime import Runtime
from slurm.clusters import Profile, profile, require_known_stages
from slurm.job import ReportJob, StageJob
from slurm.matrices import is_file, remember
from slurm.notes import JOBS, Note, note_of, write_note
from slurm.queue import DEFAULT_ARRAY, QueueUnknown, cancel, in_queue, longest_array
from slurm.schedule import Status
from slurm.standing import Standing, look, tail
from slurm.submission import Order, Sent, dependency
from slurm.units import Unit, units
from slurm.waves import Wave, waves
from slurm.work import Work

SUBMISSION = "submission"
TO_SEND = (Status.MISSING, Status.ELSEWHERE)
IN_QUEUE = (Status.PENDING, Status.HELD, Status.RUNNING)


def submit(work: Work) -> int:
    """Sends what is neither done nor in the queue; returns an exit code."""
    given = _profile(work)
    for data in {cell.pair.data.name: cell.pair.data for cell, _ in work.plan.cell_stages}.values():
        load(data, work.settings.data)  # the nodes of a cluster may be unable to fetch it
    remember(work.matrix, work.settings.results)
    folder = (work.settings.results / JOBS).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    with Alone(folder / SUBMISSION):
        found = look(work)
        planned = _waves(work, found, longest_array())
        sent = _send(work, given, planned, folder) if planned else []
    _tell(work, found, sent)
    failed = any(one.status in (Status.FAILED, Status.BLOCKED) for one in found.values())
    return 1 if failed else 0


def dry_run(work: Work) -> int:
    """Prints what `submit` would send, and sends nothing."""
    given = _profile(work)
    try:
        longest = longest_array()
    except QueueUnknown:
        longest = DEFAULT_ARRAY
    folder = (work.settings.results / JOBS).resolve() / "TOKEN"
    sent: list[Sent] = []
    for number, wave in enumerate(_waves(work, look(work), longest)):
        name, waits_for = _name(work, wave, folder, number), dependency(wave, sent)
        elements = f"array of {len(wave.units)}" if len(wave.units) > 1 else "one job"
        print(f"\nwave {number}: {wave.label}, {elements}; waits for {waits_for or 'nothing'}")
        for index, unit in enumerate(wave.units):
            for key in unit.stages:
                print(f"  {index:4d} {work.record(key).path.name}")
        print(Order(wave, given, name, folder, waits_for).text())
        sent.append(Sent(wave, f"WAVE{number}"))
    return 0


def show_status(work: Work) -> int:
    """Records and queue in one table."""
    found = look(work)
    _count(found)
    table = Table("stage", "status", "job", "detail")
    for key, one in found.items():
        if one.status not in (Status.DONE, Status.MISSING):
            name, detail = work.record(key).path.name, Text(printable(one.detail))
            table.add_row(Text(name), one.status, Text(printable(one.job)), detail)
    if table.row_count:
        Console().print(table)
    for key, one in found.items():
        note = note_of(work.record(key))
        said = tail(Path(note.stderr())) if note and one.status == Status.FAILED else ""
        if said:
            print(f"{work.record(key).path.name}: the last lines of its job's stderr")
            print("\n".join(f"  {printable(line)}" for line in said.splitlines()))
    return 0


def cancel_jobs(work: Work) -> int:
    """Cancels the jobs in the queue that were sent for this matrix, and no others."""
    names = set()
    for key in work.plan.stages:
        note = note_of(work.record(key))
        if note and (note.matrix, note.scale) == (work.matrix.name, work.matrix.scale):
            names |= {note.name, _report_name(work, Path(note.folder))}
    jobs = in_queue(names)
    cancel(jobs)
    print(f"{len(jobs)} jobs cancelled; what they had saved stays")
    return 0


def _profile(work: Work) -> Profile:
    given = profile(work.settings.cluster)
    phases = {planned.stage.label for planned in work.whole.stages.values()}
    require_known_stages(given, phases | {grid.pair.data.name for grid in work.matrix.grids})
    return given


class Alone(Claim):
    """Nobody else sends jobs for this results folder meanwhile; whoever does is waited for."""

    def __enter__(self) -> Claim:
        waiting = False
        while True:
            try:
                return super().__enter__()
            except Claimed:
                if not waiting:
                    print(f"waits for {describe(self.path)}, which is sending jobs", flush=True)
                waiting = True
                time.sleep(1.0)


def _waves(work: Work, found: dict[str, Standing], longest: int) -> list[Wave]:
    todo = [key for key, one in found.items() if one.status in TO_SEND and not one.job]
    queued = {key: one.job for key, one in found.items() if one.status in IN_QUEUE}
    given = _profile(work)
    made = units(work.plan, todo, work.settings.pack)
    return waves(work.plan, made, given.resources, queued, longest)


def _send(work: Work, given: Profile, planned: Iterable[Wave], jobs: Path) -> list[Sent]:
    """Sends the waves one after another; a stage's job is kept beside it at once."""
    folder = jobs / secrets.token_hex(3)
    sent: list[Sent] = []
    for number, wave in enumerate(planned):
        name = _name(work, wave, folder, number)
        _keep(work, wave, name, folder)
        functions = [_function(work, given, wave, index) for index in range(len(wave.units))]
        sent.append(Order(wave, given, name, folder, dependency(wave, sent)).send(functions))
        _keep(work, wave, name, folder, sent[-1].job)
        print(f"sent {sent[-1].job}: {wave.label}, jobs: {len(wave.units)}", flush=True)
    settings = work.settings
    report = ReportJob(str(settings.results.resolve()), str(settings.report.resolve()))
    last = Wave("report", (Unit((), ()),), given.for_report)
    after = "afterany:" + ":".join(one.job for one in sent)
    sent.append(Order(last, given, _report_name(work, folder), folder, after).send([report]))
    return sent


def _keep(work: Work, wave: Wave, name: str, folder: Path, job: str = "") -> None:
    for index, unit in enumerate(wave.units):
        for key in unit.stages:
            record = _own(work, key)
            record.open(work.plan.stages[key].stage)
            note = Note(
                name=name, element=index if len(wave.units) > 1 else -1, job=job,
                matrix=work.matrix.name, scale=work.matrix.scale,
                cluster=work.settings.cluster, folder=str(folder),
            )  # fmt: skip
            write_note(record, note)


def _own(work: Work, key: str) -> Record:
    return work.store.record_to_write(work.plan.stages[key].stage.history)


def _function(work: Work, given: Profile, wave: Wave, index: int) -> StageJob:
    settings = work.settings
    matrix_file = str(Path(settings.matrix).resolve()) if is_file(settings.matrix) else ""
    runtime = Runtime(
        data=str(settings.data.resolve()), threads=settings.threads, compile=settings.compile,
        lean=settings.lean, loaders=settings.loaders, matrix_file=matrix_file,
    )  # fmt: skip
    records = tuple(_own(work, key).path.name for key in wave.units[index].stages)
    return StageJob(str(settings.results.resolve()), records, runtime, given.lost_nodes)


def _name(work: Work, wave: Wave, folder: Path, number: int) -> str:
    return f"{work.matrix.name}-{work.matrix.scale}-{wave.label}-{folder.name}-{number}"


def _report_name(work: Work, folder: Path) -> str:
    return f"{work.matrix.name}-{work.matrix.scale}-report-{folder.name}"


def _count(found: dict[str, Standing]) -> None:
    counts = Counter(one.status for one in found.values())
    for status in Status:
        if counts[status]:
            print(f"{counts[status]:5d} {status}")


def _tell(work: Work, found: dict[str, Standing], sent: list[Sent]) -> None:
    _count(found)
    if not sent:
        print("nothing to send")
        return
    jobs = sum(len(one.wave.units) for one in sent)
    print(f"{len(sent)} calls of sbatch, {jobs} jobs; the last one writes {work.settings.report}")
    print("Watch them with make status, stop them with make cancel (same variables)")
