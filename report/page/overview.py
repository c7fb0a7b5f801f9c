"""The first screen: what came out, what it says of each claim of the paper, and what was run."""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from benchmarks.analysis import AMENDMENTS, DATE, FILE
from benchmarks.matrix import ScaleName
from report.analysis.by_bits import paper_figure, twin_figure
from report.analysis.evidence import Verdict, found_in
from report.analysis.headline import headline
from report.analysis.joined import SHOWN_SCALES
from report.analysis.sections import Section
from report.figures.by_bits import by_bits
from report.figures.drawing import Picture
from report.page import words
from report.page.claims import ClaimView, claim_table, claim_views, claimed_table
from report.page.facts import Facts, facts
from report.page.headline import headline_figures, headline_table, joined_table
from report.page.table import Cell, Column, Table, table
from report.page.words import SCALE_TITLES
from report.reading.paper import About, ClaimedNumber
from report.texts import fixed


class Answer(NamedTuple):
    """A scale, and what is said of all claims at it."""

    scale: str
    text: str


class Overview(NamedTuple):
    """All that the first screen shows; ``headline`` is a row a setting, None where QKD has not run,
    ``figures`` its differences by length, for a wide window and for a narrow one; ``by_bits``
    likewise the paper's Figure 1 and its twin; ``joined`` what all settings say together.
    ``table`` has the claims for files, ``claimed`` the claimed numbers beside ours, None where no
    number of our methods is claimed. ``analysis`` is the text by which all is read."""

    headline: Table | None
    figures: tuple[Picture, ...]
    by_bits: tuple[Picture, ...]
    answers: tuple[Answer, ...]
    joined: Table | None
    claims: tuple[ClaimView, ...]
    table: Table
    claimed: Table | None
    runs: Table
    analysis: str
    analysis_date: str


def overview(sections: Sequence[Section], paper: dict[About, ClaimedNumber]) -> Overview:
    """The claims, each decided by its own test over all that was run."""
    found = found_in(sections, paper)
    claims = claim_views(found)
    settings = headline(sections)
    return Overview(
        headline=headline_table(settings),
        figures=tuple(headline_figures(settings)),
        by_bits=tuple(_by_bits(sections, paper)),
        answers=tuple(_answer(claims, scale) for scale in SHOWN_SCALES),
        joined=joined_table(found.joined),
        claims=claims,
        table=claim_table(claims),
        claimed=claimed_table(sections, paper),
        runs=_run_table(sections),
        analysis="\n".join(file.read_text(encoding="utf-8") for file in (FILE, *AMENDMENTS)),
        analysis_date=DATE,
    )


def _by_bits(sections: Sequence[Section], paper: dict[About, ClaimedNumber]) -> Iterator[Picture]:
    """The paper's Figure 1 and its twin, each for a wide window and for a narrow one."""
    frames = (
        ("paper-figure", words.PAPER_FIGURE, paper_figure(paper, sections)),
        ("twin-figure", words.TWIN_FIGURE, twin_figure(sections)),
    )
    for own, caption, points in frames:
        for name, narrow in ((f"{own}-wide", False), (f"{own}-narrow", True)):
            drawn = by_bits(points, name, narrow=narrow)
            if drawn is not None:
                yield Picture(name, caption, drawn)


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
