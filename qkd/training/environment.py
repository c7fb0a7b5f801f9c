"""Sets up torch for one process, and says what it runs on."""

import ctypes
import importlib.metadata
import importlib.util
import os
import platform
import re
import socket
import subprocess
import sys
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
import numpy
import torch

from qkd.imports import load_file
from qkd.records.schema import Environment, Place
from qkd.training import distributed, portable
from qkd.training.processor import processor
from qkd.training.runtime import Runtime

ROOT = Path(__file__).resolve().parents[2]


def set_up(runtime: Runtime) -> torch.device:
    """Threads, deterministic kernels and the device of this process.

    Raises RuntimeError where CUDA is asked for and not there, NotPortable as `require_portable`.
    """
    require_portable(runtime)
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


def require_portable(runtime: Runtime) -> None:
    """Where PORTABLE=1 is asked for: that this very process has its arithmetic.

    The variables are read once, so that it asks torch and MKL themselves; oneDNN cannot be asked.
    Raises NotPortable.
    """
    if not runtime.portable:
        return
    portable.require(on_cpu=runtime.device == "cpu")
    capability, branch = capability_of_torch(), branch_of_mkl()
    if not portable.are_set() or capability != "AVX2" or branch not in (None, MKL_COMPATIBLE):
        raise portable.NotPortable(
            "PORTABLE=1 cannot hold in this process: it began without the variables (torch takes "
            f"{capability}, MKL's branch is {branch})"
        )
    if device_of(runtime).type != "cpu":
        raise portable.NotPortable("PORTABLE=1 cannot hold: training would be on a CUDA device")


MKL_COMPATIBLE = 3


def capability_of_torch() -> str:
    """The instruction set that torch's own kernels take: AVX512, AVX2, DEFAULT, ..."""
    return str(torch.backends.cpu.get_cpu_capability())


def branch_of_mkl() -> int | None:
    """MKL's branch by its own numbers (COMPATIBLE is 3); None where torch has no MKL to ask."""
    name = "libtorch_cpu.dylib" if sys.platform == "darwin" else "libtorch_cpu.so"
    try:
        library = ctypes.CDLL(str(Path(torch.__file__).parent / "lib" / name))
        return int(library.mkl_serv_cbwr_get(-1))
    except (OSError, AttributeError):
        return None


def place(runtime: Runtime, device: torch.device) -> Place:
    """Whose arithmetic this process has."""
    known = processor()
    return Place(
        torch=str(torch.__version__),
        device=str(device),
        device_name=torch.cuda.get_device_name(device) if device.type == "cuda" else known.name,
        vendor=known.vendor,
        family=known.family,
        model=known.model,
        stepping=known.stepping,
        capability=capability_of_torch(),
        threads=runtime.threads,
        compile=runtime.compile,
        portable=bool(runtime.portable),
    )


def describe(
    runtime: Runtime, device: torch.device, parts: Sequence[int] = (), places: Sequence[Place] = ()
) -> Environment:
    """What this process runs on: versions, device, commit, command. ``places``: all that trained
    the stage, where this is not the only one.
    """
    here = place(runtime, device)
    return Environment(
        **msgspec.structs.asdict(here),
        aten_cpu_capability=os.environ.get("ATEN_CPU_CAPABILITY", ""),
        onednn_max_cpu_isa=os.environ.get("ONEDNN_MAX_CPU_ISA", ""),
        mkl_cbwr=os.environ.get("MKL_CBWR", ""),
        places=tuple(places) or (here,),
        torchvision=torchvision_version(),
        numpy=numpy.__version__,
        python=platform.python_version(),
        platform=platform.platform(),
        machine=platform.machine(),
        host=socket.gethostname(),
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


def places(past: Sequence[Place], runtime: Runtime, device: torch.device) -> list[Place]:
    """All that trained a stage so far (``past``), and this one."""
    here = place(runtime, device)
    return [*past] if here in past else [*past, here]


@cache
def torchvision_version() -> str:
    """What ``torchvision.__version__`` says, read off its file: a worker that needs nothing else of
    it is spared the import, a third of all that it imports.
    """
    found = importlib.util.find_spec("torchvision")
    assert found is not None and found.origin is not None  # noqa: S101, PT018 (a dependency)
    text = Path(found.origin).with_name("version.py").read_text()
    line = re.search(r"^__version__ = ['\"]([^'\"]+)['\"]", text, re.MULTILINE)
    return line[1] if line else importlib.metadata.version("torchvision")


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
