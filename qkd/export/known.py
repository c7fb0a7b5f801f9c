"""Consumers that are known to compute something else, each with the version that was seen.

Another version is judged as if nothing were known of it.
"""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

CPU_FLAGS = Path("/proc/cpuinfo")


def lacks_vnni() -> bool:
    """Whether this is an x86 processor without VNNI's exact sums of 8-bit products."""
    try:
        text = CPU_FLAGS.read_text()
    except OSError:  # not Linux: nothing is excused
        return False
    lines = [line for line in text.splitlines() if line.startswith("flags")]
    return bool(lines) and "vnni" not in lines[0]


class KnownWrong(NamedTuple):
    """A consumer of a version, why it differs, and whether it does on this machine."""

    consumer: str
    version: str
    why: str
    here: Callable[[], bool] = lambda: True


KNOWN_WRONG = (
    KnownWrong(
        "OpenVINO, default",
        "2026.4.1",
        "it computes in bfloat16 where the processor can: set INFERENCE_PRECISION_HINT to f32",
    ),
    *(
        KnownWrong(
            f"onnxruntime, {level}",
            "1.32.0",
            "8-bit sums may overflow on this processor, which has no VNNI: set "
            "session.x64quantprecision to 1",
            lacks_vnni,
        )
        for level in ("ENABLE_EXTENDED", "ENABLE_LAYOUT", "ENABLE_ALL")
    ),
)


def known_wrong(consumer: str, version: str) -> str:
    """Why this consumer differs; "" where that is not known of this version on this machine."""
    for one in KNOWN_WRONG:
        if (one.consumer, one.version) == (consumer, version) and one.here():
            return one.why
    return ""
