"""Two methods' networks of a seed on the same test images: McNemar's test."""

from typing import NamedTuple

from report.cells import Reading
from report.parts import Accuracy
from report.statistics import mcnemar
from report.summary import Summary


class SeedTest(NamedTuple):
    """How many images only the first method's network has right, how many only the second's, and
    the p of the exact test."""

    seed: int
    only_first: int
    only_second: int
    p: float


def by_seed(first: Summary, second: Summary) -> tuple[SeedTest, ...]:
    """One for each seed of which both records say which images are right."""
    others = {reading.cell.seed: _accuracy(reading) for reading in second.cells}
    pairs = [(r.cell.seed, _accuracy(r), others.get(r.cell.seed)) for r in first.cells]
    tests = [_test(seed, one, other) for seed, one, other in sorted(pairs, key=lambda p: p[0])]
    return tuple(test for test in tests if test is not None)


def _accuracy(reading: Reading) -> Accuracy | None:
    return reading.outcome.result.student if reading.outcome.result else None


def _test(seed: int, first: Accuracy | None, second: Accuracy | None) -> SeedTest | None:
    ours, theirs = (one.right() if one else None for one in (first, second))
    if ours is None or theirs is None or len(ours) != len(theirs):
        return None
    only_first, only_second = int((ours & ~theirs).sum()), int((theirs & ~ours).sum())
    return SeedTest(seed, only_first, only_second, mcnemar(only_first, only_second))
