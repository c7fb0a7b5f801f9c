"""Several processes on one device: how many give the highest throughput together?"""

import multiprocessing
import os
import time
from collections.abc import Iterator
from multiprocessing.synchronize import Barrier, Event
from typing import Any

import torch

from benchmarks.speed import Figure
from slurm.speed.steps import LAPTOP, quantized, step_of

SECONDS = 6.0
PATIENCE = 300.0
GROUP = "side by side"


def arrangements(device: torch.device) -> list[tuple[int, int]]:
    """(processes, threads of each) to try."""
    if device.type == "cuda":
        return [(1, 1), (2, 1), (3, 1), (4, 1)]
    cores = os.cpu_count() or 1
    tried = [(1, 1), (1, cores), (cores, 1), (2 * cores, 1)]
    return list(dict.fromkeys(tried))


def side_by_side(device: torch.device) -> Iterator[tuple[Figure, int]]:
    """The throughput of each arrangement against one process of one thread, with its processes.

    Measured on the smallest student, which leaves a device idle most.
    """
    alone = 0.0
    for processes, threads in arrangements(device):
        speed = _throughput(processes, threads, str(device))
        alone = alone or speed
        ratio = speed / alone
        words = f"{processes} process{'es' if processes > 1 else ''} of {threads} thread"
        yield (
            Figure(
                group=GROUP, name=words + ("s" if threads > 1 else ""), ratio=ratio, low=ratio,
                high=ratio, better="higher", note=f"{speed:.0f} images/s together",
            ),
            processes,
        )  # fmt: skip


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
    torch.set_num_threads(threads)
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
