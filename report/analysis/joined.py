"""What several settings say together of a contrast: a mean over them, with one word."""

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import NamedTuple

from benchmarks.contrasts import Contrast, Family
from benchmarks.matrix import ScaleName
from report.analysis.contrasts import FAMILIES, Compared, family_size, judged
from report.analysis.estimates import Estimate, WeightedMean, weighted_mean
from report.analysis.methods import MethodRow
from report.analysis.sections import Group, Section
from report.analysis.statistics import ALPHA, holm
from report.analysis.verdicts import EQUIVALENT, EXPLORATORY, UNDECIDED
from report.frames.tidy import rows

SHOWN_SCALES: tuple[ScaleName, ...] = ("paper", "laptop")  # smoke says nothing of any method


class Setting(NamedTuple):
    """A setting that has a fixed contrast with a spread to judge it by, and its integer proofs;
    ``stages`` are the digests of both methods' runs."""

    section: Section
    group: Group
    compared: Compared
    stages: frozenset[str]

    @property
    def label(self) -> str:
        """``lengths, W2A2, 1,600 steps``: the matrix, the bits, and the first method's length."""
        first = self.group.methods["method"] == self.compared.contrast.first
        row = rows(self.group.methods[first], MethodRow)[0]
        return f"{row.matrix}, {row.bits}, {row.steps:,} steps"


class Joined(NamedTuple):
    """A contrast over the settings of a scale, those that were seen before the analysis was fixed
    apart from the others. ``corrected`` is Holm's p within its family."""

    scale: ScaleName
    was_seen: bool
    contrast: Contrast
    settings: tuple[Setting, ...]
    mean: WeightedMean
    corrected: float | None = None

    @property
    def verdict(self) -> str:
        """As that of a setting, but equivalent only where the settings agree; of what was seen
        before there is none."""
        if self.was_seen:
            return EXPLORATORY
        word = judged(self.mean.estimate, self.corrected)
        p = self.mean.homogeneity
        return UNDECIDED if word == EQUIVALENT and p is not None and p < ALPHA else word


def joined(sections: Sequence[Section]) -> list[Joined]:
    """Every fixed contrast that some setting can judge, by scales; what was seen stands last."""
    found: list[Joined] = []
    for scale in SHOWN_SCALES:
        of_scale = list(_settings(sections, scale))
        for seen in (False, True):
            alike = [one for one in of_scale if one.compared.was_seen == seen]
            found += _corrected(list(_joined(alike, scale, seen)))
    return found


def _settings(sections: Sequence[Section], scale: ScaleName) -> Iterator[Setting]:
    for section in sections:
        if section.scale == scale:
            for group in section.groups:
                of = {one.method: one for one in rows(group.methods, MethodRow)}
                for one in group.compared:
                    is_judged = one.estimate is not None and one.estimate.is_tested
                    if one.contrast.fixed and one.is_proven and is_judged:
                        sides = (of[one.contrast.first], of[one.contrast.second])
                        runs = [side.stages[seed] for side in sides for seed in side.top1s]
                        yield Setting(section, group, one, frozenset(runs))


def _joined(settings: Sequence[Setting], scale: ScaleName, seen: bool) -> Iterator[Joined]:
    for settings_of in _by_contrast(settings):
        own = _apart(settings_of)
        mean = weighted_mean([_estimate(one) for one in own])
        if mean is not None:
            yield Joined(scale, seen, own[0].compared.contrast, tuple(own), mean)


def _estimate(one: Setting) -> Estimate:
    return one.compared.estimate or Estimate(0.0)


def _by_contrast(settings: Sequence[Setting]) -> Iterator[list[Setting]]:
    def names(one: Setting) -> tuple[str, str]:
        return one.compared.contrast.first, one.compared.contrast.second

    order = list(dict.fromkeys(map(names, settings)))
    placed = sorted(settings, key=lambda one: order.index(names(one)))
    return (list(own) for _, own in groupby(placed, names))


def _apart(settings: Sequence[Setting]) -> list[Setting]:
    """In their order those that share no run: of two that do, the one with more of them."""
    kept: list[Setting] = []
    for one in sorted(settings, key=lambda one: -len(one.stages)):
        if all(one.stages.isdisjoint(other.stages) for other in kept):
            kept.append(one)
    return [one for one in settings if any(one is other for other in kept)]


def _corrected(found: Sequence[Joined]) -> list[Joined]:
    """Of several settings by Holm's method within a family, whose size is the largest that one of
    them fixed; of a single one as it is there."""
    corrected = [one._replace(corrected=one.settings[0].compared.corrected) for one in found]
    for family in FAMILIES:
        places = [
            place
            for place, one in enumerate(found)
            if one.contrast.family == family and len(one.settings) > 1
        ]
        values = [p for place in places if (p := found[place].mean.estimate.p) is not None]
        sizes = [_size(of.group, family) for place in places for of in found[place].settings]
        holms = holm(values, max([len(values), *sizes]))
        for place, value in zip(places, holms, strict=True):
            corrected[place] = found[place]._replace(corrected=value)
    return corrected


def _size(group: Group, family: Family) -> int:
    """How many contrasts of the family the setting fixed."""
    of_family = [one for one in group.compared if one.contrast.family == family]
    return family_size(family, sum(one.contrast.fixed for one in of_family))
