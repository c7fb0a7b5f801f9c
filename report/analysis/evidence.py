"""What the runs say of a claim of the paper: evidence by settings, and how it is taken together."""

from collections.abc import Iterator, Sequence
from enum import StrEnum
from typing import NamedTuple, Protocol

from benchmarks.matrix import ScaleName
from report.analysis.estimates import Estimate, weighted_mean
from report.analysis.joined import SHOWN_SCALES, Joined, joined
from report.analysis.methods import MethodRow
from report.analysis.sections import Group, Section
from report.frames.tidy import rows
from report.reading.paper import About, ClaimedNumber
from report.texts import bracket, signed


class Verdict(StrEnum):
    """What the runs of a scale say of a claim."""

    SUPPORTED = "supported"
    CONTRADICTED = "contradicted"
    EQUIVALENT = "equivalent"
    UNDECIDED = "undecided"
    EXPLORATORY = "exploratory"
    NOT_TESTED = "not tested"


class Evidence(NamedTuple):
    """What one setting says: where it stands on the page, the numbers, its own word.

    ``estimate`` is what the claim is judged by, None without a spread or without integer proofs.
    ``joined`` is the mean that it is part of, of a fixed contrast. ``power`` is the least chance
    that its test had of seeing half a point; None where unknown. ``was_seen``: its runs were seen
    before the analysis was fixed.
    """

    scale: ScaleName
    section: str
    setting: str
    numbers: str
    word: str
    estimate: Estimate | None = None
    joined: Joined | None = None
    power: float | None = None
    was_seen: bool = False


class Found(NamedTuple):
    """All that was run, what its settings say together, and the claimed numbers."""

    sections: Sequence[Section]
    joined: Sequence[Joined]
    paper: dict[About, ClaimedNumber]


def found_in(sections: Sequence[Section], paper: dict[About, ClaimedNumber]) -> Found:
    """With the settings taken together."""
    return Found(sections, joined(sections), paper)


class Decision(NamedTuple):
    """What a claim is found to be at a scale, and the numbers that say so, in short."""

    verdict: Verdict
    behind: str = ""


class ClaimTest(Protocol):
    """A test of a claim, which states its own rule."""

    @property
    def rule(self) -> str:
        """When the runs of a scale support the claim, and when they contradict it."""

    def evidence(self, found: Found) -> Iterator[Evidence]:
        """One for each setting that tests the claim, in the order of the page."""

    def decide(self, own: Sequence[Evidence]) -> Decision:
        """What the evidence of a scale says."""


def together(own: Sequence[Evidence], threshold: float, confidence: float) -> Decision:
    """By the weighted mean over the settings: supported where its interval lies above the
    threshold, contradicted where below. Settings that were seen before the analysis was fixed
    count in none that were not, and decide nothing."""
    fresh = [one for one in own if not one.was_seen]
    if not own:
        return Decision(Verdict.NOT_TESTED)
    mean = weighted_mean([one.estimate for one in fresh or own if one.estimate])
    if mean is None:
        return Decision(Verdict.UNDECIDED if fresh else Verdict.EXPLORATORY)
    behind = behind_it(mean.estimate, mean.settings, confidence)
    if not fresh:
        return Decision(Verdict.EXPLORATORY, behind)
    return Decision(beside(mean.estimate, threshold, confidence), behind)


def beside(estimate: Estimate, threshold: float, confidence: float) -> Verdict:
    """Whether the interval lies above the threshold, or below it."""
    low, high = estimate.interval(confidence)
    if low is None or high is None or low <= threshold <= high:
        return Verdict.UNDECIDED
    return Verdict.SUPPORTED if low > threshold else Verdict.CONTRADICTED


def behind_it(estimate: Estimate, settings: int, confidence: float = 0.95) -> str:
    """``+0.52 [0.10, 0.94]``, and over how many settings where these are several."""
    text = in_short(estimate, confidence)
    return f"{text}, {settings} settings" if settings > 1 else text


def in_short(estimate: Estimate, confidence: float = 0.95) -> str:
    """``+0.52 [0.10, 0.94]``, or the difference alone."""
    if not estimate.is_tested:
        return signed(estimate.mean)
    return f"{signed(estimate.mean)} {bracket(*estimate.interval(confidence))}"


def settings(sections: Sequence[Section]) -> Iterator[tuple[Section, Group]]:
    """Those of the scales that say something of a method."""
    for section in sections:
        if section.scale in SHOWN_SCALES:
            for group in section.groups:
                yield section, group


def method(group: Group, name: str) -> MethodRow | None:
    """A method of the setting."""
    return next(iter(rows(group.methods[group.methods["method"] == name], MethodRow)), None)


def of_place(section: Section, group: Group) -> list[Group]:
    """The settings of a pair and recipe: at other bits, and in full precision, as this one."""
    return [one for one in section.groups if one.place == group.place]
