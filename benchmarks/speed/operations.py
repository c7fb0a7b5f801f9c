"""What a quantized training step costs over the float one, operation by operation."""

from collections.abc import Iterator
from statistics import median
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
    share of the whole float step: the median of steps in turn, under torch's profiler, which makes
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
    """By operation, the median step: of the float network, and of the quantized one."""
    both = [
        step_of(network, case, device)
        for network in (network_of(case, device), quantized(case, device))
    ]
    found: tuple[dict[str, list[Spent]], ...] = ({}, {})
    for step in both:
        step()
    for _ in range(steps):
        for step, seen in zip(both, found, strict=True):
            for name, one in _profiled(step, device):
                seen.setdefault(name, []).append(one)
    return tuple({name: _median(every) for name, every in seen.items()} for seen in found)


def _profiled(step: Step, device: torch.device) -> Iterator[tuple[str, Spent]]:
    """What one step spends in each operation; on a GPU the GPU's seconds."""
    on_gpu = device.type == "cuda"
    kinds = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if on_gpu else [])]
    with profile(activities=kinds) as profiled:
        step()
        if on_gpu:
            torch.cuda.synchronize()
    for event in profiled.key_averages():
        micro = event.self_device_time_total if on_gpu else event.self_cpu_time_total
        yield event.key, Spent(micro / 1e6, event.count)


def _median(every: list[Spent]) -> Spent:
    return Spent(*map(median, zip(*every, strict=True)))
