"""Where a student's weights lie in their quantizers' ranges: before a stage, and after it.

Kept beside the result, in a file of its own: what a stage leads to does not hang on it.
"""

from typing import cast

import torch
from msgspec.structs import replace
from torch import nn

from qkd.measures.audit import learned
from qkd.quantizers.quantize import quantized_layers
from qkd.quantizers.quantizer import Quantizer
from qkd.records.histograms import LayerWeights, WeightHistograms
from qkd.records.record import BadRecord, Record

REACH, PARTS = 2, 8  # half ranges to each side of the range's middle; bins in half a range
EDGES = tuple(place / PARTS for place in range(-REACH * PARTS, REACH * PARTS + 1))


@torch.no_grad()
def weight_histograms(network: nn.Module) -> tuple[LayerWeights, ...]:
    """Of each quantized layer how many of its float weights lie where in its quantizer's range.

    The range goes from -1, the lowest level, to 1, the highest. For our quantizer that is the
    weight over the interval. For every quantizer it is the place among the levels that its
    ``codes`` give and the audit counts by: of one that bends its weights first (DoReFa, QIL), the
    bent ones.

    Args:
        network: quantized.

    Returns:
        For each layer its name, the ``counts`` in the bins between EDGES and beyond the first and
        the last of them (a bin has its lower edge), the share ``clipped`` and the ``learned``
        scalars of the weights' quantizer by name, both as in the audit.
    """
    rows = []
    for name, layer in quantized_layers(network):
        codes = cast(Quantizer, layer.weight_quantizer).codes(layer.weight)
        middle, half = (codes.highest + codes.lowest) / 2, (codes.highest - codes.lowest) / 2
        places = (codes.positions.flatten() - middle) / half
        bins = torch.bucketize(places, places.new_tensor(EDGES), right=True)
        row = LayerWeights(
            layer=name,
            counts=tuple(torch.bincount(bins, minlength=len(EDGES) + 1).tolist()),
            clipped=int(codes.clipped.sum()) / places.numel(),
            learned=learned(layer.weight_quantizer),
        )
        rows.append(row)
    return tuple(rows)


def keep_before(record: Record, network: nn.Module) -> None:
    """Writes histograms.json as it is until the stage's end: ``edges``, and ``before``.

    Before the first save, so that a stage that goes on finds it there.
    """
    content = WeightHistograms(edges=EDGES, before=weight_histograms(network))
    record.write(record.histograms_file, content)


def keep_after(record: Record, network: nn.Module) -> None:
    """Adds ``after`` to histograms.json.

    Where that is not there (a stage that began by an older code) or is damaged, it stays so: what
    was before is not known any more, and a result is not lost for it.
    """
    try:
        kept = record.read(record.histograms_file, WeightHistograms)
    except BadRecord:
        return
    record.write(record.histograms_file, replace(kept, after=weight_histograms(network)))
