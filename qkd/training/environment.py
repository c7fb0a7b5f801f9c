"""Sets up torch for one process, and says what it runs on."""

import os
import platform
import socket
import subprocess
import sys
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy
import torch
import torchvision

from qkd.imports import load_file
from qkd.records.schema import Environment
from qkd.training import distributed
from qkd.training.runtime import Runtime

ROOT = Path(__file__).resolve().parents[2]


def set_up(runtime: Runtime) -> torch.device:
    """Threads, deterministic kernels and the device of this process.

    Raises RuntimeError where CUDA is asked for and not there.
    """
    if runtime.matrix_file:
        load_file(Path(runtime.matrix_file))
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    # What was compiled once serves every stage and every run.
    os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str(ROOT / ".cache" / "inductor"))
    torch.set_num_threads(runtime.threads)
    torch.use_deterministic_algorithms(True)
    # Else every new tensor is first filled with NaN: a fifth of a step's time on a CPU.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    torch.backends.cudnn.benchmark = False
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
    found = device_of(runtime)
    if found.type == "cuda" and distributed.world() > 1:
        torch.cuda.set_device(found)  # NCCL talks from the current one
    return found


def device_of(runtime: Runtime) -> torch.device:
    """The device of this process: of several ranks on one machine, each has its own GPU.

    Raises RuntimeError where CUDA is asked for and not there.
    """
    has_cuda = torch.cuda.is_available()
    if runtime.device == "cuda" and not has_cuda:
        raise RuntimeError("device cuda was asked for, but torch sees no CUDA device")
    if runtime.device == "cpu" or not has_cuda:
        return torch.device("cpu")
    here = distributed.place()
    index = here.local_rank if here.world > 1 else runtime.device_index
    return torch.device("cuda", index % torch.cuda.device_count())


def describe(runtime: Runtime, device: torch.device, parts: Sequence[int] = ()) -> Environment:
    """What this process runs on: versions, device, commit, command."""
    return Environment(
        torch=str(torch.__version__),
        torchvision=torchvision.__version__,
        numpy=numpy.__version__,
        python=platform.python_version(),
        platform=platform.platform(),
        machine=platform.machine(),
        host=socket.gethostname(),
        device=str(device),
        device_name=_device_name(device),
        threads=runtime.threads,
        compile=runtime.compile,
        lean=runtime.lean,
        ranks=distributed.world(),
        micro_batches=runtime.micro_batches,
        loaders=runtime.loaders,
        data=runtime.data,
        job=runtime.job,
        command=tuple(sys.argv),
        parts=tuple(parts),
        **commit(),
    )


def parts(past: list[int], runtime: Runtime) -> list[int]:
    """Into how many parts a stage's batches were cut, ranks times micro-batches: by the launches so
    far (``past``) and this one, one number for those that follow each other with the same.
    """
    now = distributed.world() * runtime.micro_batches
    return past if past[-1:] == [now] else [*past, now]


def _device_name(device: torch.device) -> str:
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return _processor()


@cache
def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


@cache
def commit() -> dict[str, Any]:
    """The commit of the code and whether the tree differs from it; unknown outside a checkout."""

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(ROOT), *arguments]
        return subprocess.run(  # noqa: S603 (fixed arguments)
            command, capture_output=True, text=True, check=True, timeout=20
        ).stdout.strip()

    try:
        return {
            "commit": git("rev-parse", "HEAD"),
            "dirty": bool(git("status", "--porcelain", "--untracked-files=no")),
        }
    except (OSError, subprocess.SubprocessError):
        return {"commit": "", "dirty": None}
