"""A run set beside the committed reference: the same, or the same within the margin?"""

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from report.setting import Setting
from report.statistics import Interval, welch_interval
from report.summary import Summary, not_there
from report.verdicts import IDENTICAL, MARGIN, NOT_RUN, equivalence, overall


class Row(NamedTuple):
    """A method of the reference and of this run; ``difference`` is this run less the reference,
    with a 90 % Welch interval; ``equal`` of the reference's ``seeds`` ran here and gave the same
    (0 where a seed that both have did not)."""

    setting: str
    method: str
    reference: Interval
    own: Interval | None
    difference: Interval | None
    verdict: str
    same_stages: bool
    equal: int = 0
    seeds: int = 0


class Against(NamedTuple):
    """All methods of the reference, one word for all of them, and one sentence."""

    rows: tuple[Row, ...]
    verdict: str
    sentence: str


def against(own: Sequence[Summary], reference: Sequence[Summary]) -> Against:
    """Compares method by method. A reference's method that was not run stands there as such."""
    found = {_key(summary): summary for summary in own}
    rows = [
        _row(summary, summary.interval, found.get(_key(summary)))
        for summary in reference
        if summary.interval is not None
    ]
    ran = [row.verdict for row in rows if row.own is not None]
    if ran and all(word == IDENTICAL for word in ran):
        return Against(tuple(rows), IDENTICAL, _sentence(rows, IDENTICAL))
    verdict = overall([word for word in ran if word != IDENTICAL])
    return Against(tuple(rows), verdict, _sentence(rows, verdict))


def _key(summary: Summary) -> tuple[Setting, str]:
    return summary.setting, summary.name


def _row(reference: Summary, mean: Interval, own: Summary | None) -> Row:
    label, name = reference.setting.label, reference.name
    if own is None or own.interval is None:
        return Row(label, name, mean, None, None, not_there(own) if own else NOT_RUN, True)
    common = own.top1s.keys() & reference.top1s.keys()
    agree = all(own.top1s[seed] == reference.top1s[seed] for seed in common)
    same_stages = _same_stages(own, reference)
    identical = agree and same_stages and own.top1s.keys() <= reference.top1s.keys()
    difference = welch_interval(list(own.top1s.values()), list(reference.top1s.values()))
    return Row(
        setting=label,
        method=name,
        reference=mean,
        own=own.interval,
        difference=difference,
        verdict=IDENTICAL if identical else equivalence(difference),
        same_stages=same_stages,
        equal=len(common) if agree else 0,
        seeds=len(reference.top1s),
    )


def _same_stages(own: Summary, reference: Summary) -> bool:
    """Whether every seed that both have ends in the same stage: the same settings and data."""
    stages = {reading.cell.seed: reading.cell.history.digest for reading in own.cells}
    return all(
        stages.get(reading.cell.seed, digest) == digest
        for reading in reference.cells
        for digest in [reading.cell.history.digest]
    )


def _sentence(rows: Sequence[Row], verdict: str) -> str:
    ran = [row for row in rows if row.own is not None]
    if not ran:
        return "No method of the reference is done here yet."
    if verdict == IDENTICAL:
        cells, all_cells = sum(row.equal for row in ran), sum(row.seeds for row in rows)
        where = (
            "cell by cell"
            if cells == all_cells
            else f"on the {cells} of {all_cells} cells run here"
        )
        text = f"This run is identical to the committed reference, {where}"
    else:
        counts = {word: sum(row.verdict == word for row in ran) for word in _words(ran)}
        listed = ", ".join(f"{count} {word}" for word, count in counts.items())
        text = (
            f"Against the committed reference, with a margin of {MARGIN} points: {verdict} "
            f"({listed}, of {len(ran)} methods)"
        )
    partly = Counter(
        (row.equal, row.seeds) for row in ran if row.equal and row.verdict != IDENTICAL
    )
    for (equal, seeds), count in partly.items():
        text += f"; {_methods(count)} equal on the {equal} of {seeds} seeds that both have"
    if len(ran) < len(rows):
        text += f"; {len(rows) - len(ran)} of its methods are not done here"
    others = sum(not row.same_stages for row in ran)
    if others:
        who = _methods(others).rpartition(" ")[0]
        text += f"; {who} ran with other settings or data than the reference's"
    return f"{text}."


def _methods(count: int) -> str:
    return "1 method is" if count == 1 else f"{count} methods are"


def _words(rows: Sequence[Row]) -> list[str]:
    return list(dict.fromkeys(row.verdict for row in rows))
