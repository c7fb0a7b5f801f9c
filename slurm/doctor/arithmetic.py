"""Which processor this is, and whether PORTABLE=1 holds on it."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping

from benchmarks.settings import Settings
from qkd.training.portable import VARIABLES, NotPortable
from qkd.training.processor import processor
from slurm.doctor import Finding
from slurm.planning.arithmetic import arithmetic, in_words

SECONDS = 120
ONEDNN = re.compile(r"^onednn_verbose,.*\binfo,cpu,isa:(.*)$", re.MULTILINE)
# A convolution has oneDNN say what it takes, on its own standard output.
ASK = """
import torch
from qkd.training import environment, portable
torch.nn.functional.conv2d(torch.zeros(16, 8, 28, 28), torch.zeros(8, 8, 3, 3))
print(f"torch:{environment.capability_of_torch()}")
print(f"mkl:{environment.branch_of_mkl()}")
"""


def arithmetic_here(settings: Settings) -> Iterator[Finding]:
    """What the processor says of itself, what a worker's libraries take, and PORTABLE."""
    known = processor()
    numbers = {"family": known.family, "model": known.model, "stepping": known.stepping}
    words = [f"{name} {number}" for name, number in numbers.items() if number is not None]
    maker = [known.vendor] if known.vendor else []
    yield Finding("processor", ", ".join([known.name or "unnamed", *maker, *words]))
    try:
        portable = arithmetic(settings).portable
    except NotPortable as error:
        yield Finding("arithmetic", str(error), "leave PORTABLE out, or PORTABLE=0")
        return
    torch, onednn, mkl = taken(VARIABLES if portable else {})
    found = f"torch {torch}, oneDNN {onednn}, MKL's branch {mkl}"
    holds = torch == "AVX2" and onednn.endswith("AVX2") and mkl in ("3", "None")
    mend = "PORTABLE=0: this torch passes over what it is told" if portable and not holds else ""
    yield Finding("arithmetic", f"{in_words(settings)}; {found}", mend)


def taken(variables: Mapping[str, str]) -> tuple[str, str, str]:
    """The instruction sets that torch and oneDNN take in a process begun with the variables, and
    MKL's branch (3: COMPATIBLE; None: there is no MKL); ``?`` where one does not say.

    Raises RuntimeError where the process fails.
    """
    environment = {**os.environ, **variables, "ONEDNN_VERBOSE": "1"}
    done = subprocess.run(  # noqa: S603 (fixed arguments)
        [sys.executable, "-c", ASK],
        env=environment,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"torch cannot be asked: {done.stderr.strip()[-200:]}")
    onednn = ONEDNN.search(done.stdout)
    said = dict(line.split(":", 1) for line in done.stdout.splitlines() if line[:4] in _OURS)
    return said["torch"], onednn.group(1).strip() if onednn else "?", said["mkl"]


_OURS = ("torc", "mkl:")
