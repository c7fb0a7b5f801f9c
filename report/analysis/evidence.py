"""What the runs say of a claim of the paper: the tests that decide one, and their verdicts.

The contrasts, their signs and Holm's correction were fixed before any run. The other rules were
written after the committed laptop runs, before any at full length, and stand on the page.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from enum import StrEnum
from typing import NamedTuple, Protocol

from benchmarks.matrix import ScaleName
from report.analysis.contrasts import Compared
from report.analysis.methods import MethodRow
from report.analysis.sections import Group, Section
from report.analysis.statistics import ALPHA, Paired, mean_interval
from report.analysis.verdicts import COMPARED_SCALE, MARGIN
from report.frames.tidy import rows
from report.reading.paper import About, ClaimedNumber, about, plain
from report.texts import bracket, fixed, p_value, signed

SHOWN_SCALES: tuple[ScaleName, ...] = ("paper", "laptop")  # smoke says nothing of any method


class Verdict(StrEnum):
    """What the runs of a scale say of a claim."""

    SUPPORTED = "supported"
    CONTRADICTED = "contradicted"
    UNDECIDED = "undecided"
    NOT_TESTED = "not tested"


class Evidence(NamedTuple):
    """What one setting says: where it stands on the page, the numbers (in ``short`` the difference
    and its interval alone), the verdict.

    ``power`` is the least chance that its test had of seeing half a point; None where unknown.
    """

    scale: ScaleName
    section: str
    setting: str
    short: str
    numbers: str
    verdict: Verdict
    power: float | None = None


class Found(NamedTuple):
    """All that was run, and the claimed numbers."""

    sections: Sequence[Section]
    paper: dict[About, ClaimedNumber]


class ClaimTest(Protocol):
    """A test of a claim, which states its own rule."""

    @property
    def rule(self) -> str:
        """When a setting supports the claim, and when it contradicts it."""

    def evidence(self, found: Found) -> Iterator[Evidence]:
        """One for each setting that tests the claim, in the order of the page."""


class Contrasted(NamedTuple):
    """The fixed contrast ``first - second`` has the claimed sign."""

    first: str
    second: str
    sign: int = 1

    @property
    def rule(self) -> str:
        """By the fixed contrast's corrected p and its sign."""
        return (
            f"The fixed contrast {self.first} less {self.second}, paired by seed: a corrected "
            f"p below {ALPHA} with a {'positive' if self.sign > 0 else 'negative'} mean supports "
            "the claim, with the other sign contradicts it. Corrected by Holm's method over the "
            "fixed contrasts of a setting, and by Bonferroni's over the settings of a scale."
        )

    def evidence(self, found: Found) -> Iterator[Evidence]:
        """Of every setting that has both methods on a common seed."""
        runs = [
            (section, group, one, one.paired)
            for section, group in _settings(found.sections)
            for one in group.compared
            if one.contrast.fixed and one.paired
            if (one.contrast.first, one.contrast.second) == (self.first, self.second)
        ]
        settings = Counter(one.scale for _, _, one, _ in runs)
        for section, group, one, paired in runs:
            numbers, verdict = self._judged(one, paired, settings[one.scale])
            yield Evidence(
                scale=section.scale,
                section=section.anchor,
                setting=group.setting,
                short=_short(*paired[:3]),
                numbers=numbers,
                verdict=verdict,
                power=one.corrected_power,
            )

    def _judged(self, one: Compared, paired: Paired, settings: int) -> tuple[str, Verdict]:
        mean, low, high, n = paired[:4]
        if one.corrected is None:
            return f"{signed(mean)} points, n = {n}: no spread to judge it by", Verdict.UNDECIDED
        p = min(1.0, settings * one.corrected)
        numbers = f"{signed(mean)} points {bracket(low, high)}, n = {n}, corrected p {p_value(p)}"
        if not one.is_proven:
            return f"{numbers}; no integer proof", Verdict.UNDECIDED
        if p >= ALPHA:
            return numbers, Verdict.UNDECIDED
        return numbers, _either(mean * self.sign > 0)


class Recovers(NamedTuple):
    """QKD at ``bits`` is as good as full precision on networks whose name begins so."""

    network: str
    bits: int

    @property
    def rule(self) -> str:
        """By the 90 % interval of QKD less full precision, and the margin."""
        return (
            f"QKD at W{self.bits}A{self.bits} less the same network in full precision as "
            f"pre-trained, on networks named {self.network}...: a 90 % interval wholly above "
            f"{fixed(-MARGIN, 1)} points supports the claim, wholly below contradicts it."
        )

    def evidence(self, found: Found) -> Iterator[Evidence]:
        """Of every setting of these bits whose full precision is known."""
        for section, group, ours, reference in _beside_full_precision(found.sections, self):
            differences = [value - reference for value in ours.top1s.values()]
            yield _evidence(section, group, ours, differences, -MARGIN)


