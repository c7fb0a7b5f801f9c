"""What a consumer is: a program of others that runs one of our forms."""

from collections.abc import Callable
from typing import Any, NamedTuple

from numpy.typing import NDArray

Logits = NDArray[Any]


class Refused(ValueError):
    """A consumer that does not take the file, in its own words."""


class Session(NamedTuple):
    """A file that a consumer has read.

    ``run`` takes images, float32 (batch, C, H, W), and returns logits (batch, classes).
    ``integer_layers`` of ``layers`` convolutions and linear layers run on integer kernels.
    """

    run: Callable[[Logits], Logits]
    layers: int
    integer_layers: int


class Consumer(NamedTuple):
    """A way to run a file.

    Attributes:
        name: the library and its setting.
        forms: the names of the forms that it is for.
        version: the library's; raises ImportError where it is not installed.
        open: reads a file's bytes. Raises Refused.
        advice: what to set, in one line.
        most_seconds: no further batch is begun after so long: some consumers are slow.
    """

    name: str
    forms: tuple[str, ...]
    version: Callable[[], str]
    open: Callable[[bytes], Session]
    advice: str
    most_seconds: float = 120.0


def first_line(error: Exception) -> str:
    """The first line of what a library says, as one that fits a table."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0][:200]
