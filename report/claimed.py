"""The claimed numbers of our methods beside ours: run or not, a row each."""

from collections.abc import Sequence

from report import words
from report.content import Content
from report.contrasts import DISPLAY
from report.paper import Claim, Number
from report.summary import COMPARED_SCALE, Summary, compare
from report.table import Cell, Column, Table, mean_cell, number, row, state, table
from report.verdicts import NOT_RUN
from report.words import NONE, fixed, signed


def claimed_table(contents: Sequence[Content], paper: dict[Claim, Number]) -> Table | None:
    """Of every number of paper.csv whose method is one of ours; None where there is none.

    Ours is the mean at full length alone; where several runs have it, each has its row.
    """
    ours: dict[Claim, list[Summary | None]] = {}
    for content in contents:
        if content.readings.run.matrix.scale == COMPARED_SCALE:
            for summary in content.summaries:
                if summary.about:
                    ours.setdefault(summary.about, []).append(summary)
    rows = [
        row(
            " ".join((*about[:2], f"W{about[3]}A{about[4]}")),
            about[2],
            fixed(claimed.top1),
            Cell(claimed.mark, kind="mark"),
            claimed.source,
            *_ours(summary, paper),
        )
        for about, claimed in paper.items()
        if about[2] in DISPLAY
        for summary in ours.get(about) or [None]
    ]
    columns: list[str | Column] = [
        "network", "method", number("claimed"), "mark", "source", number("ours"), number("n"),
        number("points"), "verdict",
    ]  # fmt: skip
    title = "Claimed numbers beside ours"
    return table("claimed", title, columns, rows, caption=words.VERDICTS) if rows else None


def _ours(summary: Summary | None, paper: dict[Claim, Number]) -> list[Cell | str]:
    """Our mean, the seeds, the difference and the verdict."""
    if summary is None:
        return [NONE, "0", NONE, state(NOT_RUN)]
    compared, interval = compare(summary, COMPARED_SCALE, paper), summary.interval
    return [
        mean_cell(interval),
        str(interval.n if interval else 0),
        signed(compared.difference),
        state(compared.verdict),
    ]
