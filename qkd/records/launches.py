"""What each launch took, beside what its stages took: results/launches.jsonl, one line a launch
(torch-free).
"""

import time
from pathlib import Path
from typing import Annotated

import msgspec

from qkd.records.schema import Content
from qkd.spec.value import Count, NotNegative

FILE = "launches.jsonl"
TIME = r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$"


class Launch(Content, kw_only=True):
    """A line of launches.jsonl: one launch on one machine, which began at ``time`` (UTC). Seconds:
    of the clock, of training steps, of integer proofs.

    ``whole``: it trained all that the matrix has to train but the networks it begins with, from
    nothing, so that its clock and its stages' seconds tell of the same work.
    """

    matrix: str
    scale: str
    time: Annotated[str, msgspec.Meta(pattern=TIME)]
    workers: Count
    stages: int = 0
    whole: bool = True
    wall_seconds: NotNegative
    training_seconds: NotNegative = 0.0
    proof_seconds: NotNegative = 0.0

    @property
    def date(self) -> str:
        """The day on which it began."""
        return self.time[:10]


def note(results: Path, launch: Launch) -> None:
    """Appends the launch to the file."""
    with (results / FILE).open("ab") as file:
        file.write(msgspec.json.encode(launch) + b"\n")


def launches(results: Path) -> tuple[list[Launch], list[str]]:
    """The launches of a results folder, oldest first; and what is wrong with each line that cannot
    be read, in words."""
    try:
        lines = (results / FILE).read_bytes().splitlines()
    except OSError:
        return [], []
    found, problems = [], []
    for number, line in enumerate(lines, start=1):
        try:
            found.append(msgspec.json.decode(line, type=Launch))
        except ValueError as error:
            problems.append(f"{FILE}, line {number}, is no launch: {error}")
    return found, problems


def now() -> str:
    """The time, in UTC."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
