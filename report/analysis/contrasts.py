"""The contrasts of a setting: differences with their tests, corrected by families, and a word for
each."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import pandas as pd

from benchmarks.contrasts import HEADLINE, Contrast, Family
from report.analysis.arithmetic import of_one_arithmetic
from report.analysis.estimates import Estimate, power
from report.analysis.layout import Layout, layout
from report.analysis.statistics import ALPHA, EFFECT, holm, mcnemar
from report.analysis.verdicts import (
    COMPARED_SCALE,
    EQUIVALENT,
    EXPLORATORY,
    HIGHER,
    LOWER,
    NO_PROOF,
    NOT_RUN,
    OTHER_ARITHMETIC,
    SINGLE_RUN,
    UNDECIDED,
    is_equivalent,
)
from report.frames.tidy import tidy
from report.reading.readings import CellRecords

FAMILIES: tuple[Family, ...] = ("headline", "phases")


class SeedTest(NamedTuple):
    """McNemar's test of two methods' networks of a seed on the same test images: how many images
    only the first has right, how many only the second, and the p of the exact test."""

    seed: int
    only_first: int
    only_second: int
    p: float


class Compared(NamedTuple):
    """A contrast in a setting; ``estimate`` is None where one of its methods has no run, or none
    of the arithmetic that counts: ``not_there`` is the word for it.

    ``n`` counts the runs of both. ``corrected`` is Holm's p over the fixed contrasts of its family.
    ``power`` is the chance of an uncorrected test to see EFFECT points at the spread that was
    observed; ``corrected_power`` what is left of it, at least, after Holm's correction, for a fixed
    contrast. ``differences`` are those of seeds that both have, and so are the ``tests`` of a fixed
    contrast on the same images. ``was_seen``: its runs were seen before the analysis was fixed.
    ``is_proven``: the quantized cells of both methods run as integers.
    """

    contrast: Contrast
    scale: str
    estimate: Estimate | None = None
    n: tuple[int, int] = (0, 0)
    corrected: float | None = None
    power: float | None = None
    corrected_power: float | None = None
    differences: dict[int, float] = {}  # noqa: RUF012 (never written to)
    tests: tuple[SeedTest, ...] = ()
    was_seen: bool = False
    is_proven: bool = True
    not_there: str = NOT_RUN

    @property
    def is_exploratory(self) -> bool:
        """Whether it has no verdict: it was not fixed before its runs."""
        return self.was_seen or not self.contrast.fixed

    @property
    def verdict(self) -> str:
        """One word, the same wherever it stands. At the paper's scale, and only there, supported or
        contradicted where the paper predicts a sign; without integer proofs neither."""
        if self.estimate is None:
            return self.not_there
        if self.estimate.error is None:
            return SINGLE_RUN
        if self.is_exploratory:
            return EXPLORATORY
        return self._of_the_claim(judged(self.estimate, self.corrected))

    def _of_the_claim(self, word: str) -> str:
        """What the word says of the predicted sign, where it says something of it."""
        is_predicted = self.contrast.predicted and self.scale == COMPARED_SCALE
        if not is_predicted or word not in (HIGHER, LOWER):
            return word
        if not self.is_proven:
            return NO_PROOF
        agrees = (word == HIGHER) == (self.contrast.predicted > 0)
        return "supported" if agrees else "contradicted"


def judged(estimate: Estimate, corrected: float | None) -> str:
    """Higher or lower by the corrected p; else equivalent by the 90 % interval, or undecided."""
    if corrected is not None and corrected < ALPHA:
        return HIGHER if estimate.mean > 0 else LOWER
    is_close = estimate.is_tested and is_equivalent(*estimate.interval(0.90))
    return EQUIVALENT if is_close else UNDECIDED


class Comparison(NamedTuple):
    """The contrasts of a setting, and the layout of each precision that they are judged by."""

    compared: tuple[Compared, ...]
    layouts: tuple[Layout, ...]


def compare_all(
    contrasts: Sequence[Contrast], cells: pd.DataFrame, scale: str, *, was_seen: bool = False
) -> Comparison:
    """The contrasts among a setting's cells; the fixed ones are corrected by families.

    Quantized methods share a spread, and so do those in full precision. Cells of another arithmetic
    than the most have are left out.
    """
    every = cells[cells["top1"].notna()]
    done = of_one_arithmetic(every)
    odd = set(every["method"]) - set(done["method"])
    layouts = {bits: layout(_groups(own)) for bits, own in done.groupby("bits", sort=False)}
    compared = [
        _estimated(
            Compared(
                contrast,
                scale,
                was_seen=was_seen,
                not_there=OTHER_ARITHMETIC if {contrast.first, contrast.second} & odd else NOT_RUN,
            ),
            list(layouts.values()),
            done,
        )
        for contrast in contrasts
    ]
    return Comparison(tuple(_corrected(compared)), tuple(layouts.values()))


def _groups(cells: pd.DataFrame) -> dict[str, list[float]]:
    """The top-1s of each method."""
    return {str(name): own.tolist() for name, own in cells.groupby("method")["top1"]}


def _estimated(one: Compared, layouts: Sequence[Layout], done: pd.DataFrame) -> Compared:
    """With what the runs of both methods say, if both have some."""
    contrast = one.contrast
    names = contrast.first, contrast.second
    sides = [done[done["method"] == name] for name in names]
    own = [of for of in layouts if not of.groups.keys().isdisjoint(names)]
    estimate = _difference(contrast, own)
    if estimate is None:
        return one
    ours, theirs = (side.set_index("seed")["top1"] for side in sides)
    differences = (ours - theirs).dropna().sort_index()
    seeds = [int(seed) for seed in differences.index]
    return one._replace(
        estimate=estimate,
        n=(len(ours), len(theirs)),
        differences=dict(zip(seeds, differences.tolist(), strict=True)),
        tests=_tests(contrast, seeds, done) if contrast.fixed else (),
        is_proven=all(bool(side["is_proven"].all()) for side in sides),
    )


def _difference(contrast: Contrast, layouts: Sequence[Layout]) -> Estimate | None:
    """By the layout of both; those of two precisions are a layout of their own."""
    if len(layouts) == 1:
        return layouts[0].difference(contrast.first, contrast.second)
    names = contrast.first, contrast.second
    groups = {name: values for one in layouts for name, values in one.groups.items()}
    return layout({name: groups.get(name, []) for name in names}).difference(*names)


def _tests(contrast: Contrast, seeds: Sequence[int], done: pd.DataFrame) -> tuple[SeedTest, ...]:
    """One for each seed of which both records say which images are right."""
    records: dict[tuple[str, int], CellRecords] = {
        (row.cell.method.name, row.cell.seed): row for row in done["records"] if row.own.result
    }
    tests = []
    for seed in seeds:
        results = [records[name, seed].own.result for name in (contrast.first, contrast.second)]
        ours, theirs = (result.student.right() if result else None for result in results)
        if ours is not None and theirs is not None and len(ours) == len(theirs):
            only = int((ours & ~theirs).sum()), int((theirs & ~ours).sum())
            tests.append(SeedTest(seed, *only, mcnemar(*only)))
    return tuple(tests)


def _corrected(compared: Sequence[Compared]) -> list[Compared]:
    """With the power, and Holm's p within each family of fixed contrasts; others have their own."""
    found = [_with_power(one) for one in compared]
    for family in FAMILIES:
        places = [
            place
            for place, one in enumerate(found)
            if one.contrast.fixed and one.contrast.family == family
        ]
        tested = [
            (place, p)
            for place in places
            if (own := found[place].estimate) is not None and (p := own.p) is not None
        ]
        size = family_size(family, len(places))
        values = holm([p for _, p in tested], size)
        for (place, _), value in zip(tested, values, strict=True):
            one = _with_power(found[place], size)
            found[place] = one._replace(corrected=value)
    return found


