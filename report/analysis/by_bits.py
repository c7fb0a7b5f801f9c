"""Top-1 over bits: the paper's Figure 1 from its claimed numbers, and its twin from our runs."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import pandas as pd

from benchmarks.matrix import FULL_PRECISION_BITS
from report.analysis.joined import SHOWN_SCALES
from report.analysis.methods import MethodRow
from report.analysis.sections import Section
from report.analysis.verdicts import COMPARED_SCALE
from report.frames.cells import CellRow
from report.frames.tidy import rows, tidy
from report.reading.paper import About, ClaimedNumber, plain

FIGURE = "Figure 1"  # how the sources of its numbers begin
FLOAT = "float"
PANELS = {"resnet18": "ResNet-18 on ImageNet", "mobilenetv2": "MobileNetV2 on ImageNet"}
DRAWN = {"qkd": "QKD", "kd": "AP* (plain KD)", "qil": "QIL", "dsq": "DSQ"} | {
    "lqnets": "LQ-Net",
    "pact": "PACT",
}
OURS = {"qkd": DRAWN["qkd"], "kd": DRAWN["kd"], "qat": "plain QAT"}
TWINS = OURS | {"kd": "plain KD (AP*)"}
OF_TWINS = "cifar"  # how the names of their data sets begin


class BitsPoint(NamedTuple):
    """A top-1 in percent at a number of bits of weights and activations; ``line`` is the method's
    name, FLOAT where it is full precision (and ``bits`` are 32). ``is_ours``: it was run here."""

    panel: str
    line: str
    bits: int
    mean: float
    low: float | None = None
    high: float | None = None
    is_ours: bool = False


def paper_figure(paper: dict[About, ClaimedNumber], sections: Sequence[Section]) -> pd.DataFrame:
    """The numbers that were read off Figure 1, and beside them what was run here at full length."""
    return tidy(BitsPoint, [*_claimed(paper), *_run(sections)])


def _claimed(paper: dict[About, ClaimedNumber]) -> Iterator[BitsPoint]:
    for (dataset, model, method, bits, _), number in paper.items():
        if dataset == "imagenet" and model in PANELS and number.source.startswith(FIGURE):
            name = FLOAT if bits == FULL_PRECISION_BITS else DRAWN.get(method)
            if name:
                yield BitsPoint(PANELS[model], name, bits, number.top1)


def _run(sections: Sequence[Section]) -> Iterator[BitsPoint]:
    for section in sections:
        if section.scale == COMPARED_SCALE:
            for row in rows(section.methods, MethodRow):
                known = row.about and row.n and plain(row.dataset) == "imagenet"
                name = OURS.get(row.method)
                if known and name and plain(row.student) in PANELS:
                    panel = PANELS[plain(row.student)]
                    yield _point(panel, name, row)


def _point(panel: str, name: str, row: MethodRow) -> BitsPoint:
    return BitsPoint(panel, name, row.weight_bits, row.mean, row.low, row.high, is_ours=True)


class _Own(NamedTuple):
    """A method of a CIFAR setting, and the top-1 of what its student began as."""

    row: MethodRow
    full_precision: float | None


def twin_figure(sections: Sequence[Section]) -> pd.DataFrame:
    """The CIFAR runs of QKD, plain KD and plain QAT: of each pair the training that was run at the
    most numbers of bits, of several such the longest; at each the run with the most seeds."""
    found: dict[tuple[str, str, str], list[_Own]] = {}
    for one in _cifar(sections):
        found.setdefault((one.row.dataset, one.row.student, one.row.teacher), []).append(one)
    return tidy(BitsPoint, (point for own in found.values() for point in _twin(own)))


def _cifar(sections: Sequence[Section]) -> Iterator[_Own]:
    for section in sections:
        for group in section.groups if section.scale in SHOWN_SCALES else ():
            for row in rows(group.methods[group.methods["method"].isin(TWINS)], MethodRow):
                is_known = row.about and row.n and row.weight_bits == row.activation_bits
                if is_known and plain(row.dataset).startswith(OF_TWINS):
                    cells = group.cells[group.cells["method"] == row.method]
                    yield _Own(row, _full_precision(rows(cells, CellRow)[0]))


def _full_precision(row: CellRow) -> float | None:
    starts = row.records.starts if row.records.cell.history.student.start else ()
    result = starts[0].result if starts else None
    return result.student.top1 if result else None


def _twin(own: Sequence[_Own]) -> Iterator[BitsPoint]:
    widths: dict[int, set[int]] = {}
    for each in own:
        widths.setdefault(each.row.steps, set()).add(each.row.weight_bits)
    steps = max(widths, key=lambda length: (len(widths[length]), length))
    alike = [each for each in own if each.row.steps == steps]
    first = alike[0]
    row = first.row
    panel = f"{row.student} \N{LEFTWARDS ARROW} {row.teacher}, {row.dataset}, {steps:,} steps"
    if first.full_precision is not None:
        yield BitsPoint(panel, FLOAT, FULL_PRECISION_BITS, first.full_precision, is_ours=True)
    best: dict[tuple[str, int], MethodRow] = {}
    for method in TWINS:
        for one in (each.row for each in alike if each.row.method == method):
            key = method, one.weight_bits
            if key not in best or one.n > best[key].n:
                best[key] = one
    for (method, _), one in best.items():
        yield _point(panel, TWINS[method], one)
