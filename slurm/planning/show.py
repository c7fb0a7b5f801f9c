"""What would run, and what it costs (torch-free)."""

import sys

from rich.console import Console
from rich.table import Table
from rich.text import Text

from benchmarks.plan import precisions
from qkd.records.code import in_words as changes_in_words
from qkd.records.files import printable
from slurm.planning import arithmetic, disk, kept
from slurm.planning.changes import changed
from slurm.planning.costs import show_hours
from slurm.planning.estimate import in_words, speed_of
from slurm.planning.statuses import Status, statuses
from slurm.planning.work import Work
from slurm.planning.workers import workers


def show_plan(work: Work) -> None:
    """Prints what would run, and what it costs with and without sharing."""
    found = statuses(work.plan, work.store)
    trained = (Status.DONE, Status.UNPROVEN)
    todo = [p for key, p in work.plan.stages.items() if found[key] not in trained]
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
        done = sum(found[key] in trained for key in keys)
        steps = sum(p.stage.steps for p in members if found[p.digest] not in trained)
        share = sum(p.macs for p in members) / total
        table.add_row(phase, str(len(keys)), str(done), f"{steps:,}", f"{100 * share:.0f} %")
    Console().print(table)
    macs = sum(planned.macs for planned in todo)
    print(f"cells: {len(work.plan.cell_stages)}; stages: {len(found)}, to do: {len(todo)}")
    unproven = sum(status == Status.UNPROVEN for status in found.values())
    if unproven:
        print(f"done without an integer proof: {unproven}, to be proven from their checkpoints")
    print(
        f"cost with sharing: {work.plan.macs:.3g} multiply-accumulates, "
        f"without: {work.plan.unshared_macs:.3g} (sharing saves "
        f"{100 * (1 - work.plan.macs / (work.plan.unshared_macs or 1)):.0f} %)"
    )
    show_hours(work)
    print(printable(disk.in_words(work)))
    print(printable(kept.in_words(work)))
    print(printable(arithmetic.in_words(work.settings)))
    for line in arithmetic.cautions(work.settings, precisions(work.plan)):
        print(printable(f"warning: {line}"), file=sys.stderr)
    changes = changed(work)
    if changes:
        print(printable(changes_in_words(changes)))
    if work.settings.cluster:
        return  # how long that takes there, its queue decides
    jobs = workers(work.settings)
    if not todo:
        print("time: nothing to do")
    elif speed is None:
        print("time: unknown until a first stage has run here")
    else:
        seconds = macs / speed.macs_per_second / jobs
        print(f"time: about {in_words(seconds)} with {jobs} workers, by {speed.source}")
