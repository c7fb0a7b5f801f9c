"""The words that a comparison ends in, and the margin that they rest on."""

from report.analysis.statistics import Interval

COMPARED_SCALE = "paper"  # alone is set against the paper's claims and numbers
MARGIN = 0.5

HIGHER, LOWER = "higher", "lower"
EQUIVALENT = "equivalent"
UNDECIDED = "undecided"
EXPLORATORY = "exploratory"
REPRODUCED = "reproduced"
NOT_REPRODUCED = "not reproduced"
INCONCLUSIVE = "inconclusive"
IDENTICAL = "identical"
SINGLE_RUN = "single run"
FAILED = "failed"
NOT_RUN = "not run"
OTHER_ARITHMETIC = "of another arithmetic"
NOT_COMPARED = "not compared"
NO_PROOF = "no integer proof"


def is_equivalent(low: float | None, high: float | None, margin: float = MARGIN) -> bool:
    """Whether the interval of a difference lies within the margin to both sides of zero."""
    return low is not None and high is not None and -margin <= low and high <= margin


def equivalence(difference: Interval, margin: float = MARGIN) -> str:
    """Reproduced where the 90 % interval of the difference lies within the margin, not reproduced
    where it lies wholly outside, else inconclusive; single run where there is no interval."""
    if difference.low is None or difference.high is None:
        return SINGLE_RUN
    if is_equivalent(difference.low, difference.high, margin):
        return REPRODUCED
    if difference.low > margin or difference.high < -margin:
        return NOT_REPRODUCED
    return INCONCLUSIVE


def overall(verdicts: list[str]) -> str:
    """One word for several comparisons: as good as the worst of them."""
    for worst in (NOT_REPRODUCED, INCONCLUSIVE, SINGLE_RUN):
        if worst in verdicts:
            return worst
    return REPRODUCED if verdicts else NOT_COMPARED
