"""Sentences about contrasts: how they are read, and what follows from each."""

from collections.abc import Sequence

from report.analysis.contrasts import Compared
from report.analysis.statistics import EFFECT, Paired
from report.page.words import FAMILY, PAIRED
from report.texts import NO_BREAK, bracket, p_value

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
