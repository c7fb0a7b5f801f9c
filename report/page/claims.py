"""The paper's claims and its numbers: what the runs say of each."""

from collections.abc import Sequence
from typing import NamedTuple

from benchmarks.matrix import ScaleName
from report.analysis.claimed import FLOAT, KD, Gain, gains
from report.analysis.claims import CLAIMS, Claim
from report.analysis.evidence import Evidence, Found, Verdict
from report.analysis.joined import SHOWN_SCALES
from report.analysis.methods import MethodRow
from report.analysis.sections import Group, Section
from report.analysis.verdicts import COMPARED_SCALE, NOT_RUN
from report.frames.tidy import rows
from report.page import words
from report.page.sentences import DISPLAY
from report.page.table import Cell, Column, Table, mark, mean_cell, number, state, table
from report.page.tables import loss_note
from report.page.words import SCALE_TITLES
from report.reading.paper import About, ClaimedNumber
from report.texts import NONE, fixed, signed


class ScaleVerdict(NamedTuple):
    """What the runs of a scale say of a claim; ``behind`` is the numbers that say so."""

    scale: ScaleName
    verdict: Verdict
    behind: str


class ClaimView(NamedTuple):
    """A claim with its verdict at each scale, and the evidence that they rest on."""

    claim: Claim
    verdicts: tuple[ScaleVerdict, ...]
    evidence: tuple[Evidence, ...]


def claim_views(found: Found) -> tuple[ClaimView, ...]:
    """The claims, each decided by its own test over all that was run."""
    return tuple(_claim_view(claim, found) for claim in CLAIMS)


def _claim_view(claim: Claim, found: Found) -> ClaimView:
    evidence = tuple(claim.test.evidence(found))
    verdicts = []
    for scale in SHOWN_SCALES:
        own = [one for one in evidence if one.scale == scale]
        verdicts.append(ScaleVerdict(scale, *claim.test.decide(own)))
    return ClaimView(claim, tuple(verdicts), evidence)


def _verdict(place: int) -> Column[ClaimView]:
    """The column of a scale."""

    def value(view: ClaimView) -> Cell:
        one = view.verdicts[place]
        return Cell(one.verdict, aside=one.behind, kind="state")

    return Column(SCALE_TITLES[SHOWN_SCALES[place]].lower(), value)


CLAIM_COLUMNS: tuple[Column[ClaimView], ...] = (
    Column("claim", lambda view: view.claim.sentence),
    Column("mark", lambda view: mark(view.claim.mark)),
    *map(_verdict, range(len(SHOWN_SCALES))),
    Column(
        "evidence",
        lambda view: "; ".join(
            f"{one.setting} ({one.scale}): {one.numbers}" for one in view.evidence
        ),
    ),
    Column("rule", lambda view: view.claim.test.rule),
)


def claim_table(views: Sequence[ClaimView]) -> Table:
    """The claims as files have them."""
    return table("claims", "The paper's claims", CLAIM_COLUMNS, views)


class Beside(NamedTuple):
    """A claimed number, and our method at full length; None where it was not run. ``gains`` are
    what a number of QKD gains over others of its network, by their names."""

    about: About
    number: ClaimedNumber
    ours: MethodRow | None
    gains: dict[str, Gain]


def _claimed_gain(over: str) -> Column[Beside]:
    return number(
        f"claimed over {words.OVER[over]}",
        lambda of: signed(of.gains[over].claimed if over in of.gains else None),
    )


def _our_gain(over: str) -> Column[Beside]:
    def value(of: Beside) -> Cell:
        one = of.gains.get(over)
        if one is None or one.ours is None:
            return Cell(NONE)
        return Cell(one.here, notes=(one.verdict,))

    return number(f"ours over {words.OVER[over]}", value)


def _ours(of: Beside) -> Cell:
    if of.ours is None:
        return Cell(NONE)
    return mean_cell(of.ours.mean, of.ours.high)._replace(notes=loss_note(of.ours.test_loss))


CLAIMED_COLUMNS: tuple[Column[Beside], ...] = (
    Column("network", lambda of: " ".join((*of.about[:2], f"W{of.about[3]}A{of.about[4]}"))),
    Column("method", lambda of: of.about[2]),
    number("claimed", lambda of: fixed(of.number.top1)),
    Column("mark", lambda of: mark(of.number.mark)),
    Column("source", lambda of: of.number.source),
    number("ours", _ours),
    number("n", lambda of: str(of.ours.n if of.ours else 0)),
    number("points", lambda of: signed(of.ours.difference if of.ours else None)),
    Column("verdict", lambda of: state(of.ours.verdict if of.ours else NOT_RUN)),
    _claimed_gain(FLOAT),
    _our_gain(FLOAT),
    _claimed_gain(KD),
    _our_gain(KD),
)


def claimed_table(sections: Sequence[Section], paper: dict[About, ClaimedNumber]) -> Table | None:
    """Of every number of paper.csv whose method is one of ours; None where there is none.

    Ours is the mean at full length alone; where several runs have it, each has its row.
    """
    found = [
        Beside(of, number, row, {one.over: one for one in gains(of, paper, ran)})
        for of, number in paper.items()
        if of[2] in DISPLAY
        for row, ran in _at_full_length(sections, of) or [(None, None)]
    ]
    title = "Claimed numbers beside ours"
    return (
        table("claimed", title, CLAIMED_COLUMNS, found, caption=words.VERDICTS) if found else None
    )


def _at_full_length(
    sections: Sequence[Section], of: About
) -> list[tuple[MethodRow | None, tuple[Section, Group] | None]]:
    """Our runs of what a number is about, each with its setting."""
    return [
        (row, (section, group))
        for section in sections
        if section.scale == COMPARED_SCALE
        for group in section.groups
        for row in rows(group.methods, MethodRow)
        if row.about == of
    ]