class Drops(NamedTuple):
    """QKD at ``bits`` is worse than full precision by ``points`` at least, on such networks."""

    network: str
    bits: int
    points: float

    @property
    def rule(self) -> str:
        """By the 90 % interval of the drop; how much is drastic is assumed."""
        return (
            f"Full precision less QKD at W{self.bits}A{self.bits}, on networks named "
            f"{self.network}...: a 90 % interval wholly above {self.points:g} points supports the "
            "claim, wholly below contradicts it. How much is drastic, the paper does not say: "
            f"{self.points:g} points are assumed."
        )

    def evidence(self, found: Found) -> Iterator[Evidence]:
        """Of every setting of these bits whose full precision is known."""
        for section, group, ours, reference in _beside_full_precision(found.sections, self):
            differences = [reference - value for value in ours.top1s.values()]
            yield _evidence(section, group, ours, differences, self.points)


class Reaches(NamedTuple):
    """QKD reaches the paper's own number, which stands in paper.csv with a table."""

    dataset: str
    network: str
    bits: int

    @property
    def rule(self) -> str:
        """By the 90 % interval of ours less the number; at the paper's scale alone."""
        return (
            f"QKD's top-1 on {self.dataset} at W{self.bits}A{self.bits}, {self.network}, less the "
            "claimed number (results/paper.csv), at full length alone: a 90 % interval wholly "
            f"above {fixed(-MARGIN, 1)} points supports the claim, wholly below contradicts it."
        )

    def evidence(self, found: Found) -> Iterator[Evidence]:
        """Of every full-length setting of this network and these bits."""
        of = about(self.dataset, self.network, "qkd", self.bits, self.bits)
        number = found.paper.get(of)
        if number is None or not number.table:
            return
        for section, group in _settings(found.sections):
            ours = _method(group, "qkd")
            if section.scale != COMPARED_SCALE or ours is None:
                continue
            if ours.about == of and ours.top1s:
                differences = [value - number.top1 for value in ours.top1s.values()]
                one = _evidence(section, group, ours, differences, -MARGIN)
                claimed = f"claimed {fixed(number.top1)} ({number.mark}): {one.numbers}"
                yield one._replace(numbers=claimed)


def combined(found: Iterable[Evidence]) -> Verdict:
    """Of the settings of a scale: what those that decide agree on; undecided where none does, or
    where two disagree."""
    words = {one.verdict for one in found}
    decided = words - {Verdict.UNDECIDED}
    if not words:
        return Verdict.NOT_TESTED
    return decided.pop() if len(decided) == 1 else Verdict.UNDECIDED


def _settings(sections: Sequence[Section]) -> Iterator[tuple[Section, Group]]:
    for section in sections:
        if section.scale in SHOWN_SCALES:
            for group in section.groups:
                yield section, group


def _beside_full_precision(
    sections: Sequence[Section], test: Recovers | Drops
) -> Iterator[tuple[Section, Group, MethodRow, float]]:
    """QKD in each setting of the test's networks and bits, and the top-1 of full precision."""
    for section, group in _settings(sections):
        ours = _method(group, "qkd")
        full = next(
            (
                found
                for one in section.groups
                if one.place == group.place
                if (found := _method(one, "fp"))
            ),
            None,
        )
        if ours is None or full is None or not full.n or not ours.n:
            continue
        if ours.about is None:  # bits that the paper's claims are not of
            continue
        widths = {ours.weight_bits, ours.activation_bits}
        if plain(ours.student).startswith(test.network) and widths == {test.bits}:
            yield section, group, ours, full.mean


def _evidence(
    section: Section, group: Group, ours: MethodRow, differences: Sequence[float], threshold: float
) -> Evidence:
    """Whether the 90 % interval of the mean difference lies above the threshold, or below it."""
    mean, low, high, n = mean_interval(differences, 0.90)
    verdict = Verdict.UNDECIDED
    if low is None or high is None:
        numbers = f"{signed(mean)} points in a single run"
    else:
        numbers = f"{signed(mean)} points {bracket(low, high)} (90 %), n = {n}"
        if not low <= threshold <= high:
            verdict = _either(low > threshold)
    if not ours.is_proven:
        numbers, verdict = f"{numbers}; no integer proof", Verdict.UNDECIDED
    return Evidence(
        scale=section.scale,
        section=section.anchor,
        setting=group.setting,
        short=_short(mean, low, high),
        numbers=numbers,
        verdict=verdict,
    )


def _short(mean: float, low: float | None, high: float | None) -> str:
    return signed(mean) if low is None else f"{signed(mean)} {bracket(low, high)}"


def _either(supports: bool) -> Verdict:
    return Verdict.SUPPORTED if supports else Verdict.CONTRADICTED


def _method(group: Group, name: str) -> MethodRow | None:
    return next(iter(rows(group.methods[group.methods["method"] == name], MethodRow)), None)
