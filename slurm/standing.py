"""Where each stage of a plan stands, by its record and by SLURM's queue (torch-free)."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from qkd.record import BadRecord, Record
from qkd.spec import Stage
from slurm.notes import Note, note_of
from slurm.queue import Ended, Queued, ended, in_queue
from slurm.schedule import Status, statuses
from slurm.work import Work, reason_of

# Ends that say nothing against the stage: the next launch sends it again.
NO_FAULT = ("COMPLETED", "CANCELLED", "NODE_FAIL", "PREEMPTED", "BOOT_FAIL", "REVOKED")
TAIL_LINES, TAIL_BYTES = 5, 4096


class Standing(NamedTuple):
    """A stage's status, its job where it has one in the queue, and what there is to say."""

    status: Status
    job: str = ""
    detail: str = ""


def look(work: Work) -> dict[str, Standing]:
    """Every stage of the plan, parents first.

    A job that left the queue without a result by a fault of its own is a failure of its stage: the
    record says so from then on. Raises QueueUnknown where SLURM does not answer.
    """
    notes = {key: note for key in work.plan.stages if (note := note_of(work.record(key)))}
    # The queue first: what has left it before we looked had written its result before.
    queue = _by_place(in_queue({note.name for note in notes.values()}))
    work.store.refresh()
    found = statuses(work.plan, work.store)
    jobs = {key: queue[place] for key, note in notes.items() if (place := _place(note)) in queue}
    gone = [k for k in notes if k not in jobs and found[k] == Status.MISSING and notes[k].id]
    if gone and _settle(work, gone, notes, found):
        found = statuses(work.plan, work.store)
    return {key: _standing(work, key, status, jobs.get(key)) for key, status in found.items()}


def _place(note: Note) -> tuple[str, int]:
    return note.name, note.element


def _by_place(queue: Mapping[str, Queued]) -> dict[tuple[str, int], Queued]:
    """Jobs by name and element: a launch that was killed while it wrote ids finds its own again."""
    return {(job.name, int(job.id.partition("_")[2] or -1)): job for job in queue.values()}


def _standing(work: Work, key: str, status: Status, job: Queued | None) -> Standing:
    record = work.record(key)
    if status == Status.FAILED:
        return Standing(status, detail=reason_of(record))
    if status == Status.BLOCKED and job is None:
        return Standing(status, detail=_blocked_by(work, key))
    if job is None or status == Status.DONE:
        return Standing(status)
    if job.state == "PENDING":
        word = Status.HELD if job.is_held else Status.PENDING
        return Standing(word, job.id, job.reason)
    return Standing(Status.RUNNING, job.id, f"{_progress(record, work, key)} on {job.node}")


def _blocked_by(work: Work, key: str) -> str:
    """The failed stages that a blocked one goes on from, near or far."""
    above, waiting = [], [key]
    while waiting:
        for parent in work.plan.stages[waiting.pop()].parents:
            if reason_of(work.record(parent)):
                above.append(work.record(parent).path.name)
            else:
                waiting.append(parent)
    return f"by {', '.join(dict.fromkeys(above))}" if above else ""


def _progress(record: Record, work: Work, key: str) -> str:
    stage: Stage = work.plan.stages[key].stage
    history = stage.history
    begin = history.steps - stage.steps
    try:
        step = int(record.metrics()[-1]["step"]) - begin
    except (BadRecord, IndexError, KeyError, TypeError, ValueError):
        step = 0
    images = history.data.train_images - history.data.held_out
    epochs = step * history.recipe.batch / images
    return f"step {step} of {stage.steps}, epoch {epochs:.1f}"


def _settle(
    work: Work, gone: list[str], notes: Mapping[str, Note], found: Mapping[str, Status]
) -> bool:
    """Writes down the failures of jobs that are gone; whether there were any.

    Of a job's stages only the first that could have been trained is at fault.
    """
    ends = ended({notes[key].id for key in gone})
    settled: set[str] = set()
    for key in gone:
        note, end = notes[key], ends.get(notes[key].id)
        end = end if end is not None and end.name == note.name else None
        parents = work.plan.stages[key].parents
        ready = all(found[parent] == Status.DONE for parent in parents)
        if note.id in settled or not ready or (end is not None and end.state in NO_FAULT):
            continue
        work.record(key).fail("JobEnded", _epitaph(note, end))
        settled.add(note.id)
    return bool(settled)


def _epitaph(note: Note, end: Ended | None) -> str:
    how = f"ended as {end.state} on {end.node}" if end else "left the queue"
    said = tail(Path(note.stderr()))
    return f"job {note.id} {how} without a result" + (f": {said}" if said else "")


def tail(file: Path) -> str:
    """The last lines of a log; "" where there is none."""
    try:
        with file.open("rb") as stream:
            stream.seek(max(0, file.stat().st_size - TAIL_BYTES))
            text = stream.read().decode(errors="replace")
    except OSError:
        return ""
    return "\n".join(text.strip().splitlines()[-TAIL_LINES:])
