"""The one-way layout of a setting: methods are groups, runs are replicates. What spread its
contrasts are judged by."""

import math
import warnings
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy
from scipy import stats

from report.analysis.estimates import Estimate
from report.analysis.statistics import ALPHA, NO_SPREAD

Groups = Mapping[str, Sequence[float]]


class Layout(NamedTuple):
    """The top-1s of each method, and the spread that they share: the residual standard deviation,
    with its degrees of freedom; ``bartlett`` is the p of Bartlett's test that they do share one.
    None where no two methods have two runs."""

    groups: Groups
    spread: float | None
    freedom: int
    bartlett: float | None

    @property
    def is_pooled(self) -> bool:
        """Whether contrasts are judged by the common spread; else each by that of its own two."""
        return self.bartlett is None or self.bartlett >= ALPHA

    def mean(self, name: str) -> Estimate | None:
        """The mean of a method, with the standard error that the common spread or its own gives;
        None where it has no run."""
        values = self.groups.get(name, ())
        if not values:
            return None
        mean = float(numpy.mean(values))
        if len(values) < 2 or self.spread is None:
            return Estimate(mean)
        if self.is_pooled:
            return Estimate(mean, self.spread / math.sqrt(len(values)), self.freedom)
        return Estimate(mean, float(stats.sem(values)), len(values) - 1)

    def difference(self, first: str, second: str) -> Estimate | None:
        """The mean of ``first`` less that of ``second``, by Student's t test with the common spread
        or by Welch's; None where one of them has no run."""
        ours, theirs = self.groups.get(first, ()), self.groups.get(second, ())
        if not ours or not theirs:
            return None
        mean = float(numpy.mean(ours) - numpy.mean(theirs))
        if min(len(ours), len(theirs)) < 2 or self.spread is None:
            return Estimate(mean)
        if self.is_pooled:
            error = self.spread * math.sqrt(1 / len(ours) + 1 / len(theirs))
            return Estimate(mean, error, self.freedom)
        return _welch(mean, ours, theirs)


def layout(groups: Groups) -> Layout:
    """Of the runs of each method; one with a single run says nothing of the spread."""
    several = [numpy.asarray(values, float) for values in groups.values() if len(values) > 1]
    freedom = sum(len(values) - 1 for values in several)
    if not several:
        return Layout(groups, None, 0, None)
    within = sum(float(((values - values.mean()) ** 2).sum()) for values in several)
    spread = math.sqrt(within / freedom)
    return Layout(groups, spread, freedom, _bartlett(several))


def _bartlett(groups: Sequence[numpy.typing.NDArray[numpy.float64]]) -> float | None:
    """None where there is nothing to compare. Where some do not vary at all and others do, the
    statistic has no end, and its p is 0."""
    spreads = [float(values.std(ddof=1)) for values in groups]
    if len(groups) < 2 or max(spreads) < NO_SPREAD:
        return None
    if min(spreads) < NO_SPREAD:
        return 0.0
    p = float(stats.bartlett(*groups).pvalue)
    return 1.0 if math.isnan(p) else p  # rounding made the statistic of equal spreads negative


def _welch(mean: float, first: Sequence[float], second: Sequence[float]) -> Estimate:
    error = math.hypot(stats.sem(first), stats.sem(second))
    if error < NO_SPREAD:
        return Estimate(mean, 0.0, len(first) + len(second) - 2)
    with warnings.catch_warnings():
        # Of a side that does not vary, which here is no loss of precision but what was observed.
        warnings.simplefilter("ignore", RuntimeWarning)
        freedom = float(stats.ttest_ind(first, second, equal_var=False).df)
    return Estimate(mean, error, freedom)
