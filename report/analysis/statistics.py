"""Intervals, McNemar's test and Holm's correction: pure functions of numbers. What scipy.stats has
is its own; by hand stays Holm's family.

Everything is in percentage points of top-1 unless a docstring says otherwise.
"""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy
from numpy.typing import NDArray
from scipy import special, stats

ALPHA = 0.05
EFFECT = 0.5  # points: the difference that the power is of
NO_SPREAD = 1e-9


class Interval(NamedTuple):
    """A mean with its confidence interval; ``low`` and ``high`` are None where n < 2."""

    mean: float
    low: float | None
    high: float | None
    n: int


def half_widths(spread: Any, n: Any, confidence: float = 0.95) -> NDArray[numpy.float64]:
    """Half the widths of the Student-t intervals of means over ``n`` values with these standard
    deviations; NaN where n < 2."""
    enough = numpy.maximum(numpy.asarray(n, float), 1)
    widths = stats.t.ppf((1 + confidence) / 2, enough - 1) * spread / numpy.sqrt(enough)
    return numpy.where(enough < 2, numpy.nan, widths)


def mean_interval(values: Sequence[float], confidence: float = 0.95) -> Interval:
    """The mean and its Student-t interval. Raises ValueError where there is no value."""
    if not values:
        raise ValueError("a mean needs at least one value")
    mean, n = float(numpy.mean(values)), len(values)
    if n < 2:
        return Interval(mean, None, None, n)
    half = float(half_widths(numpy.std(values, ddof=1), n, confidence))
    return Interval(mean, mean - half, mean + half, n)


def noise_band(right: int, images: int, confidence: float = 0.95) -> Interval:
    """The top-1 of one network with Wilson's interval of a binomial share (Wilson 1927): how far
    it may lie from its top-1 on all images of the kind. ``n`` is the number of images.

    Wilson's rather than Clopper and Pearson's, whose interval holds more than its confidence; by
    its formula, as scipy computes a p with it, which takes a page of ten thousand runs too long.
    Raises ValueError where there are no images, or more right than there are.
    """
    if not 0 <= right <= images or images < 1:
        raise ValueError(f"{right} of {images} images cannot be right")
    z, share = float(special.ndtri((1 + confidence) / 2)), right / images
    middle = share + z**2 / (2 * images)
    half = z * math.sqrt(share * (1 - share) / images + (z / (2 * images)) ** 2)
    low, high = ((middle + side) / (1 + z**2 / images) for side in (-half, half))
    # At 0 and at 1 one end is the share itself, which rounding may miss.
    low, high = max(0.0, min(low, share)), min(1.0, max(high, share))
    return Interval(100 * share, 100 * low, 100 * high, images)


def mcnemar(only_first: int, only_second: int) -> float:
    """The two-sided p of McNemar's test in its exact, binomial form (McNemar 1947).

    Of two networks on the same images: ``only_first`` images that only the first has right, and
    ``only_second``. 1 where there is no such image. Raises ValueError for a negative count.
    """
    least = min(only_first, only_second)
    if least < 0:
        raise ValueError(f"{only_first} and {only_second} are no two counts of images")
    both = only_first + only_second
    return float(stats.binomtest(least, both).pvalue) if both else 1.0


def holm(values: Sequence[float], family: int | None = None) -> list[float]:
    """Holm's step-down correction of p values, in their own order (Holm 1979).

    ``family`` is the number of tests fixed beforehand; those of them that were not run count too.
    Raises ValueError where it is less than the number of values.
    """
    size = len(values) if family is None else family
    if size < len(values):
        raise ValueError(f"a family of {size} tests cannot have {len(values)} p values")
    corrected = [0.0] * len(values)
    largest = 0.0
    for rank, place in enumerate(sorted(range(len(values)), key=lambda i: values[i])):
        largest = max(largest, min(1.0, (size - rank) * values[place]))
        corrected[place] = largest
    return corrected


def welch_interval(
    first: Sequence[float], second: Sequence[float], confidence: float = 0.90
) -> Interval:
    """The difference of two independent means, ``first - second``, with Welch's interval.

    ``n`` is the smaller sample's size; no interval where that is below two. Raises ValueError where
    a sample is empty.
    """
    if not first or not second:
        raise ValueError("a difference of means needs a value on both sides")
    mean, n = float(numpy.mean(first) - numpy.mean(second)), min(len(first), len(second))
    if n < 2:
        return Interval(mean, None, None, n)
    parts = [float(numpy.var(values, ddof=1)) / len(values) for values in (first, second)]
    error = math.sqrt(sum(parts))
    if error < NO_SPREAD:
        return Interval(mean, mean, mean, n)
    shares = sum(
        (part / error**2) ** 2 / (len(values) - 1)
        for part, values in zip(parts, (first, second), strict=True)
    )
    low, high = stats.t.interval(confidence, 1 / shares, mean, error)
    return Interval(mean, float(low), float(high), n)
