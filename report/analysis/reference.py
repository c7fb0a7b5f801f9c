"""A run set beside the committed reference: the same, or the same within the margin?"""

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from report.analysis.methods import MethodRow
from report.analysis.statistics import Interval, welch_interval
from report.analysis.verdicts import IDENTICAL, MARGIN, NOT_RUN, equivalence, overall


class ReferenceRow(NamedTuple):
    """A method of the reference and of this run, each by its mean; ``difference`` is this run less
    the reference, with a 90 % Welch interval; ``equal`` of the reference's ``seeds`` ran here and
    gave the same (0 where a seed that both have did not)."""

    setting: str
    method: str
    reference: float
    own: float | None
    difference: Interval | None
    verdict: str
    same_stages: bool
    equal: int = 0
    seeds: int = 0


class Against(NamedTuple):
    """All methods of the reference, one word for all of them, and one sentence."""

    rows: tuple[ReferenceRow, ...]
    verdict: str
    sentence: str


def against(own: Sequence[MethodRow], reference: Sequence[MethodRow]) -> Against:
    """Compares method by method. A reference's method that was not run stands there as such."""
    found = {(one.place, one.setting, one.method): one for one in own}
    rows = [
        _row(one, found.get((one.place, one.setting, one.method))) for one in reference if one.n
    ]
    ran = [row.verdict for row in rows if row.own is not None]
    if ran and all(word == IDENTICAL for word in ran):
        return Against(tuple(rows), IDENTICAL, _sentence(rows, IDENTICAL))
    verdict = overall([word for word in ran if word != IDENTICAL])
    return Against(tuple(rows), verdict, _sentence(rows, verdict))


def _row(reference: MethodRow, own: MethodRow | None) -> ReferenceRow:
    begin = reference.setting, reference.method, reference.mean
    if own is None or not own.n:
        return ReferenceRow(*begin, None, None, own.not_there if own else NOT_RUN, True)
    common = own.top1s.keys() & reference.top1s.keys()
    agree = all(own.top1s[seed] == reference.top1s[seed] for seed in common)
    # The same stages are the same settings and data.
    same_stages = all(own.stages.get(seed, one) == one for seed, one in reference.stages.items())
    identical = agree and same_stages and own.top1s.keys() <= reference.top1s.keys()
    difference = welch_interval(list(own.top1s.values()), list(reference.top1s.values()))
    return ReferenceRow(
        *begin,
        own=own.mean,
        difference=difference,
        verdict=IDENTICAL if identical else equivalence(difference),
        same_stages=same_stages,
        equal=len(common) if agree else 0,
        seeds=len(reference.top1s),
    )


def _sentence(rows: Sequence[ReferenceRow], verdict: str) -> str:
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


def _words(rows: Sequence[ReferenceRow]) -> list[str]:
    return list(dict.fromkeys(row.verdict for row in rows))
