"""What `make repeatability` found on a machine, as values (torch-free).

Two trainings of the same cell differ by the seed, or by the processor's instruction set alone.
"""

import math
from collections.abc import Iterable, Iterator
from itertools import combinations
from typing import Annotated, Literal

import msgspec

from benchmarks.speed.figures import Machine
from qkd.records.schema import Percent, Share
from qkd.spec.value import Count, NotNegative, Value

FOLDER = "repeatability"
Between = Literal["instruction sets", "seeds"]
BETWEEN: tuple[Between, ...] = ("instruction sets", "seeds")


class Run(Value, kw_only=True):
    """One training: its bits (``W2A2``, ``FP``), instruction set and seed, and what came of it.

    ``capability`` is the instruction set that torch says it took.
    """

    bits: str
    instructions: str
    capability: str
    seed: Annotated[int, msgspec.Meta(ge=0)]
    top1: Percent
    weights_sha256: str


class Pair(Value, kw_only=True):
    """Two runs, by their numbers in the list of them. ``differing``: the share of the test images
    that they answer otherwise, right or wrong; ``distance``: that of their weights, relative to the
    weights (`distance`)."""

    first: Annotated[int, msgspec.Meta(ge=0)]
    second: Annotated[int, msgspec.Meta(ge=0)]
    differing: Share
    distance: NotNegative


class Row(Value, kw_only=True):
    """What the pairs of some bits have in common: means of ``differing`` and ``distance``, and the
    root of the mean squared difference in top-1, in points."""

    bits: str
    between: Between
    pairs: Count
    differing: Share
    top1_rms: NotNegative
    distance: NotNegative


class Repeatability(Value, kw_only=True):
    """All that one run of the command found; ``rows`` follow from the runs and their pairs.

    ``cell`` names network, data and length; ``images`` is how many test images there are.
    """

    machine: Machine
    cell: str
    steps: Count
    images: Count
    runs: tuple[Run, ...]
    pairs: tuple[Pair, ...]
    rows: tuple[Row, ...]

    def __post_init__(self) -> None:
        super().__post_init__()
        for pair in self.pairs:
            if max(pair.first, pair.second) >= len(self.runs):
                raise ValueError(f"a pair names run {max(pair.first, pair.second)}: there is none")
        if not _alike(self.rows, list(rows_of(self.runs, self.pairs))):
            raise ValueError("the rows do not follow from the runs and their pairs")


def couples(runs: tuple[Run, ...]) -> Iterator[tuple[int, int]]:
    """The runs that are compared: of the same bits, either seed or instruction set the same."""
    for first, second in combinations(range(len(runs)), 2):
        if between(runs[first], runs[second]) is not None:
            yield first, second


def between(one: Run, other: Run) -> Between | None:
    """What alone tells two runs apart; None where it is more than one thing, or nothing."""
    if one.bits != other.bits:
        return None
    sets, seeds = one.instructions == other.instructions, one.seed == other.seed
    if sets == seeds:
        return None
    return "seeds" if sets else "instruction sets"


def rows_of(runs: tuple[Run, ...], pairs: Iterable[Pair]) -> Iterator[Row]:
    """The table: for each bits, in the order of the runs, both kinds of pairs."""
    known = list(pairs)
    for bits in dict.fromkeys(run.bits for run in runs):
        for kind in BETWEEN:
            found = [
                pair
                for pair in known
                if runs[pair.first].bits == bits
                and between(runs[pair.first], runs[pair.second]) == kind
            ]
            if found:
                squares = [(runs[p.first].top1 - runs[p.second].top1) ** 2 for p in found]
                yield Row(
                    bits=bits,
                    between=kind,
                    pairs=len(found),
                    differing=_mean([pair.differing for pair in found]),
                    top1_rms=math.sqrt(_mean(squares)),
                    distance=_mean([pair.distance for pair in found]),
                )


def _mean(values: list[float]) -> float:
    return math.fsum(values) / len(values)


def _alike(rows: Iterable[Row], expected: Iterable[Row]) -> bool:
    rows, expected = list(rows), list(expected)
    return len(rows) == len(expected) and all(
        (one.bits, one.between, one.pairs) == (other.bits, other.between, other.pairs)
        and math.isclose(one.differing, other.differing, abs_tol=1e-9)
        and math.isclose(one.top1_rms, other.top1_rms, abs_tol=1e-9)
        and math.isclose(one.distance, other.distance, abs_tol=1e-9)
        for one, other in zip(rows, expected, strict=True)
    )
