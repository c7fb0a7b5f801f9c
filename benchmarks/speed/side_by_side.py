"""Several processes on one device: how many give the highest throughput together?"""

import multiprocessing
import time
from collections.abc import Iterator, Sequence
from multiprocessing.synchronize import Barrier, Event
from typing import Any

import torch

from benchmarks.speed.figures import Figure
from benchmarks.speed.steps import LAPTOP, quantized, step_of
from qkd.training.environment import set_up
from qkd.training.runtime import Runtime, cores

SECONDS = 6.0
PATIENCE = 300.0
GROUP = "side by side"


def arrangements(device: torch.device) -> list[tuple[int, int]]:
    """(processes, threads of each) to try."""
    if device.type == "cuda":
        return [(1, 1), (2, 1), (3, 1), (4, 1)]
    count = cores()
    tried = [(1, 1), (1, count), (count, 1), (2 * count, 1)]
    return list(dict.fromkeys(tried))


def side_by_side(device: torch.device) -> Iterator[Figure]:
    """The throughput of each arrangement against one process of one thread.

    Measured on the smallest student, which keeps a device busy least.
    """
    alone = 0.0
    for processes, threads in arrangements(device):
        speed = _throughput(processes, threads, str(device))
        alone = alone or speed
        plural = "es" if processes > 1 else ""
        words = f"{processes} process{plural} of {threads} thread{'s'[: threads - 1]}"
        yield Figure(
            group=GROUP,
            name=words,
            ratio=speed / alone,
            better="higher",
            note=f"{speed:.0f} images/s together",
        )


def best_of(figures: Sequence[Figure], device: torch.device) -> int:
    """The number of processes of the best measured arrangement; 0 where none was measured."""
    found = [figure.ratio for figure in figures if figure.group == GROUP]
    pairs = zip(found, arrangements(device), strict=False)  # the last may not have been measured
    return max(pairs, default=(0.0, (0, 0)))[1][0]


def _throughput(processes: int, threads: int, device: str) -> float:
    """Images a second of all processes together, in the time in which all of them work."""
    context = multiprocessing.get_context("spawn")
    ready, stop = context.Barrier(processes + 1), context.Event()
    counts = context.Queue()
    workers = [
        context.Process(target=_work, args=(threads, device, ready, stop, counts), daemon=True)
        for _ in range(processes)
    ]
    for worker in workers:
        worker.start()
    ready.wait(PATIENCE)
    time.sleep(SECONDS)
    stop.set()
    speeds = [counts.get(timeout=PATIENCE) for _ in workers]
    for worker in workers:
        worker.join(PATIENCE)
    return float(sum(speeds))


def _work(threads: int, device_name: str, ready: Barrier, stop: Event, counts: Any) -> None:
    set_up(Runtime(threads=threads))  # deterministic kernels and all, as a worker has them
    device = torch.device(device_name)
    step = step_of(quantized(LAPTOP, device), LAPTOP, device)
    for _ in range(3):
        step()
    ready.wait(PATIENCE)
    began, steps = time.perf_counter(), 0
    while not stop.is_set():
        step()
        steps += 1
    if device.type == "cuda":
        torch.cuda.synchronize()
    counts.put(steps * LAPTOP.shape[0] / (time.perf_counter() - began))
