"""What the numbers rest on: assumed values, deviations, all that failed or was not run, and the
reproducibility checklist."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from qkd.marks import marks
from report import words
from report.cells import Reading
from report.content import Content
from report.facts import facts
from report.outcomes import Outcome, Status
from report.table import Cell, Table, row, state, table
from report.words import NONE, duration, listed

STUCK = (Status.FAILED, Status.UNREADABLE)
MOST_OF_A_TRACE = 8  # lines


class Honesty(NamedTuple):
    """All tables of the page's part on honesty; None where there is nothing to list."""

    counted: str
    marks: Table
    deviations: Table | None
    not_done: Table | None
    failures: Table | None
    checklist: tuple[tuple[str, tuple[str, ...]], ...]


def honesty(contents: Sequence[Content]) -> Honesty:
    """Of every matrix on the page."""
    counts = Counter(mark.mark for mark in marks())
    said = ", ".join(f"{count} {mark}" for mark, count in counts.most_common())
    return Honesty(
        counted=f"{sum(counts.values())} values: {said}.",
        marks=_marks(),
        deviations=_deviations(contents),
        not_done=_not_done(contents),
        failures=_failures(contents),
        checklist=tuple(_checklist(contents)),
    )


def _marks() -> Table:
    rows = [
        row(one.what, one.value, Cell(one.mark, kind="mark"), one.reason,
            Cell(one.where, kind="code"))
        for one in marks()
    ]  # fmt: skip
    columns = ["what", "value", "mark", "reason", "where it is set"]
    return table(
        "marks", "Values that the paper does not state", columns, rows, caption=words.MARKS
    )


def _deviations(contents: Sequence[Content]) -> Table | None:
    """Each deviation once, with the runs that it is of."""
    found: dict[str, list[str]] = {}
    for content in contents:
        matrix = content.readings.run.matrix
        for deviation in matrix.label.deviations:
            found.setdefault(deviation, []).append(f"{matrix.name}, {matrix.scale}")
    rows = [row(text, "; ".join(of)) for text, of in found.items()]
    columns = ["deviation from the paper", "runs"]
    return table("deviations", "Deviations", columns, rows) if rows else None


def _not_done(contents: Sequence[Content]) -> Table | None:
    """The cells without a number, those of one kind and reason in one row."""
    groups: dict[tuple[str, ...], list[Reading]] = {}
    for content in contents:
        for reading in content.readings.cells:
            if reading.status != Status.DONE:
                key = (
                    " ".join(content.readings.run.key), reading.setting.label,
                    reading.cell.method.name, reading.status.value, reading.message,
                )  # fmt: skip
                groups.setdefault(key, []).append(reading)
    rows = [
        row(run, setting, method, listed([str(one.cell.seed) for one in group]), state(status),
            why or NONE)
        for (run, setting, method, status, why), group in groups.items()
    ]  # fmt: skip
    columns = ["run", "setting", "method", "seeds", "status", "why"]
    return table("not-done", "Cells without a number", columns, rows) if rows else None


def _failures(contents: Sequence[Content]) -> Table | None:
    """The stages that failed or cannot be read, each once."""
    found = {
        outcome.path.name: row(
            Cell(outcome.path.name, kind="code"),
            state(outcome.status.value),
            outcome.message,
            Cell(_end(outcome.trace), kind="code"),
        )
        for outcome in _outcomes(contents)
        if outcome.status in STUCK
    }
    columns = ["stage", "status", "what it says", "end of its trace"]
    return table("failures", "Failed stages", columns, found.values()) if found else None


def _end(trace: str) -> str:
    return "\n".join(trace.strip().splitlines()[-MOST_OF_A_TRACE:]) or NONE


def _outcomes(contents: Iterable[Content]) -> Iterator[Outcome]:
    """Of each stage once, however many matrices share it."""
    seen: set[str] = set()
    for content in contents:
        for digest, planned in content.readings.plan.stages.items():
            if digest not in seen:
                seen.add(digest)
                yield content.readings.run.records.outcome(planned.stage.history)


def _checklist(contents: Sequence[Content]) -> Iterator[tuple[str, tuple[str, ...]]]:
    """The questions of the usual checklists for machine learning, with this page's answers."""
    yield "Which images?", tuple(_splits(contents)) or (words.NO_RESULT,)
    yield "Which hyper-parameters, and how were they chosen?", (words.TUNING,)
    yield "Which network is reported?", (words.SELECTION,)
    yield "What do intervals and verdicts mean?", (words.INTERVALS, words.VERDICTS)
    yield "How much compute, failures included?", (_compute(contents),)
    software = listed([facts(one.readings).software for one in contents], none="none")
    yield "With what software?", (software, words.RANDOMNESS)
    yield "Are the bits what they are said to be?", (words.INTEGERS,)
    yield "How is it run again?", (words.AGAIN,)


def _splits(contents: Sequence[Content]) -> Iterator[str]:
    sets = {
        reading.cell.pair.data: reading.outcome.result.student.images
        for content in contents
        for reading in content.readings.cells
        if reading.outcome.result is not None
    }
    for data, images in sets.items():
        yield (
            f"{data.name}: {data.train_images - data.held_out} training images, {data.held_out} "
            f"held out for the curves, {images} test images, {data.classes} classes; sha256 of "
            f"their content {data.digest[:16] or 'not recorded'}."
        )


def _compute(contents: Sequence[Content]) -> str:
    """Of every stage on the page, each counted once."""
    outcomes = list(_outcomes(contents))
    done = [one.result.seconds for one in outcomes if one.result is not None]
    failed = [one for one in outcomes if one.status in STUCK]
    begun = (Status.MISSING, Status.RUNNING)
    unfinished = [one.spent for one in outcomes if one.status in begun and one.spent]
    launched = [one for content in contents for one in content.readings.run.launches]
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
