"""What `make torture` found on a machine, as values (torch-free)."""

from typing import Annotated, Literal

import msgspec

from benchmarks.speed.figures import Machine
from qkd.spec.value import NotNegative, Value

FOLDER = "torture"
PART = Literal["SIGKILL", "hostile input", "two launches at once", "full disk"]
Number = Annotated[int, msgspec.Meta(ge=0)]


class Row(Value, kw_only=True):
    """What was tried of a part, how often, and how many faults of each kind came of it."""

    part: PART
    what: str
    tried: Number
    faults: dict[str, Number]
    note: str = ""


class Torture(Value, kw_only=True):
    """All that one run of the command found; ``examples`` say what the first faults were,
    ``skipped`` what was not tried, and why."""

    machine: Machine
    seconds: NotNegative
    rows: tuple[Row, ...]
    examples: tuple[str, ...] = ()
    skipped: dict[str, str] = {}  # noqa: RUF012 (a Struct copies it)


def faults_of(found: Torture) -> int:
    """Of all kinds together."""
    return sum(number for row in found.rows for number in row.faults.values())
