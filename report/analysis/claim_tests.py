"""The tests of a claim that compare methods with each other, each with its rule."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from benchmarks.matrix import ScaleName
from report.analysis.contrasts import Compared, judged
from report.analysis.estimates import Estimate
from report.analysis.evidence import (
    Decision,
    Evidence,
    Found,
    Verdict,
    behind_it,
    in_short,
    method,
    of_place,
    settings,
    together,
)
from report.analysis.joined import Joined
from report.analysis.sections import Group
from report.analysis.statistics import ALPHA
from report.analysis.verdicts import (
    EQUIVALENT,
    EXPLORATORY,
    HIGHER,
    LOWER,
    MARGIN,
    NO_PROOF,
)
from report.texts import p_value, signed


class Contrasted(NamedTuple):
    """The fixed contrast ``first - second`` has the claimed sign."""

    first: str
    second: str
    sign: int = 1

    @property
    def rule(self) -> str:
        """By the fixed contrast's corrected p and its sign."""
        return (
            f"The fixed contrast {self.first} less {self.second}, its mean over the settings of a "
            "scale, each weighted by the inverse of its squared standard error: a p below "
            f"{ALPHA}, corrected by Holm's method within its family, with a "
            f"{'positive' if self.sign > 0 else 'negative'} mean supports the claim, with the "
            f"other sign contradicts it. Equivalent where the 90 % interval lies within {MARGIN} "
            "points of zero and the settings agree (Cochran's p). Nothing is corrected over "
            "settings."
        )

    def evidence(self, found: Found) -> Iterator[Evidence]:
        """Of every setting that has both methods."""
        for section, group in settings(found.sections):
            for one in group.compared:
                names = one.contrast.first, one.contrast.second
                if one.contrast.fixed and one.estimate and names == (self.first, self.second):
                    yield Evidence(
                        scale=section.scale,
                        section=section.anchor,
                        setting=group.setting,
                        numbers=_numbers(one, one.estimate),
                        word=one.verdict,
                        estimate=one.estimate if one.is_proven else None,
                        joined=_mean_of(found, section.scale, one),
                        power=one.corrected_power,
                        was_seen=one.was_seen,
                    )

    def decide(self, own: Sequence[Evidence]) -> Decision:
        """By the mean over settings; by those that were seen before only where no other ran."""
        if not own:
            return Decision(Verdict.NOT_TESTED)
        means = [one.joined for one in own if one.joined]
        if not means:
            is_seen = all(one.was_seen for one in own)
            return Decision(Verdict.EXPLORATORY if is_seen else Verdict.UNDECIDED)
        mean = min(means, key=lambda one: one.was_seen)
        behind = behind_it(mean.mean.estimate, mean.mean.settings)
        return Decision(_of_claim(mean.verdict, self.sign), behind)


def _mean_of(found: Found, scale: ScaleName, one: Compared) -> Joined | None:
    """The mean over settings that the contrast is part of, or would be."""
    alike = (
        mean
        for mean in found.joined
        if (mean.scale, mean.was_seen) == (scale, one.was_seen)
        and (mean.contrast.first, mean.contrast.second) == (one.contrast.first, one.contrast.second)
    )
    return next(alike, None)


def _numbers(one: Compared, estimate: Estimate) -> str:
    """``+2.00 points [1.75, 2.25], n = 3, Holm p < 0.001``."""
    text = f"{signed(estimate.mean)} points, n = {counted(one.n)}"
    if one.corrected is None:
        return f"{text}: no spread to judge it by"
    text = f"{in_short(estimate)} points, n = {counted(one.n)}, Holm p {p_value(one.corrected)}"
    return text if one.is_proven else f"{text}; {NO_PROOF}"


def counted(n: tuple[int, int]) -> str:
    """How many runs both methods have: ``5``, or ``5 and 2``."""
    return " and ".join(dict.fromkeys(map(str, n)))


def _of_claim(word: str, sign: int) -> Verdict:
    """What the word of a contrast says of a claim that predicts its sign."""
    if word in (HIGHER, LOWER):
        agrees = (word == HIGHER) == (sign > 0)
        return Verdict.SUPPORTED if agrees else Verdict.CONTRADICTED
    return {EQUIVALENT: Verdict.EQUIVALENT, EXPLORATORY: Verdict.EXPLORATORY}.get(
        word, Verdict.UNDECIDED
    )


class Interaction(NamedTuple):
    """What ``first - second`` adds at few bits is less than what it adds in full precision."""

    first: str
    second: str
    full_first: str
    full_second: str

    @property
    def rule(self) -> str:
        """By the p of the difference of two differences, and its sign."""
        return (
            f"The interaction ({self.first} less {self.second}) less ({self.full_first} less "
            f"{self.full_second}), its weighted mean over the settings that have all four: a 95 % "
            "interval below zero supports the claim, above zero contradicts it. One test, not "
            "corrected."
        )

    def evidence(self, found: Found) -> Iterator[Evidence]:
        """Of every setting that has all four methods, those in full precision beside it."""
        for section, group in settings(found.sections):
            quantized = _difference([group], self.first, self.second)
            full = _difference(of_place(section, group), self.full_first, self.full_second)
            if quantized is None or full is None:
                continue
            estimate = quantized.less(full)
            sides = [row for name in self[:2] if (row := method(group, name))]
            is_proven = all(row.is_proven for row in sides)
            text = (
                f"{in_short(estimate)} points: {in_short(quantized)} at {sides[0].bits}, "
                f"{in_short(full)} in full precision"
            )
            yield Evidence(
                scale=section.scale,
                section=section.anchor,
                setting=group.setting,
                numbers=text if is_proven else f"{text}; {NO_PROOF}",
                word=EXPLORATORY if group.was_seen else judged(estimate, estimate.p),
                estimate=estimate if is_proven else None,
                was_seen=group.was_seen,
            )

    def decide(self, own: Sequence[Evidence]) -> Decision:
        """A negative interaction supports the claim."""
        decision = together(own, 0.0, 1 - ALPHA)
        turned = {
            Verdict.SUPPORTED: Verdict.CONTRADICTED,
            Verdict.CONTRADICTED: Verdict.SUPPORTED,
        }
        return decision._replace(verdict=turned.get(decision.verdict, decision.verdict))


def _difference(groups: Sequence[Group], first: str, second: str) -> Estimate | None:
    """Of the first setting that has several runs of both in one layout."""
    for group in groups:
        for one in group.layouts:
            estimate = one.difference(first, second)
            if estimate is not None and estimate.error is not None:
                return estimate
    return None
