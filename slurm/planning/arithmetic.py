"""Whose arithmetic stages are trained in: PORTABLE=, and its default (torch-free)."""

from collections.abc import Collection, Iterator
from typing import NamedTuple

from benchmarks.settings import Settings
from qkd.spec import Precision
from qkd.training import processor
from qkd.training.portable import NotPortable, cuda_devices, obstacles

SCALES = ("smoke", "laptop")  # whose runs are compared with committed ones


class Arithmetic(NamedTuple):
    """Whether workers are held to what every x86-64 processor with AVX2 has, and why; None: each
    node of a cluster decides, by whether it can hold there."""

    portable: bool | None
    why: str


def arithmetic(settings: Settings) -> Arithmetic:
    """As PORTABLE= says; where it says nothing 1 wherever it can hold, at `SCALES`.

    Raises NotPortable where PORTABLE=1 is asked for and cannot hold; on a cluster its nodes are
    asked, not this machine.
    """
    found = list(obstacles(settings.threads, settings.compile, here=not settings.cluster))
    if settings.portable is not None:
        if settings.portable and found:
            raise NotPortable(f"PORTABLE=1 cannot hold: {found[0]}")
        return Arithmetic(settings.portable, "as asked for")
    if settings.scale not in SCALES:
        return Arithmetic(False, f"by default at SCALE={settings.scale}")
    if found:
        return Arithmetic(False, f"by default: {found[0]}")
    return Arithmetic(None if settings.cluster else True, "by default")


def cautions(settings: Settings, precisions: Collection[Precision]) -> Iterator[str]:
    """What to know before training in these precisions; a cluster's nodes are not looked at."""
    if not settings.cluster:
        portable = bool(arithmetic(settings).portable)
        yield from processor.cautions(precisions, cuda_devices() > 0, portable)


def in_words(settings: Settings) -> str:
    """The setting, where from, and what it means."""
    portable, why = arithmetic(settings)
    if portable is None:
        return f"PORTABLE=1 on nodes where it can hold ({why})"
    meaning = (
        "the same numbers on every x86-64 processor with AVX2"
        if portable
        else "this kind of processor's own numbers"
    )
    return f"PORTABLE={int(portable)} ({why}): {meaning}"
