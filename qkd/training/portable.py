"""PORTABLE=1: the same numbers on every x86-64 processor that has AVX2 (torch-free).

By itself torch, oneDNN and MKL each choose the widest instructions of a processor, whose sums are
rounded in another order. Told before torch is imported, all three keep to what AVX2 has.
"""

import ctypes
import os
import platform
import sys
from collections.abc import Iterator, Mapping
from contextlib import suppress

from qkd.training import processor

# COMPATIBLE for MKL, as it passes over AVX2 on other makers' processors than Intel's.
VARIABLES = {
    "ATEN_CPU_CAPABILITY": "avx2",
    "ONEDNN_MAX_CPU_ISA": "AVX2",
    "MKL_CBWR": "COMPATIBLE",
}


class NotPortable(ValueError):
    """PORTABLE=1 cannot hold here; the message says why, and what to do."""


def obstacles(
    threads: int = 1,
    compiled: bool = False,
    on_cpu: bool = False,
    here: bool = True,
    environment: Mapping[str, str] = os.environ,
) -> Iterator[str]:
    """What keeps PORTABLE=1 from holding in processes that start here, each in a few words.

    Args:
        threads: of each process.
        compiled: whether training steps are compiled.
        on_cpu: whether a CUDA device is left alone where there is one.
        here: whether they are on this machine, whose processor and devices are looked at.
        environment: in which processes start.
    """
    if threads != 1:
        yield f"THREADS={threads}, where sums are shared out otherwise than by one thread"
    if compiled:
        yield "COMPILE=1, whose code is made for this processor"
    yield from set_otherwise(environment)
    if not here:
        return
    if platform.machine() not in ("x86_64", "AMD64"):
        yield f"this processor is {platform.machine() or 'unknown'}, not x86-64"
    elif not {"avx2", "fma"} <= processor.instructions():
        yield "this processor has no AVX2"
    if not on_cpu and cuda_devices():
        yield "training would be on a CUDA device"


def set_otherwise(environment: Mapping[str, str] = os.environ) -> Iterator[str]:
    """Which of the variables have another value than `VARIABLES` (unset and empty are none)."""
    for name, value in VARIABLES.items():
        if environment.get(name, value) not in ("", value):
            yield f"{name}={environment[name]} is set, where {value} is needed: unset it"


def are_set(environment: Mapping[str, str] = os.environ) -> bool:
    """Whether a process of this environment has all of `VARIABLES`."""
    return all(environment.get(name) == value for name, value in VARIABLES.items())


def require(threads: int = 1, compiled: bool = False, on_cpu: bool = False) -> None:
    """Raises NotPortable with the first obstacle."""
    for obstacle in obstacles(threads, compiled, on_cpu):
        raise NotPortable(f"PORTABLE=1 cannot hold: {obstacle}")


def start_again_with_variables() -> None:
    """Begins this process anew with `VARIABLES`, as torch reads them once; not where it has them.

    The process id stays, so that whoever started it (torchrun, say) notices nothing.
    """
    if not are_set():
        command = [sys.executable, *sys.orig_argv[1:]]
        os.execve(sys.executable, command, {**os.environ, **VARIABLES})  # noqa: S606


def cuda_devices() -> int:
    """How many CUDA devices a process would see: asked of the driver, which torch asks too."""
    count = ctypes.c_int(0)
    with suppress(OSError, AttributeError):
        driver = ctypes.CDLL("libcuda.so.1")
        if driver.cuInit(0) == 0:
            driver.cuDeviceGetCount(ctypes.byref(count))
    return count.value
