"""The frames of layers: what each quantizer was seen to do, and the weights in its range."""

import math
from collections.abc import Iterator
from typing import NamedTuple

import pandas as pd

from report.frames.cells import CellRow
from report.frames.tidy import rows, tidy
from report.reading.histograms import Histograms


class LayerRow(NamedTuple):
    """A quantizer of a layer of a cell: of its weights, or of its inputs. ``clipped`` is in percent
    of the elements, ``learned`` its scalars by name. ``never_negative``: signed inputs that
    were not seen to be negative."""

    method: str
    seed: int
    stage: str
    layer: str
    tensor: str
    bits: int
    is_signed: bool
    levels: int
    levels_declared: int
    clipped: float
    learned: dict[str, float]
    never_negative: bool


class Bin(NamedTuple):
    """The share of a layer's weights between two places of its quantizer's range (-1 to 1), before
    the first step or after the last, and the share that it clips; both in percent."""

    layer: str
    moment: str
    left: float
    right: float
    share: float
    clipped: float


class Learned(NamedTuple):
    """A learned scalar of a layer's weight quantizer, before the first step and after the last."""

    layer: str
    scalar: str
    before: float
    after: float


def layers(cells: pd.DataFrame) -> pd.DataFrame:
    """Those of every cell that is done and whose record has an audit."""
    return tidy(LayerRow, (one for row in rows(cells, CellRow) for one in layers_of(row)))


def layers_of(row: CellRow) -> Iterator[LayerRow]:
    """Of one cell: a row for a layer's weights, and one for its inputs where they are quantized."""
    result = row.records.own.result
    for layer in result.audit if result else ():
        for tensor, one in (("weights", layer.weights), ("inputs", layer.activations)):
            if one is not None:
                yield LayerRow(
                    row.method,
                    row.seed,
                    row.stage,
                    layer.layer,
                    tensor,
                    one.bits,
                    one.signed,
                    one.levels,
                    one.levels_declared,
                    100 * one.clipped,
                    one.learned,
                    one.never_negative,
                )


def bins(found: Histograms) -> pd.DataFrame:
    """A row a bin; the first and the last are open."""
    ends = [-math.inf, *found.edges, math.inf]
    return tidy(
        Bin,
        (
            Bin(own.layer, moment, left, right, 100 * count / sum(own.counts), 100 * own.clipped)
            for change in found.layers
            for moment, own in zip(("before", "after"), change, strict=True)
            for left, right, count in zip(ends, ends[1:], own.counts, strict=False)
        ),
    )


def learned(found: Histograms) -> pd.DataFrame:
    """A row a scalar that is there at both moments."""
    return tidy(
        Learned,
        (
            Learned(before.layer, name, value, after.learned[name])
            for before, after in found.layers
            for name, value in before.learned.items()
            if name in after.learned
        ),
    )
