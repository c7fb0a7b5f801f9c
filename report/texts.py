"""Numbers as text, and lists thinned: what figures, sentences and tables share."""

import math
from collections.abc import Iterable, Sequence
from typing import TypeVar

from qkd.records.files import printable

MINUS = "\N{MINUS SIGN}"
NONE = "\N{EN DASH}"
NO_BREAK = "\N{NO-BREAK SPACE}"
PLUS_MINUS = "\N{PLUS-MINUS SIGN}"
SHORT = {"self-study": "SS", "co-study": "CS", "co-study-ce": "CS", "tutoring": "TU"}

T = TypeVar("T")


def fixed(value: float | None, digits: int = 2) -> str:
    """``92.31``; a dash where it is not known; a true minus sign, and none before zero."""
    if value is None or math.isnan(value):
        return NONE
    text = f"{value:.{digits}f}"
    if not float(text):
        text = text.lstrip("-")
    return text.replace("-", MINUS)


def signed(value: float | None) -> str:
    """``+0.82``; a dash where it is not known."""
    text = fixed(value)
    return f"+{text}" if value is not None and round(value, 2) > 0 else text


def bracket(low: float | None, high: float | None) -> str:
    """``[0.30, 1.34]``; a dash where there is no interval."""
    text = f"[{fixed(low)}, {fixed(high)}]"
    return NONE if NONE in text else text


def p_value(value: float) -> str:
    """``= 0.012``, or ``< 0.001``."""
    return "< 0.001" if value < 0.001 else f"= {value:.3f}"


def kilobytes(value: float | None) -> str:
    """``81.2``, of 1,000 bytes; a dash where it is not known."""
    return fixed(None if value is None else value / 1e3, 1)


def millions(value: float | None) -> str:
    """``14.1``; a dash where it is not known."""
    return fixed(None if value is None else value / 1e6, 1)


def duration(seconds: float) -> str:
    """``42 s``, ``12.5 min``, ``3.2 h``."""
    if seconds < 120:
        return f"{seconds:.0f} s" if seconds >= 10 else f"{seconds:.1f} s"
    return f"{seconds / 60:.1f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def listed(items: Iterable[str], none: str = "not recorded") -> str:
    """The distinct items that are not empty, in their order, as one text."""
    return ", ".join(dict.fromkeys(filter(None, items))) or none


def thinned(items: Sequence[T], most: int) -> tuple[T, ...]:
    """At most ``most`` of the items, evenly spread, the first and the last among them."""
    if len(items) <= most:
        return tuple(items)
    last = len(items) - 1
    return tuple(items[round(place * last / (most - 1))] for place in range(most))


KEPT = "\n\t" + NO_BREAK


def visible(text: str) -> str:
    """The text with what cannot be seen replaced, but for white space."""
    return printable(text, KEPT)
