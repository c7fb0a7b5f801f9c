"""The first screen: what came out, what it says of each claim of the paper, and what was run."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from benchmarks.matrix import ScaleName
from report.analysis.claims import CLAIMS, Claim
from report.analysis.evidence import SHOWN_SCALES, Evidence, Found, Verdict, combined
from report.analysis.headline import QKD, HeadlineRow, difference_rows, headline
from report.analysis.methods import MethodRow
from report.analysis.sections import Section
from report.analysis.verdicts import COMPARED_SCALE, NOT_RUN
from report.figures.drawing import Picture
from report.figures.headline import headline as figure
from report.frames.tidy import rows
from report.page import words
from report.page.facts import Facts, facts
from report.page.sentences import DISPLAY
from report.page.table import Cell, Column, Kind, Table, mark, mean_cell, number, state, table
from report.page.tables import teacher
from report.page.words import SCALE_TITLES
from report.reading.paper import About, ClaimedNumber
from report.texts import MINUS, NONE, bracket, fixed, signed


class ScaleVerdict(NamedTuple):
    """What the runs of a scale say of a claim; ``behind`` is the one setting's numbers, or how many
    of several settings say so."""

    scale: ScaleName
    verdict: Verdict
    behind: str


class ClaimView(NamedTuple):
    """A claim with its verdict at each scale, and the evidence that they rest on."""

    claim: Claim
    verdicts: tuple[ScaleVerdict, ...]
    evidence: tuple[Evidence, ...]


class Answer(NamedTuple):
    """A scale, and what is said of all claims at it."""

    scale: str
    text: str


class Overview(NamedTuple):
    """All that the first screen shows; ``headline`` is a row a setting, None where QKD has not run,
    ``figures`` its differences by length, for a wide window and for a narrow one. ``table`` has the
    claims for files, ``claimed`` the claimed numbers beside ours, None where no number of our
    methods is claimed."""

    headline: Table | None
    figures: tuple[Picture, ...]
    answers: tuple[Answer, ...]
    claims: tuple[ClaimView, ...]
    table: Table
    claimed: Table | None
    runs: Table


def overview(sections: Sequence[Section], paper: dict[About, ClaimedNumber]) -> Overview:
    """The claims, each decided by its own test over all that was run."""
    claims = tuple(_claim_view(claim, sections, paper) for claim in CLAIMS)
    found = headline(sections)
    return Overview(
        headline=_headline_table(found),
        figures=tuple(_figures(found)),
        answers=tuple(_answer(claims, scale) for scale in SHOWN_SCALES),
        claims=claims,
        table=table("claims", "The paper's claims", CLAIM_COLUMNS, claims),
        claimed=claimed_table(sections, paper),
        runs=_run_table(sections),
    )


def _claim_view(
    claim: Claim, sections: Sequence[Section], paper: dict[About, ClaimedNumber]
) -> ClaimView:
    found = tuple(claim.test.evidence(Found(sections, paper)))
    verdicts = tuple(
        _scale_verdict(scale, [one for one in found if one.scale == scale])
        for scale in SHOWN_SCALES
    )
    return ClaimView(claim, verdicts, found)


def _scale_verdict(scale: ScaleName, found: Sequence[Evidence]) -> ScaleVerdict:
    verdict = combined(found)
    if len(found) == 1:
        return ScaleVerdict(scale, verdict, found[0].short)
    agree = sum(one.verdict == verdict for one in found)
    return ScaleVerdict(scale, verdict, f"{agree} of {len(found)} settings" if found else "")


def _answer(claims: Sequence[ClaimView], scale: ScaleName) -> Answer:
    """The verdicts of a scale counted, and how likely its tests were to see half a point."""
    title = SCALE_TITLES[scale]
    counts = Counter(
        one.verdict for claim in claims for one in claim.verdicts if one.scale == scale
    )
    if counts[Verdict.NOT_TESTED] == len(claims):
        return Answer(title, "nothing was tested.")
    said = [f"{counts[verdict]} {verdict.value}" for verdict in Verdict if counts[verdict]]
    text = f"of {len(claims)} claims {_joined(said)}."
    powers = [
        one.power
        for claim in claims
        for one in claim.evidence
        if one.scale == scale and one.power is not None
    ]
    if not powers:
        return Answer(title, text)
    ends = " to ".join(dict.fromkeys((fixed(min(powers)), fixed(max(powers)))))
    return Answer(title, f"{text} {words.SURENESS.format(ends)}")


def _joined(items: Sequence[str]) -> str:
    *most, last = items
    return f"{', '.join(most)} and {last}" if most else last


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


class Beside(NamedTuple):
    """A claimed number, and our method at full length; None where it was not run."""

    about: About
    number: ClaimedNumber
    ours: MethodRow | None


CLAIMED_COLUMNS: tuple[Column[Beside], ...] = (
    Column("network", lambda of: " ".join((*of.about[:2], f"W{of.about[3]}A{of.about[4]}"))),
    Column("method", lambda of: of.about[2]),
    number("claimed", lambda of: fixed(of.number.top1)),
    Column("mark", lambda of: mark(of.number.mark)),
    Column("source", lambda of: of.number.source),
    number("ours", lambda of: mean_cell(of.ours.mean, of.ours.high) if of.ours else NONE),
    number("n", lambda of: str(of.ours.n if of.ours else 0)),
    number("points", lambda of: signed(of.ours.difference if of.ours else None)),
    Column("verdict", lambda of: state(of.ours.verdict if of.ours else NOT_RUN)),
)


def claimed_table(sections: Sequence[Section], paper: dict[About, ClaimedNumber]) -> Table | None:
    """Of every number of paper.csv whose method is one of ours; None where there is none.

    Ours is the mean at full length alone; where several runs have it, each has its row.
    """
    ours: dict[About | None, list[MethodRow | None]] = {}
    for section in sections:
        if section.scale == COMPARED_SCALE:
            for row in rows(section.methods, MethodRow):
                ours.setdefault(row.about, []).append(row)
    found = [
        Beside(about, number, row)
        for about, number in paper.items()
        if about[2] in DISPLAY
        for row in ours.get(about) or [None]
    ]
    title = "Claimed numbers beside ours"
    return (
        table("claimed", title, CLAIMED_COLUMNS, found, caption=words.VERDICTS) if found else None
    )


def _top1(name: str) -> Callable[[HeadlineRow], Cell]:
    """The cell of a method: its top-1 over its test loss."""

    def value(row: HeadlineRow) -> Cell:
        one = row.methods.get(name)
        if one is None:
            return Cell(NONE)
        kind: Kind = "strong" if name == QKD else ""
        return mean_cell(one.mean, one.high, kind)._replace(notes=_loss(one.test_loss))

    return value


def _loss(loss: float | None) -> tuple[str, ...]:
    text = fixed(loss, 3)
    return () if text == NONE else (f"loss {text}",)


def _full_precision(row: HeadlineRow) -> Cell:
    one = row.full_precision
    return Cell(fixed(one.top1), notes=_loss(one.loss)) if one else Cell(NONE)


def _difference(second: str) -> Callable[[HeadlineRow], Cell]:
    """The cell of a contrast: its mean over its interval."""

    def value(row: HeadlineRow) -> Cell:
        one = row.contrasts.get(second)
        if one is None or one.paired is None:
            return Cell(NONE)
        interval = bracket(*one.paired[1:3])
        return Cell(signed(one.paired.mean), notes=() if interval == NONE else (interval,))

    return value


def _length(row: HeadlineRow) -> str:
    return f"{row.steps:,} steps, {100 * row.share:.2g} % of the paper's length"


HEADLINE_COLUMNS: tuple[Column[HeadlineRow], ...] = (
    Column("setting", lambda row: Cell(row.setting, notes=(_length(row),), link=f"#{row.anchor}")),
    Column("float", _full_precision, is_number=True),
    Column("plain QAT", _top1("qat"), is_number=True),
    Column("plain KD", _top1("kd"), is_number=True),
    Column("QKD", _top1(QKD), is_number=True),
    Column("QAT at QKD's cost", _top1("qat-cost"), is_number=True),
    Column(f"QKD {MINUS} KD", _difference("kd"), is_number=True),
    Column(f"QKD {MINUS} QAT", _difference("qat"), is_number=True),
    Column("teacher", lambda row: teacher(row.methods[QKD]), is_number=True),
    Column("n", lambda row: str(row.methods[QKD].n), is_number=True),
)


def _headline_table(found: Sequence[HeadlineRow]) -> Table | None:
    title = "What came out"
    return (
        table("headline", title, HEADLINE_COLUMNS, found, caption=words.HEADLINE) if found else None
    )


def _figures(found: Sequence[HeadlineRow]) -> Iterator[Picture]:
    differences = difference_rows(found)
    for name, narrow in (("headline-wide", False), ("headline-narrow", True)):
        drawn = figure(differences, name, narrow=narrow)
        if drawn is not None:
            yield Picture(name, words.HEADLINE_FIGURE, drawn)


def _title(section: Section) -> Cell:
    notes = (words.COMMITTED,) if section.is_reference else ()
    title = section.readings.run.matrix.label.title
    return Cell(title, notes=notes, link=f"#{section.anchor}")


RUN_COLUMNS: tuple[Column[tuple[Section, Facts]], ...] = (
    Column("run", lambda of: _title(of[0])),
    Column("scale", lambda of: of[0].scale),
    Column("cells", lambda of: of[1].cells),
    Column("seeds", lambda of: of[1].seeds),
    Column("compute", lambda of: of[1].compute),
    Column("launched", lambda of: of[1].when),
    Column("hardware", lambda of: of[1].hardware),
    Column("commit", lambda of: of[1].commit),
)


def _run_table(sections: Sequence[Section]) -> Table:
    """A row for each matrix at a scale."""
    return table("runs", "What was run", RUN_COLUMNS, [(one, facts(one)) for one in sections])
