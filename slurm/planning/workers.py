"""How many workers a launch on this machine has."""

import shutil
from pathlib import Path

from benchmarks.settings import Settings
from benchmarks.speed.figures import FOLDER, MachineSpeed
from qkd.spec.value import decode
from qkd.training.runtime import cores


def workers(settings: Settings) -> int:
    """JOBS=, where it is given. Else one for each core of a CPU, or for each THREADS= of them.

    On GPUs one for each at the scales whose networks fill a GPU; at smaller ones as many
    as `make speed` found to give the highest throughput.
    """
    if settings.jobs:
        return settings.jobs
    gpus = _gpus()
    if gpus:
        small = settings.scale in ("smoke", "laptop")
        return len(gpus) * (workers_of(settings.results, gpus[0]) if small else 1)
    return max(1, cores() // settings.threads)


def workers_of(results: Path, processor: str) -> int:
    """How many processes on one such device `make speed` found best; 1 where it has not run."""
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
