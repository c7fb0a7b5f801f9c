"""What a quantized training step costs over the float one, operation by operation."""

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch.profiler import ProfilerActivity, profile

from benchmarks.speed.figures import Figure
from benchmarks.speed.steps import CASES, Case, Step, network_of, quantized, step_of

GROUP = "each operation of a quantized step"
STEPS = 6
LEAST = 0.01  # of the float step; what adds less is told together


class Spent(NamedTuple):
    """An operation in one step: its own seconds, what it calls aside, and its calls."""

    seconds: float
    calls: float


def operations(device: torch.device, steps: int = STEPS) -> Iterator[Figure]:
    """Of each operation the time that the quantized step spends in it beyond the float step's, as a
    share of the whole float step: one after the other in turn, under torch's profiler, which makes
    short calls look longer. What became less is told as 0, with both times."""
    for case in CASES:
        before, now = spent(case, device, steps)
        whole = sum(one.seconds for one in before.values())
        more = {name: _more(before, now, name) for name in before.keys() | now.keys()}
        large = sorted((name for name in more if more[name] >= LEAST * whole), key=more.__getitem__)
        for name in reversed(large):
            yield Figure(
                group=GROUP,
                name=f"{case.name}, {name}",
                ratio=more[name] / whole,
                note=f"{_words(now.get(name))}; in float {_words(before.get(name))}",
            )
        rest = sum(value for name, value in more.items() if name not in large) / whole
        yield Figure(
            group=GROUP,
            name=f"{case.name}, all others",
            ratio=max(0.0, rest),
            note=f"{rest:+.3f} of the float step",
        )


def _more(before: dict[str, Spent], now: dict[str, Spent], name: str) -> float:
    none = Spent(0.0, 0.0)
    return now.get(name, none).seconds - before.get(name, none).seconds


def _words(one: Spent | None) -> str:
    return f"{1000 * one.seconds:.2f} ms in {one.calls:.0f} calls" if one else "none"


def spent(case: Case, device: torch.device, steps: int) -> tuple[dict[str, Spent], ...]:
    """By operation, the mean of one step: of the float network, and of the quantized one."""
    both = [
        step_of(network, case, device)
        for network in (network_of(case, device), quantized(case, device))
    ]
    for step in both:
        step()
    found: tuple[dict[str, Spent], ...] = ({}, {})
    for _ in range(steps):
        for step, totals in zip(both, found, strict=True):
            _add(totals, step, device, steps)
    return found


def _add(totals: dict[str, Spent], step: Step, device: torch.device, steps: int) -> None:
    """One step more; totals are of ``steps`` steps' mean."""
    kinds = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if device.type == "cuda" else [])]
    with profile(activities=kinds) as profiled:
        step()
        if device.type == "cuda":
            torch.cuda.synchronize()
    for event in profiled.key_averages():
        micro = event.self_cpu_time_total
        if device.type == "cuda":
            micro = event.self_device_time_total
        old = totals.get(event.key, Spent(0.0, 0.0))
        totals[event.key] = Spent(
            old.seconds + micro / 1e6 / steps, old.calls + event.count / steps
        )