def family_size(family: Family, fixed: int) -> int:
    """How many tests are corrected together of which the setting's matrix has so many: those of
    the headline are named by the analysis, and count where a matrix leaves one out."""
    return max(fixed, len(HEADLINE)) if family == "headline" and fixed else fixed


def _with_power(one: Compared, family: int = 0) -> Compared:
    """The power of the test alone, or after correction in a family of so many."""
    own = one.estimate
    if own is None or own.error is None or not own.is_tested:
        return one
    if not family:
        return one._replace(power=power(own.error, own.freedom, EFFECT, ALPHA), corrected=own.p)
    # Holm's method rejects at least what Bonferroni's does.
    least = power(own.error, own.freedom, EFFECT, ALPHA / family)
    return one._replace(corrected_power=least)


class ContrastRow(NamedTuple):
    """A contrast that ran, as figures need it; ``steps`` is the length of training where several
    are set side by side."""

    label: str
    fixed: bool
    steps: int
    mean: float
    low: float | None
    high: float | None
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
        if one.estimate:
            label, fixed = one.contrast.label, one.contrast.fixed
            ends = one.estimate.interval()
            means.append(ContrastRow(label, fixed, steps, one.estimate.mean, *ends, one.estimate.p))
            seeds += [SeedDifference(label, steps, *of) for of in one.differences.items()]
    return tidy(ContrastRow, means), tidy(SeedDifference, seeds)
