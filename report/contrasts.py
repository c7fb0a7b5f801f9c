"""The contrasts that were fixed before any run, and the exploratory ones."""

from collections.abc import Sequence
from typing import NamedTuple

from report.statistics import Paired, holm, paired_difference, power_paired
from report.summary import COMPARED_SCALE, Summary
from report.words import MINUS, NO_BREAK, bracket

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


class Contrast(NamedTuple):
    """``first - second``, what it asks, and the sign that the paper's claim predicts (0: none)."""

    first: str
    second: str
    asks: str
    predicted: int = 1

    @property
    def label(self) -> str:
        """As in the tables: ``qkd`` less ``qat``, with a minus sign."""
        return f"{self.first} {MINUS} {self.second}"


FIXED = (
    Contrast("qkd", "qat", "QKD against plain QAT"),
    Contrast("qkd", "kd", "QKD against plain KD"),
    Contrast("qkd", "ss+tu", "what co-studying adds"),
    Contrast("qkd", "cs+tu", "what self-studying adds"),
    Contrast("qkd", "ss+cs", "what tutoring adds"),
    Contrast("kd", "qat", "claim 2: KD alone does not help a quantized network", -1),
)
EXPLORATORY = (
    Contrast("qkd", "qat-cost", "QKD against plain QAT at the same cost", 0),
    Contrast("qkd", "qkd-ce", "what the student's pull on the teacher adds", 0),
    Contrast("qat-cost", "qat", "what longer training adds to plain QAT", 0),
    Contrast("fp-kd", "fp-tuned", "what KD adds in full precision", 0),
)


class Compared(NamedTuple):
    """A contrast in a setting, paired by seed; None where no seed has both methods.

    ``corrected`` is Holm's p over the fixed contrasts. ``power`` is the chance of an uncorrected
    test to see EFFECT points at the spread that was observed; ``corrected_power`` what is left of
    it, at least, after Holm's correction, for a fixed contrast. ``differences`` are by seed.
    """

    contrast: Contrast
    scale: str
    paired: Paired | None = None
    corrected: float | None = None
    power: float | None = None
    corrected_power: float | None = None
    differences: dict[int, float] = {}  # noqa: RUF012 (never written to)

    @property
    def verdict(self) -> str:
        """Not run, single run, undecided, higher or lower. At the paper's scale, and only there,
        supported or contradicted where the paper predicts a sign."""
        if self.paired is None:
            return "not run"
        if self.paired.n < 2:
            return "single run"
        if self.corrected is None or self.corrected >= ALPHA:
            return "undecided"
        if not self.contrast.predicted or self.scale != COMPARED_SCALE:
            return "higher" if self.paired.mean > 0 else "lower"
        agrees = self.paired.mean * self.contrast.predicted > 0
        return "supported" if agrees else "contradicted"


def compare_all(
    contrasts: tuple[Contrast, ...], methods: Sequence[Summary], scale: str
) -> list[Compared]:
    """The contrasts among the methods of one setting, corrected as one family if they are fixed."""
    by_name = {summary.name: summary.top1s for summary in methods}
    compared = [_compared(contrast, by_name, scale) for contrast in contrasts]
    known = {i: c.paired.p for i, c in enumerate(compared) if c.paired and c.paired.p is not None}
    values = list(known.values())
    corrected = holm(values, len(contrasts)) if contrasts is FIXED else values
    for place, value in zip(known, corrected, strict=True):
        compared[place] = compared[place]._replace(corrected=value)
    return compared


def _compared(contrast: Contrast, by_name: dict[str, dict[int, float]], scale: str) -> Compared:
    first, second = by_name.get(contrast.first, {}), by_name.get(contrast.second, {})
    seeds = sorted(first.keys() & second.keys())
    if not seeds:
        return Compared(contrast, scale)
    paired = paired_difference([first[s] for s in seeds], [second[s] for s in seeds])
    differences = {seed: first[seed] - second[seed] for seed in seeds}
    compared = Compared(contrast, scale, paired, differences=differences)
    if paired.p is None or paired.spread is None:
        return compared
    power = power_paired(paired.n, paired.spread, EFFECT, ALPHA)
    # Holm's method rejects at least what Bonferroni's does
    least = power_paired(paired.n, paired.spread, EFFECT, ALPHA / len(FIXED))
    return compared._replace(power=power, corrected_power=least if contrast in FIXED else None)


def sentence(compared: Compared) -> str:
    """One sentence that states the difference and ends in what follows from it."""
    contrast, paired = compared.contrast, compared.paired
    first = DISPLAY.get(contrast.first, contrast.first)
    second = DISPLAY.get(contrast.second, contrast.second)
    first = f"{first[0].upper()}{first[1:]}"
    if paired is None:
        return f"{first} against {second}: not run."
    begin = f"{first} {_relation(paired, second)}"
    if paired.n < 2:
        return f"{begin} in a single run: undecided."
    if compared.corrected is None:
        return f"{begin} in each of {paired.n} runs: no spread to judge it by, undecided."
    correction = "Holm p" if contrast in FIXED else "uncorrected p"
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
