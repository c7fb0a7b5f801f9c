"""Photos that could not be decoded and were left out: what a run went without."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from qkd.records.files import printable
from report.outcomes import Outcome
from report.words import listed

NAMED = 3  # files in a sentence; the records name all


class LeftOut(NamedTuple):
    """How many images a run's training steps went without, stage by stage, and its test; ``files``
    are those that it met."""

    training: int
    test: int
    files: tuple[str, ...]


def left_out(path: Sequence[Outcome]) -> LeftOut | None:
    """Over the records of a done run's path, first to last; None where nothing was left out."""
    results = [outcome.result.left_out for outcome in path if outcome.result]
    found = [one for one in results if one]
    if not found:
        return None
    files = sorted({name for one in found for name in one.files})
    test = results[-1].test if results[-1] else 0  # earlier stages are tested on the same images
    return LeftOut(sum(one.training for one in found), test, tuple(files))


def in_words(one: LeftOut) -> str:
    """The sentence of a run's drawer."""
    more = len(one.files) - NAMED
    names = listed([*map(printable, one.files[:NAMED]), *([f"{more} more"] if more > 0 else [])])
    return (
        f"left out as unreadable: {one.training} images of training batches and {one.test} test "
        f"images ({names})"
    )


def of_a_method(runs: Iterable[LeftOut | None]) -> str:
    """The note of a method over its seeds; empty where nothing was left out."""
    found = [one for one in runs if one]
    if not found:
        return ""
    training, test = max(one.training for one in found), max(one.test for one in found)
    return f"left out as unreadable: up to {training} training and {test} test images of a run"
