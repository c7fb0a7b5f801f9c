"""The first screen's numbers: a row a setting, QKD beside what it is to beat."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import pandas as pd

from report.analysis.contrasts import Compared
from report.analysis.evidence import SHOWN_SCALES
from report.analysis.methods import MethodRow
from report.analysis.sections import Group, Section
from report.frames.cells import CellRow
from report.frames.tidy import rows, tidy

QKD = "qkd"
CONTRASTS = ((QKD, "kd"), (QKD, "qat"))


class HeadlineRow(NamedTuple):
    """A setting in which QKD has run. ``setting`` says pair, data and bits, ``anchor`` where it
    stands on the page; ``share`` is its length of training, of the paper's. ``methods`` are those
    of the setting by name, full precision among them; ``contrasts`` are QKD's, by what it is
    compared with."""

    anchor: str
    setting: str
    steps: int
    share: float
    methods: dict[str, MethodRow]
    contrasts: dict[str, Compared]


def headline(sections: Sequence[Section]) -> list[HeadlineRow]:
    """The settings in the order of the page, longest training first. Of a setting that two matrices
    have, the one with more seeds; smoke runs say nothing of any method."""
    found: dict[tuple[str, int], HeadlineRow] = {}
    for section in sections:
        if section.scale in SHOWN_SCALES:
            for row in _of(section):
                key = row.setting, row.steps
                if key not in found or row.methods[QKD].n > found[key].methods[QKD].n:
                    found[key] = row
    return sorted(found.values(), key=lambda row: -row.share)


def _of(section: Section) -> Iterator[HeadlineRow]:
    for group in section.groups:
        methods = {one.method: one for one in rows(group.methods, MethodRow)}
        if QKD not in methods or not methods[QKD].n:
            continue
        qkd = methods[QKD]
        beside = [one.methods for one in section.groups if one.place == group.place]
        every = (one for frame in beside for one in rows(frame, MethodRow))
        methods = {one.method: one for one in every if one.method == "fp"} | methods
        yield HeadlineRow(
            anchor=section.anchor,
            setting=f"{qkd.student} \N{LEFTWARDS ARROW} {qkd.teacher} on {qkd.dataset}, {qkd.bits}",
            steps=qkd.steps,
            share=_share(group),
            methods=methods,
            contrasts={
                one.contrast.second: one
                for one in group.compared
                if (one.contrast.first, one.contrast.second) in CONTRASTS and one.paired
            },
        )


def _share(group: Group) -> float:
    """QKD's passes over the images that it trains on, of those that the paper makes."""
    own = rows(group.cells[group.cells["method"] == QKD], CellRow)[0].records.cell
    history = own.history
    passes = history.steps / history.data.epoch_steps(history.recipe.batch)
    return passes / own.method.epochs


class Difference(NamedTuple):
    """A difference of the first screen's figure, in points."""

    setting: str
    contrast: str
    share: float
    mean: float
    low: float | None
    high: float | None


def difference_rows(found: Sequence[HeadlineRow]) -> pd.DataFrame:
    """QKD's differences by setting and length."""
    return tidy(
        Difference,
        (
            Difference(row.setting, one.contrast.label, row.share, *one.paired[:3])
            for second in (second for _, second in CONTRASTS)
            for row in found
            if (one := row.contrasts.get(second)) and one.paired
        ),
    )
