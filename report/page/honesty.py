"""What the numbers rest on: assumed values, deviations, all that failed or was not run, and the
reproducibility checklist."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import pandas as pd

from qkd.marks import Marked, marks
from report.analysis.sections import Section
from report.frames.cells import CellRow
from report.frames.tidy import rows
from report.page import words
from report.page.facts import software
from report.page.table import Column, Table, code, mark, state, table
from report.reading.records import Outcome, Status
from report.texts import NONE, duration, listed

STUCK = (Status.FAILED, Status.UNREADABLE, Status.CHANGED)
MOST_OF_A_TRACE = 8  # lines


class Honesty(NamedTuple):
    """All tables of the page's part on honesty; None where there is nothing to list."""

    counted: str
    marks: Table
    deviations: Table | None
    not_done: Table | None
    failures: Table | None
    checklist: tuple[tuple[str, tuple[str, ...]], ...]


def honesty(sections: Sequence[Section]) -> Honesty:
    """Of every matrix on the page."""
    known = marks()
    counts = Counter(one.mark for one in known)
    said = ", ".join(f"{count} {name}" for name, count in counts.most_common())
    title = "Values that the paper does not state"
    return Honesty(
        counted=f"{len(known)} values: {said}.",
        marks=table("marks", title, MARK_COLUMNS, known, caption=words.MARKS),
        deviations=_deviations(sections),
        not_done=_not_done(sections),
        failures=_failures(sections),
        checklist=tuple(_checklist(sections)),
    )


MARK_COLUMNS: tuple[Column[Marked], ...] = (
    Column("what", lambda one: one.what),
    Column("value", lambda one: one.value),
    Column("mark", lambda one: mark(one.mark)),
    Column("reason", lambda one: one.reason),
    Column("where it is set", lambda one: code(one.where)),
)
DEVIATION_COLUMNS: tuple[Column[tuple[str, list[str]]], ...] = (
    Column("deviation from the paper", lambda of: of[0]),
    Column("runs", lambda of: "; ".join(of[1])),
)
NOT_DONE_COLUMNS: tuple[Column[list[CellRow]], ...] = (
    Column("run", lambda of: f"{of[0].matrix} {of[0].scale}"),
    Column("setting", lambda of: of[0].setting),
    Column("method", lambda of: of[0].method),
    Column("seeds", lambda of: listed(str(row.seed) for row in of)),
    Column("status", lambda of: state(of[0].status)),
    Column("why", lambda of: of[0].message or NONE),
)
FAILURE_COLUMNS: tuple[Column[Outcome], ...] = (
    Column("stage", lambda one: code(one.path.name)),
    Column("status", lambda one: state(one.status.value)),
    Column("what it says", lambda one: one.message),
    Column("end of its trace", lambda one: code(_end(one.trace))),
)


def _deviations(sections: Sequence[Section]) -> Table | None:
    """Each deviation once, with the runs that it is of."""
    found: dict[str, list[str]] = {}
    for section in sections:
        matrix = section.readings.run.matrix
        for deviation in matrix.label.deviations:
            found.setdefault(deviation, []).append(f"{matrix.name}, {matrix.scale}")
    every = list(found.items())
    return table("deviations", "Deviations", DEVIATION_COLUMNS, every) if every else None


def _not_done(sections: Sequence[Section]) -> Table | None:
    """The cells without a number, those of one kind and reason in one row."""
    groups: dict[tuple[str, ...], list[CellRow]] = {}
    for section in sections:
        for row in rows(section.cells[section.cells["status"] != Status.DONE.value], CellRow):
            key = row.matrix, row.scale, row.setting, row.method, row.status, row.message
            groups.setdefault(key, []).append(row)
    title = "Cells without a number"
    return table("not-done", title, NOT_DONE_COLUMNS, [*groups.values()]) if groups else None


def _failures(sections: Sequence[Section]) -> Table | None:
    """The stages that failed or cannot be read, each once."""
    found = {one.path.name: one for one in _outcomes(sections) if one.status in STUCK}
    return table("failures", "Failed stages", FAILURE_COLUMNS, [*found.values()]) if found else None


def _end(trace: str) -> str:
    return "\n".join(trace.strip().splitlines()[-MOST_OF_A_TRACE:]) or NONE


def _outcomes(sections: Iterable[Section]) -> Iterable[Outcome]:
    """Of each stage once, however many matrices share it."""
    found: dict[str, Outcome] = {}
    for section in sections:
        found = {**section.readings.stages, **found}
    return found.values()


def _checklist(sections: Sequence[Section]) -> Iterator[tuple[str, tuple[str, ...]]]:
    """The questions of the usual checklists for machine learning, with this page's answers."""
    yield "Which images?", tuple(_splits(sections)) or (words.NO_RESULT,)
    yield "Which hyper-parameters, and how were they chosen?", (words.TUNING,)
    yield "Which network is reported?", (words.SELECTION,)
    yield "What do intervals and verdicts mean?", (words.INTERVALS, words.VERDICTS)
    yield "How much compute, failures included?", (_compute(sections),)
    environments = [one.environment for one in _outcomes(sections) if one.environment]
    yield "With what software?", (software(environments, none="none"), words.RANDOMNESS)
    yield "Are the bits what they are said to be?", (words.INTEGERS,)
    yield "How is it run again?", (words.AGAIN,)


def _splits(sections: Sequence[Section]) -> Iterator[str]:
    sets = {
        row.records.cell.pair.data: images
        for section in sections
        for row in rows(section.cells, CellRow)
        if (images := row.images) is not None and pd.notna(images)
    }
    for data, images in sets.items():
        yield (
            f"{data.name}: {data.train_images - data.held_out} training images, {data.held_out} "
            f"held out for the curves, {images:.0f} test images, {data.classes} classes; sha256 of "
            f"their content {data.digest[:16] or 'not recorded'}."
        )


def _compute(sections: Sequence[Section]) -> str:
    """Of every stage on the page, each counted once."""
    outcomes = list(_outcomes(sections))
    done = [one.result.seconds for one in outcomes if one.result is not None]
    failed = [one for one in outcomes if one.status in STUCK]
    begun = (Status.MISSING, Status.RUNNING)
    unfinished = [one.spent for one in outcomes if one.status in begun and one.spent]
    launched = [one for section in sections for one in section.readings.run.launches]
    walls = sum(one.wall_seconds for one in launched)
    text = (
        f"{duration(sum(done))} of training in {len(done)} stages that are done; "
        f"{len(failed)} failed or cannot be read"
    )
    if failed:
        text += f", with {duration(sum(one.spent for one in failed))} that their metrics show"
    if unfinished:
        text += f"; {duration(sum(unfinished))} in stages that have not ended"
    text += "; evaluation and integer proofs come on top."
    if launched:
        count = f"{len(launched)} launch{'es' if len(launched) > 1 else ''}"
        text += f" By the clock {duration(walls)} in {count}."
    return text
