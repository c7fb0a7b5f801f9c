"""The fixed analysis by hand: pandas and scipy.stats, without the report.

A table of top-1s has a row for each seed and a column for each method of one setting.
"""

import re
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy import stats

HEADLINE = ("qkd - kd", "qkd - qat")
UNRUN = 1  # qkd - qat-cost: the headline fixes it, so that it counts where it was not run
MARGIN = 0.5  # points: within it two methods are equivalent


def half_width(values: pd.Series) -> float:
    return float(stats.t.ppf(0.975, len(values) - 1) * values.sem())


def mean(values: pd.Series) -> str:
    values = values.dropna()
    text = f"{values.mean():.2f}"
    return f"{text} ± {half_width(values):.2f}" if len(values) > 1 else text


class Judged(NamedTuple):
    """A contrast: its mean, its standard error and the degrees of freedom of that."""

    mean: float
    error: float
    freedom: float

    @property
    def text(self) -> str:
        half = float(stats.t.ppf(0.975, self.freedom)) * self.error
        text = f"{self.mean:+.2f} [{self.mean - half:.2f}, {self.mean + half:.2f}]"
        return re.sub(r"-(0\.00)\b", r"\1", text)

    @property
    def power(self) -> float:
        """The chance that the uncorrected test sees half a point at the observed spread."""
        critical = stats.t.ppf(0.975, self.freedom)
        noncentral = stats.nct(self.freedom, 0.5 / self.error)
        return float(noncentral.sf(critical) + noncentral.cdf(-critical))


def quantized(found: pd.DataFrame) -> list[pd.Series]:
    """The top-1s of each quantized method that has several seeds."""
    every = (found[name].dropna() for name in found if not name.startswith("fp"))
    return [values for values in every if len(values) > 1]


def spread(groups: list[pd.Series]) -> tuple[float, int]:
    """The residual standard deviation of the one-way layout, and its degrees of freedom."""
    freedom = sum(len(values) - 1 for values in groups)
    squares = sum(((values - values.mean()) ** 2).sum() for values in groups)
    return float(np.sqrt(squares / freedom)), freedom


def bartlett(groups: list[pd.Series]) -> float:
    return float(stats.bartlett(*groups).pvalue)


def judged(found: pd.DataFrame, contrast: str) -> Judged:
    """By the spread pooled over the methods where Bartlett's test lets it pass, else Welch's."""
    ours, theirs = (found[name].dropna() for name in contrast.split(" - "))
    groups = quantized(found)
    if contrast.startswith("fp"):
        groups = [ours, theirs]
    if bartlett(groups) < 0.05:
        welch = stats.ttest_ind(ours, theirs, equal_var=False)
        return Judged(ours.mean() - theirs.mean(), np.hypot(ours.sem(), theirs.sem()), welch.df)
    common, freedom = spread(groups)
    error = common * np.sqrt(1 / len(ours) + 1 / len(theirs))
    return Judged(ours.mean() - theirs.mean(), error, freedom)


def difference(found: pd.DataFrame, contrast: str) -> str:
    return judged(found, contrast).text


def told_spread(found: pd.DataFrame) -> str:
    common, freedom = spread(quantized(found))
    p = told_agreement(bartlett(quantized(found)))
    return f"{common:.2f} points on {freedom} degrees of freedom (Bartlett's p {p})"


def told_agreement(p: float) -> str:
    """Of Bartlett's or Cochran's test; a third digit where it finds that they do not agree."""
    return f"{p:.2f}" if p >= 0.05 else f"{p:.3f}" if p >= 0.001 else "below 0.001"


def holm(found: pd.DataFrame, phases: tuple[str, ...]) -> dict[str, float]:
    """Each fixed contrast's p, corrected within its family: the headline's, then these."""
    corrected = {}
    for names, size in ((HEADLINE, len(HEADLINE) + UNRUN), (phases, len(phases))):
        ps = {}
        for name in names:
            one = judged(found, name)
            ps[name] = 2 * float(stats.t.sf(abs(one.mean) / one.error, one.freedom))
        highest = 0.0
        for rank, name in enumerate(sorted(ps, key=ps.__getitem__)):
            highest = max(highest, min(1.0, (size - rank) * ps[name]))
            corrected[name] = highest
    return corrected


def ends(one: Judged) -> tuple[float, float]:
    """Of the 90 % interval."""
    half = one.error * float(stats.t.ppf(0.95, one.freedom))
    return one.mean - half, one.mean + half


def not_within(one: Judged) -> float:
    """The p of the nearer of two one-sided tests that the difference lies within the margin."""
    return float(stats.t.sf((MARGIN - abs(one.mean)) / one.error, one.freedom))


def verdict(one: Judged, corrected: float) -> str:
    if corrected < 0.05:
        return "higher" if one.mean > 0 else "lower"
    return "equivalent" if max(map(abs, ends(one))) < MARGIN else "undecided"


def word(one: Judged, corrected: float) -> str:
    """The verdict; where it is undecided which way the mean leans."""
    told = verdict(one, corrected)
    way = "above" if one.mean > 0 else "below"
    return f"{told}: leans {way}, passes no correction" if told == "undecided" else told


def joined(ones: list[Judged]) -> tuple[Judged, float]:
    """The mean of several settings, each weighted by its precision, and Cochran's p that they
    agree. The weights are estimates too: Meier 1953, with Satterthwaite's degrees of freedom."""
    weights = np.array([1 / one.error**2 for one in ones])
    joint = float(np.average([one.mean for one in ones], weights=weights))
    q = float(sum(weights * np.square([one.mean - joint for one in ones])))
    shares = weights / weights.sum()
    guessed = 4 * sum(shares * (1 - shares) / [one.freedom for one in ones])
    error = float(np.sqrt((1 + guessed) / weights.sum()))
    freedom = float(1 / sum(shares**2 / [one.freedom for one in ones]))
    return Judged(joint, error, freedom), float(stats.chi2.sf(q, len(ones) - 1))


def told_p(p: float) -> str:
    return f"{p:.2f}" if p >= 0.095 else f"{p:.3f}" if p >= 0.001 else "below 0.001"


def contrast_row(found: pd.DataFrame, name: str, p: float) -> list[str]:
    """Points with their 95 % interval, the 90 % interval, p after Holm, the verdict."""
    one = judged(found, name)
    low, high = ends(one)
    return [one.text, f"[{low:.2f}, {high:.2f}]", told_p(p), verdict(one, p)]
