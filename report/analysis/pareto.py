"""Accuracy against what a network costs: points, and which of them lie on the Pareto front."""

from collections.abc import Callable
from typing import NamedTuple

import pandas as pd

from report.texts import kilobytes, millions

WORTH_DRAWING = 1.25


class Measure(NamedTuple):
    """A cost on the horizontal axis: its name, its unit, its column, and its value as text."""

    name: str
    unit: str
    column: str
    text: Callable[[float], str]


MEASURES = (
    Measure("bytes of the packed file", "kB", "packed_bytes", kilobytes),
    Measure("bit operations for one image", "million", "bit_operations", millions),
)


def points(methods: pd.DataFrame, measure: Measure) -> pd.DataFrame:
    """A row for each method that is done and whose cost is recorded, the cheapest first: its label,
    cost, mean, low, high, and whether it is on the front.

    A label names the network too, where there are several. None where all cost about the same.
    """
    cost = methods[measure.column]
    found = methods[(cost > 0) & (methods["n"] > 0)]  # an axis of logarithms has no zero
    names = found["method"] + " " + found["bits"]
    if methods["student"].nunique() > 1:
        names = names + " " + found["student"]
    columns = ["cost", "mean", "low", "high"]
    found = found.assign(label=names, cost=cost)[["label", *columns]].sort_values(["cost", "mean"])
    # Files of one bit width differ by names and headers: no difference that a front should judge.
    if found.empty or found["cost"].max() < WORTH_DRAWING * found["cost"].min():
        found = found.iloc[:0]
    return found.assign(on_front=front(found)).reset_index(drop=True)


def front(points: pd.DataFrame) -> pd.Series:
    """Which no other beats: none costs no more and is no less accurate, one of both truly."""
    highest = points.groupby("cost")["mean"].transform("max")
    before = points["mean"].where(points["mean"] == highest).groupby(points["cost"]).max().cummax()
    cheaper = points["cost"].map(before.shift(fill_value=float("-inf")))
    return (points["mean"] == highest) & (points["mean"] > cheaper)
