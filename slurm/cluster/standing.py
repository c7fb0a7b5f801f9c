"""Where each stage of a plan stands, by its record and by SLURM's queue (torch-free).

Looking changes nothing; `settle` writes failures down.
"""

import getpass
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from qkd.records.record import BadRecord, State
from slurm.cluster.queue import Ended, Queued, cluster, ended, in_queue
from slurm.planning.notes import Note, note_of
from slurm.planning.statuses import Status, statuses
from slurm.planning.work import Work, reason_of

# Ends that are the job's own fault. After any other end the next launch sends the stage again.
AT_FAULT = ("FAILED", "OUT_OF_MEMORY", "DEADLINE")
# A stage that goes on from one of these cannot be sent.
IN_THE_WAY = (Status.FAILED, Status.UNSEEN)
# What these say holds, whatever became of the parents since.
OVER = (Status.DONE, Status.FAILED)
TAIL_LINES, TAIL_BYTES = 5, 4096


class Standing(NamedTuple):
    """A stage's status, its job where it has one in the queue, and what there is to say."""

    status: Status
    job: str = ""
    detail: str = ""


def by_records(work: Work) -> dict[str, Standing]:
    """Every stage of the plan, by its record alone."""
    return {
        key: Standing(status, detail=_said(work, key, status))
        for key, status in statuses(work.plan, work.store).items()
    }


def look(work: Work) -> dict[str, Standing]:
    """Every stage of the plan, parents first. Raises QueueUnknown where SLURM does not answer."""
    notes = {key: note for key in work.plan.stages if (note := note_of(work.record(key)))}
    # The queue first: a job that is not in it any more has written its result by now.
    queue = {job.place: job for job in in_queue({note.name for note in notes.values()})}
    work.store.refresh()
    found = statuses(work.plan, work.store)
    jobs = {key: queue[note.place] for key, note in notes.items() if note.place in queue}
    gone = {k: n for k, n in notes.items() if k not in jobs and found[k] == Status.MISSING}
    judged = _judged(work, gone, found) if gone else {}
    standings: dict[str, Standing] = {}
    for key, status in found.items():
        stuck = (*IN_THE_WAY, Status.BLOCKED)
        parents = work.plan.stages[key].parents
        if key in judged:
            standings[key] = judged[key]
        elif key in jobs and status != Status.DONE:
            standings[key] = _in_queue(work, key, status, jobs[key])
        elif status not in OVER and any(standings[p].status in stuck for p in parents):
            standings[key] = Standing(Status.BLOCKED, detail=_blocked_by(work, key, standings))
        else:
            standings[key] = Standing(status, detail=_said(work, key, status))
    return standings


def settle(work: Work, found: Mapping[str, Standing]) -> None:
    """Records the failures of jobs that ended without a record of their own."""
    for key, one in found.items():
        record = work.record(key)
        if one.status == Status.FAILED and record.state() == State.MISSING:
            record.fail("JobEnded", one.detail)


def _in_queue(work: Work, key: str, status: Status, job: Queued) -> Standing:
    if status == Status.FAILED:
        return Standing(status, detail=reason_of(work.record(key)))
    if job.is_held:
        return Standing(Status.HELD, job.id, job.reason)
    if job.is_running:
        return Standing(Status.RUNNING, job.id, f"{_progress(work, key)} on {job.node}")
    reason = job.reason if job.state == "PENDING" else f"{job.state}, {job.reason}"
    return Standing(Status.PENDING, job.id, reason)


def _judged(
    work: Work, gone: Mapping[str, Note], found: Mapping[str, Status]
) -> dict[str, Standing]:
    """What became of stages whose jobs left the queue without a result, as far as it is known. Of
    one job's stages only the first that could have been trained is at fault.
    """
    here, user = cluster().name, getpass.getuser()
    ends = ended({note.id for note in gone.values() if note.id})
    judged: dict[str, Standing] = {}
    settled: set[str] = set()
    for key, note in gone.items():
        if (note.cluster, note.user) != (here, user):
            said = f"of {note.user} on {note.cluster}, not in this queue: if it is gone, make retry"
            judged[key] = Standing(Status.UNSEEN, note.id, said)
            continue
        end = ends.get(note.id)
        ready = all(found[parent] == Status.DONE for parent in work.plan.stages[key].parents)
        if not note.id or not ready or note.id in settled:
            continue
        settled.add(note.id)
        guilty = end is not None and end.name == note.name and end.state in AT_FAULT
        status = Status.FAILED if guilty else Status.MISSING
        judged[key] = Standing(status, detail=_epitaph(note, end))
    return judged


def _epitaph(note: Note, end: Ended | None) -> str:
    how = f"ended as {end.state} on {end.node}" if end else "left the queue"
    said = tail(Path(note.stderr))
    return f"job {note.id} {how} without a result" + (f": {said}" if said else "")


def _blocked_by(work: Work, key: str, standings: Mapping[str, Standing]) -> str:
    """The failed or unseen stages that a blocked one goes on from, near or far."""
    above, waiting = [], [key]
    while waiting:
        for parent in work.plan.stages[waiting.pop()].parents:
            if standings[parent].status in IN_THE_WAY:
                above.append(work.record(parent).path.name)
            else:
                waiting.append(parent)
    return f"by {', '.join(dict.fromkeys(above))}"


def _said(work: Work, key: str, status: Status) -> str:
    """What a stage's record says of it, where it has no job."""
    if status == Status.FAILED:
        return reason_of(work.record(key))
    return _progress(work, key) if status == Status.ELSEWHERE else ""


def _progress(work: Work, key: str) -> str:
    stage = work.plan.stages[key].stage
    history = stage.history
    begin = history.steps - stage.steps
    try:
        lines = work.record(key).metrics()
    except BadRecord:  # the process that trains it may be writing a line just now
        return f"step unknown of {stage.steps}"
    step = lines[-1].step - begin if lines else 0
    images = history.data.train_images - history.data.held_out
    epochs = step * history.recipe.batch / images
    return f"step {step} of {stage.steps}, epoch {epochs:.1f}"


def tail(file: Path) -> str:
    """The last lines of a log; "" where there is none."""
    try:
        with file.open("rb") as stream:
            stream.seek(max(0, file.stat().st_size - TAIL_BYTES))
            text = stream.read().decode(errors="replace")
    except OSError:
        return ""
    return "\n".join(text.strip().splitlines()[-TAIL_LINES:])
