"""The histograms of a run's weights: before the first step of its path, and after the last."""

from collections.abc import Sequence
from typing import NamedTuple

from qkd.records.histograms import LayerWeights, WeightHistograms
from qkd.records.record import Record
from report.reading.records import Outcome


class LayerChange(NamedTuple):
    """The same weights of a layer at two moments."""

    before: LayerWeights
    after: LayerWeights


class Histograms(NamedTuple):
    """All quantized layers of a run, in their order."""

    edges: tuple[float, ...]
    layers: tuple[LayerChange, ...]


def histograms(path: Sequence[Outcome]) -> Histograms | None:
    """Those of a run that is done, whose stages ``path`` has; None where its records hold none.

    Raises ValueError, or what else is in BAD_FILE, where they are damaged.
    """
    ends = [Record(outcome.path) for outcome in (path[0], path[-1])]
    if not all(record.histograms_file.exists() for record in ends):
        return None
    first, last = map(_read, ends)
    if first.edges != last.edges:
        raise ValueError("the first and the last stage have other bins")
    pairs = list(zip(first.before, last.after, strict=True))
    if len({before.layer for before, _ in pairs}) < len(pairs):
        raise ValueError("two layers have the same name")
    return Histograms(first.edges, tuple(_same(*pair) for pair in pairs))


def _read(record: Record) -> WeightHistograms:
    path = record.histograms_file
    try:
        return record.read(path, WeightHistograms)
    except ValueError as error:
        raise ValueError(str(error).replace(f"{record.path}/", f"{record.path.name}: ")) from error


def _same(before: LayerWeights, after: LayerWeights) -> LayerChange:
    """Raises ValueError where these are not the same weights, or none."""
    elements = sum(before.counts), sum(after.counts)
    if before.layer != after.layer or elements[0] != elements[1] or not elements[0]:
        raise ValueError(
            f"{elements[0]} weights of layer {before.layer} became {elements[1]} of {after.layer}"
        )
    return LayerChange(before, after)
