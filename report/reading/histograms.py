"""The histograms of a run's weights: before the first step of its path, and after the last."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Annotated, NamedTuple

import msgspec

from qkd.records.record import Record
from qkd.spec.value import Value
from report.reading.parts import Share
from report.reading.records import Outcome, convert

MOST_EDGES, REACH = 100, 10

Counts = tuple[Annotated[int, msgspec.Meta(ge=0, le=2**62)], ...]
Name = Annotated[str, msgspec.Meta(max_length=200)]
Edge = Annotated[float, msgspec.Meta(ge=-REACH, le=REACH)]


class LayerWeights(Value, kw_only=True, forbid_unknown_fields=False):
    """A layer's weights at one moment: how many lie in each bin of its quantizer's range, the share
    that it clips, and its learned scalars by name."""

    layer: Name
    counts: Counts
    clipped: Share
    learned: dict[str, float]


class Kept(Value, kw_only=True, forbid_unknown_fields=False):
    """What histograms.json of a done stage holds. A bin lies between two ``edges``, the first and
    the last one beyond them; -1 and 1 are the ends of a quantizer's range."""

    edges: Annotated[tuple[Edge, ...], msgspec.Meta(max_length=MOST_EDGES)]
    before: tuple[LayerWeights, ...]
    after: tuple[LayerWeights, ...]

    def __post_init__(self) -> None:
        super().__post_init__()
        ascending = all(low < high for low, high in pairwise(self.edges))
        if not ascending or not {-1.0, 1.0}.issubset(self.edges):
            raise ValueError("the edges of the bins do not ascend, or lack the ends of the range")
        for weights in (*self.before, *self.after):
            if len(weights.counts) != len(self.edges) + 1:
                raise ValueError(
                    f"layer {weights.layer} has {len(weights.counts)} counts for "
                    f"{len(self.edges) + 1} bins"
                )


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


def _read(record: Record) -> Kept:
    path = record.histograms_file
    try:
        return convert(path, record.read_json(path), Kept)
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
