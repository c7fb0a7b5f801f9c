"""The contrasts of a setting: the differences with their tests, and a sentence for each."""

from collections.abc import Sequence
from typing import NamedTuple

from benchmarks.contrasts import Contrast
from report.mcnemar import SeedTest, by_seed
from report.statistics import Paired, holm, paired_difference, power_paired
from report.summary import COMPARED_SCALE, Summary
from report.verdicts import NO_PROOF
from report.words import FAMILY, NO_BREAK, PAIRED, bracket

ALPHA = 0.05
EFFECT = 0.5
DISPLAY = {
    "qkd": "QKD",
    "qat": "plain QAT",
    "kd": "plain KD",
    "ss+tu": "SS+TU",
    "cs+tu": "CS+TU",
    "ss+cs": "SS+CS",
    "qat-cost": "QAT at QKD's cost",
    "qkd-ce": "QKD with a teacher co-trained by labels alone",
    "fp-kd": "full precision with KD",
    "fp-tuned": "full precision trained on",
}


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
    contrasts: Sequence[Contrast], methods: Sequence[Summary], scale: str
) -> list[Compared]:
    """The contrasts among a setting's methods; the fixed ones are corrected as one family."""
    by_name = {summary.name: summary for summary in methods}
    family = sum(contrast.fixed for contrast in contrasts)
    compared = [_compared(contrast, by_name, scale, family) for contrast in contrasts]
    for fixed in (True, False):
        known = {
            place: one.paired.p
            for place, one in enumerate(compared)
            if one.contrast.fixed == fixed and one.paired and one.paired.p is not None
        }
        values = list(known.values())
        corrected = holm(values, family) if fixed else values
        for place, value in zip(known, corrected, strict=True):
            compared[place] = compared[place]._replace(corrected=value)
    return compared


def _compared(contrast: Contrast, by_name: dict[str, Summary], scale: str, family: int) -> Compared:
    """The contrast, not yet corrected; ``family`` is the number of fixed ones."""
    first, second = by_name.get(contrast.first), by_name.get(contrast.second)
    if first is None or second is None or first.top1s.keys().isdisjoint(second.top1s):
        return Compared(contrast, scale)
    ours, theirs = first.top1s, second.top1s
    seeds = sorted(ours.keys() & theirs.keys())
    paired = paired_difference([ours[s] for s in seeds], [theirs[s] for s in seeds])
    differences = {seed: ours[seed] - theirs[seed] for seed in seeds}
    tests = by_seed(first, second) if contrast.fixed else ()
    compared = Compared(
        contrast, scale, paired,
        differences=differences, tests=tests, is_proven=first.is_proven and second.is_proven,
    )  # fmt: skip
    if paired.p is None or paired.spread is None:
        return compared
    power = power_paired(paired.n, paired.spread, EFFECT, ALPHA)
    if not contrast.fixed:
        return compared._replace(power=power)
    # Holm's method rejects at least what Bonferroni's does
    least = power_paired(paired.n, paired.spread, EFFECT, ALPHA / family)
    return compared._replace(power=power, corrected_power=least)


def note(compared: Sequence[Compared]) -> str:
    """How the contrasts of a setting are to be read; empty where there are none."""
    fixed = [one.contrast for one in compared if one.contrast.fixed]
    if not compared:
        return ""
    if not fixed:
        return PAIRED
    negative = [contrast.label for contrast in fixed if contrast.predicted < 0]
    predicted = f" For {', '.join(negative)} the paper predicts a negative difference."
    count = f"{len(fixed)} contrast{'s were' if len(fixed) > 1 else ' was'} fixed before any run"
    return f"{PAIRED} {count}{FAMILY}{predicted if negative else ''}"


def sentence(compared: Compared) -> str:
    """One sentence that states the difference and ends in what follows from it."""
    contrast, paired = compared.contrast, compared.paired
    first = DISPLAY.get(contrast.first, "")
    first = f"{first[0].upper()}{first[1:]}" if first else contrast.first
    second = DISPLAY.get(contrast.second, contrast.second)
    if paired is None:
        return f"{first} against {second}: not run."
    begin = f"{first} {_relation(paired, second)}"
    if paired.n < 2:
        return f"{begin} in a single run: undecided."
    if compared.corrected is None:
        return f"{begin} in each of {paired.n} runs: no spread to judge it by, undecided."
    correction = "Holm p" if contrast.fixed else "uncorrected p"
    numbers = f"n = {paired.n}", f"{correction} {p_value(compared.corrected)}"
    test = ", ".join(number.replace(" ", NO_BREAK) for number in numbers)
    here = " here" if compared.verdict in ("higher", "lower") else ""
    text = f"{begin} ({test}): {compared.verdict}{here}"
    if compared.verdict == "undecided" and compared.power is not None:
        text += f"; the power to see {EFFECT} points was {compared.power:.2f}"
        if compared.corrected_power is not None:
            text += f", at least {compared.corrected_power:.2f} after correction"
    return f"{text}."


def _relation(paired: Paired, second: str) -> str:
    """``is lower than plain QAT by 0.82 points [0.30, 1.34]``: the interval of what is stated."""
    if not round(paired.mean, 2) and paired.p is None:
        return f"equals {second}"
    sign = 1 if paired.mean >= 0 else -1
    text = f"is {'higher' if sign > 0 else 'lower'} than {second} by {abs(paired.mean):.2f} points"
    if paired.low is None or paired.high is None or paired.p is None:
        return text
    return f"{text} {bracket(*sorted((sign * paired.low, sign * paired.high)))}"


def p_value(value: float) -> str:
    """``= 0.012``, or ``< 0.001``."""
    return "< 0.001" if value < 0.001 else f"= {value:.3f}"
