"""How many workers a launch on this machine has."""

import os
import shutil
from pathlib import Path

from benchmarks.settings import Settings
from benchmarks.speed import FOLDER, MachineSpeed
from qkd.value import decode


def workers(settings: Settings) -> int:
    """As asked for, else one for each core, or as many for each GPU as `make speed` found to give
    the highest throughput (one where it was not run).
    """
    if settings.jobs:
        return settings.jobs
    gpus = _gpus()
    if gpus:
        return len(gpus) * workers_of(settings.results, gpus[0])
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return max(1, (cores or 1) // settings.threads)


def workers_of(results: Path, processor: str) -> int:
    """How many processes side by side `make speed` found best for such a device; 1: not known."""
    for path in sorted((results / FOLDER).glob("*.json")):
        try:
            speed = decode(path.read_bytes(), MachineSpeed)
        except (OSError, ValueError):
            continue
        if speed.machine.processor == processor and speed.workers:
            return speed.workers
    return 1


def _gpus() -> list[str]:
    """The GPUs' names; torch, slow to import, is asked only where a driver is there."""
    if shutil.which("nvidia-smi") is None:
        return []
    import torch

    return [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
