"""Where and how a stage runs: recorded, never part of a history (torch-free)."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Annotated, Literal

import msgspec

from qkd.spec.value import Count, NotNegative, Positive, Value

# glibc returns large blocks to the system at once and faults their pages in again at each step:
# kept, a training step on a CPU is a tenth faster or more. Read when a process starts.
ALLOCATOR = {
    "MALLOC_MMAP_THRESHOLD_": str(2**32),
    "MALLOC_TRIM_THRESHOLD_": str(2**34),
    "MALLOC_TOP_PAD_": str(2**26),
}


class Runtime(Value, kw_only=True):
    """Folders and the device.

    ``data`` is the folder of the data sets, ``matrix_file`` a user's matrix that specs may name
    ("": none), ``save_seconds`` the longest training that a kill can cost. ``compile`` compiles
    the training step, which changes the last bits of numbers: recorded, and kept on resuming.
    ``lean`` makes rounded tensors anew in the backward pass instead of keeping them, which changes
    no number: where training is in float32 and the quantizers do no more than round (ours, LSQ,
    TQT); it changes nothing elsewhere. ``micro_batches`` is in how many equal parts a rank sums up
    the gradients of its share of a batch, where memory is short; batch norms then see a part at a
    time. ``rank_seconds`` is how long ranks wait for each other. ``loaders`` is how many processes
    decode images that stay files (0: the training process itself), which changes no number.
    ``portable`` is PORTABLE=1 (`qkd.training.portable`), whose variables this process began with;
    None: whoever starts the process is to take it where it can hold.
    ``unproven`` are the digests of stages in which nothing ends that is measured: they end with
    their bit audit, and without an integer proof. ``kept_logits`` are the digests of stages whose
    frozen teacher's logits are kept in a file (`qkd.training.kept`), which changes no number.
    """

    data: str = "data"
    device: Literal["auto", "cpu", "cuda"] = "auto"
    device_index: int = 0
    threads: Count = 1
    save_seconds: NotNegative = 60.0
    compile: bool = False
    lean: bool = False
    portable: bool | None = False
    micro_batches: Count = 1
    rank_seconds: Positive = 900.0
    loaders: Annotated[int, msgspec.Meta(ge=0)] = 0
    matrix_file: str = ""
    job: str = ""
    unproven: tuple[str, ...] = ()
    kept_logits: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.compile and self.lean:
            raise ValueError("COMPILE=1 decides itself what to keep: leave LEAN out")
        if self.portable and (self.compile or self.threads != 1 or self.device == "cuda"):
            raise ValueError(
                "PORTABLE=1 is for one thread of a CPU, not compiled: leave COMPILE, THREADS and "
                "a CUDA device out"
            )


@contextmanager
def starting_with(variables: Mapping[str, str]) -> Iterator[None]:
    """Environment variables for the processes started within; what a user has set stays."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update({name: value for name, value in variables.items() if not before[name]})
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def cores() -> int:
    """How many cores this process may use: fewer than the machine has, in a job or a container."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
