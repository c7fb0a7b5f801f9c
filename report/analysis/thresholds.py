"""The tests of a claim that set QKD beside a number: full precision, or the paper's own."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from report.analysis.claimed import gains
from report.analysis.evidence import (
    Decision,
    Evidence,
    Found,
    Verdict,
    beside,
    in_short,
    method,
    of_place,
    settings,
    together,
)
from report.analysis.methods import MethodRow
from report.analysis.sections import Group, Section
from report.analysis.verdicts import COMPARED_SCALE, MARGIN, NO_PROOF
from report.reading.paper import about, plain
from report.texts import fixed, signed


class Recovers(NamedTuple):
    """QKD at ``bits`` is as good as full precision on networks whose name begins so."""

    network: str
    bits: int

    @property
    def rule(self) -> str:
        """By the 90 % interval of QKD less full precision, and the margin."""
        return (
            f"QKD at W{self.bits}A{self.bits} less the same network in full precision as "
            f"pre-trained, on networks named {self.network}...: a 90 % interval of the weighted "
            f"mean over settings wholly above {fixed(-MARGIN, 1)} points supports the claim, "
            "wholly below contradicts it."
        )

    def evidence(self, found: Found) -> Iterator[Evidence]:
        """Of every setting of these bits whose full precision is known."""
        for section, group, ours, reference in _beside_full_precision(found, self):
            yield from _compared(section, group, ours, reference, -MARGIN)

    def decide(self, own: Sequence[Evidence]) -> Decision:
        """By the mean over settings."""
        return together(own, -MARGIN, 0.90)


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
            f"{self.network}...: a 90 % interval of the weighted mean over settings wholly above "
            f"{self.points:g} points supports the claim, wholly below contradicts it. How much is "
            f"drastic, the paper does not say: {self.points:g} points are assumed."
        )

    def evidence(self, found: Found) -> Iterator[Evidence]:
        """Of every setting of these bits whose full precision is known."""
        for section, group, ours, reference in _beside_full_precision(found, self):
            yield from _compared(section, group, ours, reference, self.points, turned=True)

    def decide(self, own: Sequence[Evidence]) -> Decision:
        """By the mean over settings."""
        return together(own, self.points, 0.90)


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
            f"above {fixed(-MARGIN, 1)} points supports the claim, wholly below contradicts it. "
            "What it gains over its own float network and over plain KD stands beside it: these "
            "do not depend on which float network was taken."
        )

    def evidence(self, found: Found) -> Iterator[Evidence]:
        """Of every full-length setting of this network and these bits."""
        of = about(self.dataset, self.network, "qkd", self.bits, self.bits)
        number = found.paper.get(of)
        if number is None or not number.table:
            return
        for section, group in settings(found.sections):
            ours = method(group, "qkd")
            if section.scale != COMPARED_SCALE or ours is None:
                continue
            if ours.about == of and ours.top1s:
                more = "".join(f"; {one.text}" for one in gains(of, found.paper, (section, group)))
                for one in _compared(section, group, ours, number.top1, -MARGIN):
                    claimed = f"claimed {fixed(number.top1)} ({number.mark}): {one.numbers}{more}"
                    yield one._replace(numbers=claimed)

    def decide(self, own: Sequence[Evidence]) -> Decision:
        """By the mean over settings."""
        return together(own, -MARGIN, 0.90)


def _beside_full_precision(
    found: Found, test: Recovers | Drops
) -> Iterator[tuple[Section, Group, MethodRow, float]]:
    """QKD in each setting of the test's networks and bits, and the top-1 of full precision."""
    for section, group in settings(found.sections):
        ours = method(group, "qkd")
        full = next(
            (of for one in of_place(section, group) if (of := method(one, "fp")) and of.n), None
        )
        if ours is None or full is None or not ours.n:
            continue
        if ours.about is None:  # bits that the paper's claims are not of
            continue
        widths = {ours.weight_bits, ours.activation_bits}
        if plain(ours.student).startswith(test.network) and widths == {test.bits}:
            yield section, group, ours, full.mean


def _compared(
    section: Section,
    group: Group,
    ours: MethodRow,
    reference: float,
    threshold: float,
    *,
    turned: bool = False,
) -> Iterator[Evidence]:
    """QKD less the reference, or the other way around, beside the threshold."""
    own = next((mean for one in group.layouts if (mean := one.mean("qkd"))), None)
    if own is None:
        return
    sign = -1 if turned else 1
    estimate = own._replace(mean=sign * (own.mean - reference))
    if estimate.error is None:
        numbers, verdict = f"{signed(estimate.mean)} points in a single run", Verdict.UNDECIDED
    else:
        numbers = f"{in_short(estimate, 0.90)} points (90 %), n = {ours.n}"
        verdict = beside(estimate, threshold, 0.90)
    if not ours.is_proven:
        numbers, verdict = f"{numbers}; {NO_PROOF}", Verdict.UNDECIDED
    yield Evidence(
        scale=section.scale,
        section=section.anchor,
        setting=group.setting,
        numbers=numbers,
        word=(Verdict.EXPLORATORY if group.was_seen else verdict).value,
        estimate=estimate if ours.is_proven else None,
        was_seen=group.was_seen,
    )
