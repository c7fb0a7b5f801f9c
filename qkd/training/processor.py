"""Which processor this is: what it says of itself (torch-free)."""

import platform
import re
import subprocess
import sys
from collections.abc import Collection, Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

from qkd.spec import Precision

CPUINFO = Path("/proc/cpuinfo")
SYSCTL = "/usr/sbin/sysctl"


class Processor(NamedTuple):
    """Name and maker, and the numbers by which a maker tells its processors apart. Empty, or None,
    where it is not known: ARM's have no such numbers."""

    name: str = ""
    vendor: str = ""
    family: int | None = None
    model: int | None = None
    stepping: int | None = None


@cache
def processor() -> Processor:
    """The one of this machine."""
    facts = _facts()
    return Processor(
        name=facts.get("model name") or facts.get("brand_string") or platform.processor(),
        vendor=facts.get("vendor_id") or facts.get("vendor") or "",
        family=_number(facts.get("cpu family") or facts.get("family")),
        model=_number(facts.get("model")),
        stepping=_number(facts.get("stepping")),
    )


@cache
def instructions() -> frozenset[str]:
    """The names of what it can do, in lower case: ``avx2``, ``fma``, ..."""
    facts = _facts()
    named = ("flags", "features", "leaf7_features")
    return frozenset(" ".join(facts.get(name, "") for name in named).lower().split())


def has_bfloat16() -> bool:
    """Whether it says that it multiplies bfloat16 by itself: x86-64's two ways, or ARM's."""
    return not {"avx512_bf16", "amx_bf16", "bf16"}.isdisjoint(instructions())


def cautions(
    precisions: Collection[Precision], on_cuda: bool, portable: bool = False
) -> Iterator[str]:
    """What to know before training in these precisions here, each in a line.

    Args:
        precisions: of training, and of frozen teachers.
        on_cuda: whether training is on a CUDA device, of which nothing is said.
        portable: whether PORTABLE=1 holds, which leaves all instructions beyond AVX2 alone.
    """
    if on_cuda:
        return
    if "bfloat16" in precisions and (portable or not has_bfloat16()):
        why = "PORTABLE=1 leaves a CPU's" if portable else "this CPU has no"
        yield (
            f"{why} bfloat16 instructions{' alone' if portable else ''}: bfloat16 is slower than "
            "float32 here, eight times were seen"
        )
    if "tf32" in precisions:
        yield "a CPU has no TF32: products are in float32, under the ids of tf32"


@cache
def _facts() -> dict[str, str]:
    """Of Linux its /proc/cpuinfo, of macOS its sysctl machdep.cpu: names and texts of a core."""
    try:
        if sys.platform == "darwin":
            command = [SYSCTL, "machdep.cpu"]
            text = subprocess.run(  # noqa: S603 (fixed arguments)
                command, capture_output=True, text=True, check=True, timeout=20
            ).stdout
        else:
            text = CPUINFO.read_text()
    except (OSError, subprocess.SubprocessError):
        return {}
    return read_facts(text)


def read_facts(text: str) -> dict[str, str]:
    """Names and texts of such lines; of several cores those of the first."""
    facts: dict[str, str] = {}
    for line in text.splitlines():
        name, separator, value = line.partition(":")
        if separator:
            facts.setdefault(name.strip().removeprefix("machdep.cpu."), value.strip())
    return facts


def _number(text: str | None) -> int | None:
    return int(text) if text is not None and re.fullmatch("[0-9]{1,9}", text) else None
