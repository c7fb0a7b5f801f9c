"""Two pieces of work timed in turn, so that a machine's noise falls on both."""

import gc
import statistics
import time
from collections.abc import Callable
from typing import Literal, NamedTuple

import torch

from benchmarks.speed.figures import Figure, judged

ROUNDS = 15
WARM_UP = 2
QUIET = {"KINETO_LOG_LEVEL": "99"}  # torch's profiler, as a process begins; else it tells each use


class Times(NamedTuple):
    """Seconds of each round, base and other."""

    base: list[float]
    other: list[float]

    @property
    def ratios(self) -> list[float]:
        """The other's share of the base's time, round by round."""
        return [other / base for base, other in zip(self.base, self.other, strict=True)]

    def figure(
        self,
        group: str,
        name: str,
        goal: float | None = None,
        note: str = "",
        better: Literal["lower", "higher"] = "lower",
    ) -> Figure:
        """The ratio as a figure."""
        low, middle, high = statistics.quantiles(self.ratios, n=4, method="inclusive")
        return judged(
            Figure(
                group=group,
                name=name,
                ratio=middle,
                low=low,
                high=high,
                goal=goal,
                note=note,
                better=better,
            )
        )


def in_turn(
    base: Callable[[], object],
    other: Callable[[], object],
    rounds: int = ROUNDS,
    warm_up: int = WARM_UP,
) -> Times:
    """Both, one after the other, ``rounds`` times after ``warm_up`` rounds that are not timed."""
    times = Times([], [])
    for _ in range(warm_up):
        base()
        other()
    gc.collect()
    gc.disable()
    try:
        for _ in range(rounds):
            times.base.append(_seconds(base))
            times.other.append(_seconds(other))
    finally:
        gc.enable()
    return times


def first_step(work: Callable[[], object]) -> str:
    """Does the work for the first time, and says how long that took, compiling included."""
    return f"its first step, compiling included, took {_seconds(work):.0f} s"


def _seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - began
