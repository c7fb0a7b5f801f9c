"""The first screen: what the runs say of each claim of the paper, and what was run."""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from benchmarks.matrix import ScaleName
from report import words
from report.claimed import claimed_table
from report.claims import CLAIMS, PaperClaim
from report.content import Content
from report.evidence import SHOWN_SCALES, Evidence, Found, Verdict, combined
from report.facts import facts
from report.paper import Claim, Number
from report.table import Cell, Table, row, table
from report.words import SCALE_TITLES, fixed


class ScaleVerdict(NamedTuple):
    """What the runs of a scale say of a claim; ``behind`` is the one setting's numbers, or how many
    of several settings say so."""

    scale: ScaleName
    verdict: Verdict
    behind: str


class ClaimView(NamedTuple):
    """A claim with its verdict at each scale, and the evidence that they rest on."""

    claim: PaperClaim
    verdicts: tuple[ScaleVerdict, ...]
    evidence: tuple[Evidence, ...]


class Answer(NamedTuple):
    """A scale, and what is said of all claims at it."""

    scale: str
    text: str


class Overview(NamedTuple):
    """All that the first screen shows; ``table`` has its claims for files, ``claimed`` the claimed
    numbers beside ours, None where no number of our methods is claimed."""

    answers: tuple[Answer, ...]
    claims: tuple[ClaimView, ...]
    table: Table
    claimed: Table | None
    runs: Table


def overview(contents: Sequence[Content], paper: dict[Claim, Number]) -> Overview:
    """The claims, each decided by its own test over all that was run."""
    claims = tuple(_claim_view(claim, contents, paper) for claim in CLAIMS)
    return Overview(
        answers=tuple(_answer(claims, scale) for scale in SHOWN_SCALES),
        claims=claims,
        table=_claim_table(claims),
        claimed=claimed_table(contents, paper),
        runs=_run_table(contents),
    )


def _claim_view(
    claim: PaperClaim, contents: Sequence[Content], paper: dict[Claim, Number]
) -> ClaimView:
    found = tuple(claim.test.evidence(Found(contents, paper)))
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


def _claim_table(claims: Iterable[ClaimView]) -> Table:
    rows = [
        row(
            Cell(view.claim.sentence),
            Cell(view.claim.mark, kind="mark"),
            *(Cell(one.verdict, aside=one.behind, kind="state") for one in view.verdicts),
            "; ".join(f"{one.setting} ({one.scale}): {one.numbers}" for one in view.evidence),
            view.claim.test.rule,
        )
        for view in claims
    ]
    scales = [SCALE_TITLES[scale].lower() for scale in SHOWN_SCALES]
    columns = ["claim", "mark", *scales, "evidence", "rule"]
    return table("claims", "The paper's claims", columns, rows)


def _run_table(contents: Sequence[Content]) -> Table:
    """A row for each matrix at a scale."""
    rows = []
    for content in contents:
        matrix = content.readings.run.matrix
        known = facts(content.readings)
        rows.append(
            row(
                Cell(
                    matrix.label.title,
                    notes=(words.COMMITTED,) if content.is_reference else (),
                    link=f"#{content.anchor}",
                ),
                matrix.scale,
                known.cells,
                known.seeds,
                known.compute,
                known.when,
                known.hardware,
                known.commit,
            )
        )
    columns = ["run", "scale", "cells", "seeds", "compute", "launched", "hardware", "commit"]
    return table("runs", "What was run", columns, rows)
