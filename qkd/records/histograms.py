"""What histograms.json holds: where a student's weights lay (torch-free)."""

from itertools import pairwise
from typing import Annotated

import msgspec

from qkd.records.schema import Content, Share

MOST_EDGES, REACH = 100, 10

Counts = tuple[Annotated[int, msgspec.Meta(ge=0, le=2**62)], ...]
LayerName = Annotated[str, msgspec.Meta(max_length=200)]
Edge = Annotated[float, msgspec.Meta(ge=-REACH, le=REACH)]


class LayerWeights(Content, kw_only=True):
    """A layer's weights at one moment: how many lie in each bin of its quantizer's range, the share
    that it clips, and its learned scalars by name."""

    layer: LayerName
    counts: Counts
    clipped: Share
    learned: dict[str, float]


class WeightHistograms(Content, kw_only=True):
    """histograms.json, of a quantized stage: its weights before the first step and after the last,
    of which a stage at work knows nothing yet. A bin lies between two ``edges``, the first and
    the last one beyond them; -1 and 1 are the ends of a quantizer's range."""

    edges: Annotated[tuple[Edge, ...], msgspec.Meta(max_length=MOST_EDGES)]
    before: tuple[LayerWeights, ...]
    after: tuple[LayerWeights, ...] = ()

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
