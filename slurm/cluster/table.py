"""The status of a matrix as a table on the terminal (torch-free)."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from qkd.records.code import in_words
from qkd.records.files import printable
from slurm.cluster.standing import Standing, tail
from slurm.planning.changes import unsettled
from slurm.planning.notes import note_of
from slurm.planning.statuses import Status
from slurm.planning.work import Work

SUCCESS, FAILURE = 0, 1


def show(work: Work, found: Mapping[str, Standing]) -> None:
    """Counts, a line for each stage that is running, waiting or stuck, why stages failed, and which
    were trained with other code of the user's."""
    changes = unsettled(work)
    changed = {change.record.digest: f"by {change.file}" for change in changes}
    found = {
        key: Standing(Status.CHANGED, detail=changed[key]) if key in changed else one
        for key, one in found.items()
    }
    _count(found)
    rows = {
        work.record(key).path.name: one
        for key, one in found.items()
        if one.status not in (Status.DONE, Status.MISSING) or one.detail
    }
    if rows:
        Console().print(_table(rows))
    for key, one in found.items():
        note = note_of(work.record(key)) if one.status == Status.FAILED else None
        said = tail(Path(note.stderr)) if note else ""
        if said and said not in one.detail:
            print(f"{work.record(key).path.name}: the last lines of its job's stderr")
            print("\n".join(f"  {printable(line)}" for line in said.splitlines()))
    if changes:
        print(printable(in_words(changes)))


def show_sent(work: Work, found: Mapping[str, Standing], arrays: Sequence[int]) -> int:
    """What a launch found, and what it sent: ``arrays`` has the number of jobs of each. Returns an
    exit code: 1 where a stage failed.
    """
    _count(found)
    if arrays:
        print(
            f"{len(arrays)} calls of sbatch, {sum(arrays)} jobs; the last writes "
            f"{work.settings.report}"
        )
        print("Watch them with make status, stop them with make cancel (same variables)")
    elif all(one.status == Status.DONE for one in found.values()):
        print("all is done: make report writes the report")
    else:
        print("nothing to send")
    failed = [key for key, one in found.items() if one.status == Status.FAILED]
    for key in failed:
        print(printable(f"failed {work.record(key).path.name}: {found[key].detail}"))
    if failed:
        print("Clear failures with: make retry (same variables), then run again")
    return FAILURE if failed else SUCCESS


def _table(rows: Mapping[str, Standing]) -> Table:
    """A row a stage, by its record's name; jobs where any stage has one."""
    table = Table()
    has_jobs = any(one.job for one in rows.values())
    for title in ("stage", "status", *(["job"] if has_jobs else []), "detail"):
        table.add_column(title, overflow="fold")  # a name ends in its seed and digest
    for name, one in rows.items():
        jobs = [one.job] if has_jobs else []
        table.add_row(*(Text(printable(cell)) for cell in (name, one.status, *jobs, one.detail)))
    return table


def _count(found: Mapping[str, Standing]) -> None:
    counts = Counter(one.status for one in found.values())
    for status in Status:
        if counts[status]:
            print(f"{counts[status]:5d} {status}")
