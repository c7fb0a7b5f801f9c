"""Sentences about contrasts: how they are read, and what follows from each."""

from report.analysis.claim_tests import counted
from report.analysis.contrasts import Compared
from report.analysis.estimates import Estimate
from report.analysis.layout import Layout
from report.analysis.sections import Group
from report.analysis.statistics import EFFECT
from report.analysis.verdicts import HIGHER, LOWER, SINGLE_RUN, UNDECIDED
from report.page import words
from report.texts import NO_BREAK, bracket, fixed, p_value

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


def note(group: Group) -> str:
    """How the contrasts of a setting are to be read; empty where there are none."""
    contrasts = [one.contrast for one in group.compared if one.contrast.fixed]
    if not group.compared:
        return ""
    texts = [*map(_spread, group.layouts), words.POWER]
    if contrasts:
        count = f"{len(contrasts)} contrast{'s were' if len(contrasts) > 1 else ' was'}"
        texts.append(f"{count} {words.FAMILIES}")
    negative = [contrast.label for contrast in contrasts if contrast.predicted < 0]
    if negative:
        texts.append(f"For {', '.join(negative)} the paper predicts a negative difference.")
    return " ".join(filter(None, texts))


def _spread(one: Layout) -> str:
    """By what spread the contrasts are judged, and Bartlett's test of it."""
    if one.spread is None:
        return ""
    names = list(one.groups)
    methods = f"{len(names)} methods" if len(names) > 1 else names[0]
    text = (
        f"Spread over runs of {methods}: {fixed(one.spread)} points "
        f"({one.freedom} degrees of freedom)"
    )
    if one.bartlett is None:
        return f"{text}."
    kind = words.POOLED if one.is_pooled else words.WELCH
    return f"{text}; Bartlett's p {p_value(one.bartlett)}: {kind}."


def sentence(compared: Compared) -> str:
    """One sentence that states the difference and ends in what follows from it."""
    contrast, own = compared.contrast, compared.estimate
    first = DISPLAY.get(contrast.first, "")
    first = f"{first[0].upper()}{first[1:]}" if first else contrast.first
    second = DISPLAY.get(contrast.second, contrast.second)
    if own is None:
        return f"{first} against {second}: {compared.verdict}."
    begin = f"{first} {_relation(own, second)}"
    if compared.verdict == SINGLE_RUN:
        return f"{begin} in a single run: undecided."
    count = counted(compared.n)
    if compared.corrected is None:
        return f"{begin} in each of {count} runs: no spread to judge it by, {compared.verdict}."
    correction = "Holm p" if contrast.fixed else "uncorrected p"
    numbers = f"n = {count}", f"{correction} {p_value(compared.corrected)}"
    test = ", ".join(number.replace(" ", NO_BREAK) for number in numbers)
    return f"{begin} ({test}): {_ending(compared, own)}."


def _ending(compared: Compared, own: Estimate) -> str:
    """The word, and of what is undecided which way it leans and what could have been seen."""
    word = compared.verdict
    if word in (HIGHER, LOWER):
        return f"{word} here"
    if word != UNDECIDED:
        return word
    side = HIGHER if own.mean > 0 else LOWER
    lean = side if round(own.mean, 2) else "neither side"
    text = f"{word}; the runs lean to {lean}, {words.NO_CORRECTION}"
    if compared.power is not None:
        text += f"; the power to see {EFFECT} points was {compared.power:.2f}"
        if compared.corrected_power is not None:
            text += f", at least {compared.corrected_power:.2f} after correction"
    return text


def _relation(own: Estimate, second: str) -> str:
    """``is lower than plain QAT by 0.82 points [0.30, 1.34]``: the interval of what is stated."""
    if not round(own.mean, 2) and not own.is_tested:
        return f"equals {second}"
    sign = 1 if own.mean >= 0 else -1
    text = f"is {HIGHER if sign > 0 else LOWER} than {second} by {abs(own.mean):.2f} points"
    if not round(own.mean, 2):
        text = f"equals {second} in the mean"
    low, high = own.interval()
    if low is None or high is None or not own.is_tested:
        return text
    return f"{text} {bracket(*sorted((sign * low, sign * high)))}"
