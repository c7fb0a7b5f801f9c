"""Estimates with their standard errors: tests, intervals, sums and weighted means of them, and
power. Pure functions of numbers, in points of top-1; distributions are scipy's."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy
from scipy import special, stats

from report.analysis.statistics import NO_SPREAD

LARGE_NONCENTRALITY = 20.0


class Estimate(NamedTuple):
    """A difference with its standard error, which has ``freedom`` degrees of freedom; None where a
    side has a single run."""

    mean: float
    error: float | None = None
    freedom: float = 0.0

    @property
    def is_tested(self) -> bool:
        """Whether there is a spread to judge it by."""
        return self.error is not None and self.error > NO_SPREAD

    @property
    def p(self) -> float | None:
        """The two-sided p of Student's t test that it is zero; None without a spread."""
        if self.error is None or not self.is_tested:
            return None
        return float(2 * stats.t.sf(abs(self.mean) / self.error, self.freedom))

    def interval(self, confidence: float = 0.95) -> tuple[float | None, float | None]:
        """Its ends by Student's t distribution; None where a side has a single run."""
        if self.error is None:
            return None, None
        if not self.is_tested:
            return self.mean, self.mean
        low, high = stats.t.interval(confidence, self.freedom, self.mean, self.error)
        return float(low), float(high)

    def less(self, other: "Estimate") -> "Estimate":
        """The difference of two independent estimates."""
        mean = self.mean - other.mean
        if self.error is None or other.error is None:
            return Estimate(mean)
        parts = [self.error**2, other.error**2]
        freedom = satterthwaite(parts, [self.freedom, other.freedom])
        return Estimate(mean, math.sqrt(sum(parts)), freedom)


def satterthwaite(parts: Sequence[float], freedoms: Sequence[float]) -> float:
    """The degrees of freedom of a sum of independent variances (Satterthwaite 1946)."""
    shares = sum(part**2 / own for part, own in zip(parts, freedoms, strict=True) if part)
    return sum(parts) ** 2 / shares if shares else sum(freedoms)


class WeightedMean(NamedTuple):
    """A mean over settings, and Cochran's test that they differ by chance alone (None: of one)."""

    estimate: Estimate
    settings: int
    homogeneity: float | None


def weighted_mean(estimates: Sequence[Estimate]) -> WeightedMean | None:
    """The mean of independent estimates, each weighted by the inverse of its squared standard error
    (Cochran 1954); of those that have a spread. None where none has.

    Its standard error allows for weights that are estimated too, of few degrees of freedom each
    (Meier 1953): without that a 95 % interval over three settings of six degrees held 88 %.
    """
    tested = [(one, one.error) for one in estimates if one.error is not None and one.is_tested]
    if not tested:
        return None
    weights = numpy.array([error**-2 for _, error in tested])
    means = numpy.array([one.mean for one, _ in tested])
    total = float(weights.sum())
    mean = float(weights @ means / total)
    freedoms = numpy.array([one.freedom for one, _ in tested])
    shares = weights / total
    error = math.sqrt((1 + 4 * float((shares * (1 - shares) / freedoms).sum())) / total)
    freedom = satterthwaite([*map(float, weights)], [*map(float, freedoms)])
    apart = float(weights @ (means - mean) ** 2)
    homogeneity = float(stats.chi2.sf(apart, len(tested) - 1)) if len(tested) > 1 else None
    return WeightedMean(Estimate(mean, error, freedom), len(tested), homogeneity)


def power(error: float, freedom: float, effect: float, alpha: float) -> float:
    """The chance that a two-sided t test with this standard error sees a true ``effect``, by the
    noncentral t distribution."""
    if error < NO_SPREAD:
        return 1.0
    critical = float(special.stdtrit(freedom, 1 - alpha / 2))
    noncentrality = abs(effect) / error
    if noncentrality > LARGE_NONCENTRALITY:  # the normal part no longer matters; nct overflows
        return float(special.chdtr(freedom, freedom * (noncentrality / critical) ** 2))
    # Below the lower bound by its mirror image: far out the function itself is not a number.
    within = special.nctdtr(freedom, [noncentrality, -noncentrality], critical)
    return float(min(1.0, (1 - within).sum()))
