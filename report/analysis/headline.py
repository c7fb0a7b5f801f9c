"""The first screen's numbers: a row a setting, QKD beside what it is to beat."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import pandas as pd

from benchmarks.contrasts import HEADLINE
from qkd.records.schema import Accuracy
from qkd.spec import History, Method
from report.analysis.contrasts import Compared
from report.analysis.joined import SHOWN_SCALES
from report.analysis.methods import MethodRow
from report.analysis.sections import Section
from report.frames.cells import CellRow
from report.frames.tidy import rows, tidy
from report.reading.readings import CellRecords

QKD = "qkd"


class HeadlineRow(NamedTuple):
    """A run of a setting in which QKD was trained. ``setting`` says pair, data and bits, ``matrix``
    what the run is of, ``anchor`` where it stands on the page; ``share`` is its length of training,
    of the paper's. ``full_precision`` is what the student began as, ``methods`` are those of the
    run by name, ``contrasts`` QKD's by what it is compared with. ``was_seen``: the run was seen
    before the analysis was fixed; ``is_reference``: it is a committed one, beside which there may
    be runs of one's own."""

    anchor: str
    matrix: str
    setting: str
    steps: int
    share: float
    full_precision: Accuracy | None
    methods: dict[str, MethodRow]
    contrasts: dict[str, Compared]
    was_seen: bool
    is_reference: bool


def headline(sections: Sequence[Section]) -> list[HeadlineRow]:
    """The settings, longest training first, of one length those that have verdicts. Of a setting
    that several matrices have, one that compares QKD with anything, then one's own run before a
    committed one, then the one with more seeds, then the one that was not seen before. Another
    follows it where it compares QKD with what no earlier one does, or has verdicts where no earlier
    one has. Smoke runs say nothing of any method."""
    found: dict[tuple[str, int], list[HeadlineRow]] = {}
    for section in sections:
        if section.scale in (*SHOWN_SCALES, "headline"):
            for row in _of(section):
                found.setdefault((row.setting, row.steps), []).append(row)
    settings = sorted(
        map(_told, found.values()), key=lambda rows: (-rows[0].share, rows[0].was_seen)
    )
    return [row for rows in settings for row in rows]


def _told(rows: Sequence[HeadlineRow]) -> list[HeadlineRow]:
    """Of the runs of one setting those to be shown, the most telling first."""
    first, *others = sorted(rows, key=_rank, reverse=True)
    told = [first]
    for row in others:
        compared = {second for one in told for second in one.contrasts}
        has_verdicts = bool(row.contrasts) and not row.was_seen
        if row.contrasts.keys() - compared or (has_verdicts and all(one.was_seen for one in told)):
            told.append(row)
    return told


def _rank(row: HeadlineRow) -> tuple[bool, bool, int, bool]:
    return bool(row.contrasts), not row.is_reference, row.methods[QKD].n, not row.was_seen


def _of(section: Section) -> Iterator[HeadlineRow]:
    for group in section.groups:
        methods = {one.method: one for one in rows(group.methods, MethodRow)}
        if QKD not in methods or not methods[QKD].n:
            continue
        qkd = methods[QKD]
        records = rows(group.cells[group.cells["method"] == QKD], CellRow)[0].records
        cell = records.cell
        yield HeadlineRow(
            anchor=section.anchor,
            matrix=qkd.matrix,
            setting=f"{qkd.student} \N{LEFTWARDS ARROW} {qkd.teacher} on {qkd.dataset}, {qkd.bits}",
            steps=qkd.steps,
            share=_share(cell.history, cell.method),
            full_precision=_full_precision(records),
            methods=methods,
            contrasts={
                one.contrast.second: one
                for one in group.compared
                if (one.contrast.first, one.contrast.second) in HEADLINE and one.estimate
            },
            was_seen=group.was_seen,
            is_reference=section.is_reference,
        )


def _share(history: History, method: Method) -> float:
    """The passes over the images that are trained on, of those that the paper makes."""
    return history.steps / history.data.epoch_steps(history.recipe.batch) / method.epochs


def _full_precision(records: CellRecords) -> Accuracy | None:
    """Of the network that the student began as, on the test images; None where it is not known."""
    start = records.cell.history.student.start
    result = records.starts[0].result if start else None
    return result.student if result else None


class HeadlineDifference(NamedTuple):
    """A difference of the first screen's figure, in points, and the ``run`` that it is of."""

    setting: str
    run: str
    was_seen: bool
    contrast: str
    share: float
    mean: float
    low: float | None
    high: float | None


def difference_rows(found: Sequence[HeadlineRow]) -> pd.DataFrame:
    """QKD's differences by setting, run and length."""
    return tidy(
        HeadlineDifference,
        (
            HeadlineDifference(
                row.setting,
                row.anchor,
                row.was_seen,
                one.contrast.label,
                row.share,
                own.mean,
                *own.interval(),
            )
            for _, second in HEADLINE
            for row in found
            if (one := row.contrasts.get(second)) and (own := one.estimate)
        ),
    )
