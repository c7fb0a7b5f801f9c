"""Claimed numbers beside ours: what a method gains over its own float network and over plain KD,
which do not depend on the float network that was taken."""

from collections.abc import Iterator
from typing import NamedTuple

from benchmarks.matrix import FULL_PRECISION_BITS
from report.analysis.estimates import Estimate
from report.analysis.methods import MethodRow
from report.analysis.sections import Group, Section
from report.analysis.statistics import Interval
from report.analysis.verdicts import NO_PROOF, NOT_RUN, equivalence
from report.frames.tidy import rows
from report.reading.paper import About, ClaimedNumber
from report.texts import NONE, bracket, signed

QKD, FLOAT, KD = "qkd", "fp", "kd"
OVER = {FLOAT: "its own float network", KD: "plain KD"}


class Gain(NamedTuple):
    """What QKD is claimed to gain ``over`` a method, and gains here; None where not run."""

    over: str
    claimed: float
    ours: Estimate | None = None
    verdict: str = NOT_RUN

    @property
    def here(self) -> str:
        """``+1.10 [0.95, 1.25]`` (90 %), or a dash."""
        if self.ours is None:
            return NONE
        interval = bracket(*self.ours.interval(0.90))
        return f"{signed(self.ours.mean)} {interval if interval != NONE else ''}".strip()

    @property
    def text(self) -> str:
        """``over plain KD claimed +0.50, here +0.41 [0.20, 0.62]: reproduced``."""
        return f"over {OVER[self.over]} claimed {signed(self.claimed)}, here {self.here}: " + (
            self.verdict
        )


def gains(
    of: About, paper: dict[About, ClaimedNumber], ran: tuple[Section, Group] | None = None
) -> Iterator[Gain]:
    """Of a claimed number of QKD over those of the same network that are claimed too."""
    dataset, model, method, weight_bits, activation_bits = of
    if method != QKD:
        return
    full = dataset, model, FLOAT, FULL_PRECISION_BITS, FULL_PRECISION_BITS
    number = paper[of]
    for over, other in (
        (FLOAT, paper.get(full)),
        (KD, paper.get((dataset, model, KD, weight_bits, activation_bits))),
    ):
        if other is not None:
            one = Gain(over, number.top1 - other.top1)
            yield _with_ours(one, *ran) if ran else one


def _with_ours(one: Gain, section: Section, group: Group) -> Gain:
    ours = _ours(one.over, section, group)
    if ours is None:
        return one
    beside = ours._replace(mean=ours.mean - one.claimed)
    ends = beside.interval(0.90)
    word = equivalence(Interval(beside.mean, *ends, 0))
    names = (QKD, KD) if one.over == KD else (QKD,)
    found = {row.method: row for row in rows(group.methods, MethodRow)}
    proven = all(found[name].is_proven for name in names)
    return one._replace(ours=ours, verdict=word if proven else NO_PROOF)


def _ours(over: str, section: Section, group: Group) -> Estimate | None:
    if over == KD:
        differences = (one.difference(QKD, KD) for one in group.layouts)
        return next((one for one in differences if one), None)
    own = next((mean for one in group.layouts if (mean := one.mean(QKD))), None)
    full = [
        row.mean
        for one in section.groups
        if one.place == group.place
        for row in rows(one.methods[one.methods["method"] == FLOAT], MethodRow)
        if row.n
    ]
    return own._replace(mean=own.mean - full[0]) if own and full else None
