"""Consumers that are known to compute something else, each with the version that was seen.

Another version is judged as if nothing were known of it.
"""

from typing import NamedTuple


class KnownWrong(NamedTuple):
    """A consumer of a version, and why it differs."""

    consumer: str
    version: str
    why: str


KNOWN_WRONG = (
    KnownWrong(
        "OpenVINO, default",
        "2026.4.1",
        "it computes in bfloat16 where the processor can: set INFERENCE_PRECISION_HINT to f32",
    ),
)


def known_wrong(consumer: str, version: str) -> str:
    """Why this consumer differs; "" where that is not known of this version."""
    for one in KNOWN_WRONG:
        if (one.consumer, one.version) == (consumer, version):
            return one.why
    return ""
