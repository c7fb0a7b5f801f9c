"""The contrasts of a setting: paired differences with their tests, and a sentence for each."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import pandas as pd

from benchmarks.contrasts import Contrast
from report.analysis.statistics import (
    ALPHA,
    EFFECT,
    Paired,
    holm,
    mcnemar,
    paired_difference,
    power_paired,
)
from report.analysis.verdicts import COMPARED_SCALE, NO_PROOF
from report.frames.tidy import tidy
from report.reading.readings import CellRecords


class SeedTest(NamedTuple):
    """McNemar's test of two methods' networks of a seed on the same test images: how many images
    only the first has right, how many only the second, and the p of the exact test."""

    seed: int
    only_first: int
    only_second: int
    p: float


class Compared(NamedTuple):
    """A contrast in a setting, paired by seed; None where no seed has both methods.

    ``corrected`` is Holm's p over the fixed contrasts. ``power`` is the chance of an uncorrected
    test to see EFFECT points at the spread that was observed; ``corrected_power`` what is left of
    it, at least, after Holm's correction, for a fixed contrast. ``differences`` are by seed, and
    so are the ``tests`` of a fixed contrast on the same images. ``is_proven``: the quantized cells
    of both methods run as integers.
    """

    contrast: Contrast
    scale: str
    paired: Paired | None = None
    corrected: float | None = None
    power: float | None = None
    corrected_power: float | None = None
    differences: dict[int, float] = {}  # noqa: RUF012 (never written to)
    tests: tuple[SeedTest, ...] = ()
    is_proven: bool = True

    @property
    def verdict(self) -> str:
        """Not run, single run, undecided, higher or lower. At the paper's scale, and only there,
        supported or contradicted where the paper predicts a sign; without integer proofs neither.
        """
        if self.paired is None:
            return "not run"
        if self.paired.n < 2:
            return "single run"
        if self.corrected is None or self.corrected >= ALPHA:
            return "undecided"
        if not self.contrast.predicted or self.scale != COMPARED_SCALE:
            return "higher" if self.paired.mean > 0 else "lower"
        if not self.is_proven:
            return NO_PROOF
        agrees = self.paired.mean * self.contrast.predicted > 0
        return "supported" if agrees else "contradicted"


def compare_all(
    contrasts: Sequence[Contrast], cells: pd.DataFrame, scale: str
) -> tuple[Compared, ...]:
    """The contrasts among a setting's cells; the fixed ones are corrected as one family."""
    done = cells[cells["top1"].notna()]
    by_seed = done.pivot(index="seed", columns="method", values="top1").sort_index()
    proven = done.groupby("method")["is_proven"].all()
    records = {
        (row.cell.method.name, row.cell.seed): row for row in done["records"] if row.own.result
    }
    family = sum(contrast.fixed for contrast in contrasts)
    compared = []
    for contrast in contrasts:
        pair = [contrast.first, contrast.second]
        found = by_seed.reindex(columns=pair).dropna()
        one = Compared(contrast, scale)
        if len(found):
            ours, theirs = found.iloc[:, 0], found.iloc[:, 1]
            one = one._replace(
                paired=paired_difference(ours.tolist(), theirs.tolist()),
                differences=dict(zip(found.index.tolist(), (ours - theirs).tolist(), strict=True)),
                tests=_tests(contrast, found.index.tolist(), records) if contrast.fixed else (),
                is_proven=bool(proven[pair].all()),
            )
        compared.append(_with_power(one, family))
    return _corrected(compared, family)


def _tests(
    contrast: Contrast, seeds: Sequence[int], records: dict[tuple[str, int], CellRecords]
) -> tuple[SeedTest, ...]:
    """One for each seed of which both records say which images are right."""
    tests = []
    for seed in seeds:
        results = [records[name, seed].own.result for name in (contrast.first, contrast.second)]
        ours, theirs = (result.student.right() if result else None for result in results)
        if ours is not None and theirs is not None and len(ours) == len(theirs):
            only = int((ours & ~theirs).sum()), int((theirs & ~ours).sum())
            tests.append(SeedTest(seed, *only, mcnemar(*only)))
    return tuple(tests)


def _with_power(one: Compared, family: int) -> Compared:
    paired = one.paired
    if paired is None or paired.p is None or paired.spread is None:
        return one
    power = power_paired(paired.n, paired.spread, EFFECT, ALPHA)
    if not one.contrast.fixed:
        return one._replace(power=power)
    # Holm's method rejects at least what Bonferroni's does
    least = power_paired(paired.n, paired.spread, EFFECT, ALPHA / family)
    return one._replace(power=power, corrected_power=least)


def _corrected(compared: list[Compared], family: int) -> tuple[Compared, ...]:
    """With Holm's p for the fixed contrasts; for the others their own."""
    tested = [one.paired.p if one.paired else None for one in compared]
    places = [
        place for place, p in enumerate(tested) if p is not None and compared[place].contrast.fixed
    ]
    holms = holm([p for place in places if (p := tested[place]) is not None], family)
    corrected = {**dict(enumerate(tested)), **dict(zip(places, holms, strict=True))}
    return tuple(one._replace(corrected=corrected[place]) for place, one in enumerate(compared))


class ContrastRow(NamedTuple):
    """A contrast that ran, as figures need it; ``steps`` is the length of training where several
    are set side by side."""

    label: str
    fixed: bool
    steps: int
    mean: float
    low: float | None
    high: float | None
    n: int
    p: float | None


class SeedDifference(NamedTuple):
    """A contrast's difference of one seed, in points."""

    label: str
    steps: int
    seed: int
    points: float


def contrast_frames(compared: Iterable[tuple[int, Compared]]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """A row for each contrast that ran, which stands behind its steps; and a row a seed of each."""
    means, seeds = [], []
    for steps, one in compared:
        if one.paired:
            label, fixed = one.contrast.label, one.contrast.fixed
            mean, low, high, n, _, p = one.paired
            means.append(ContrastRow(label, fixed, steps, mean, low, high, n, p))
            seeds += [SeedDifference(label, steps, *of) for of in one.differences.items()]
    return tidy(ContrastRow, means), tidy(SeedDifference, seeds)
