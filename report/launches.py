"""When runs were launched, and what they took: launches.jsonl, a line each."""

from pathlib import Path
from typing import Annotated

import msgspec

from qkd.spec.value import NotNegative, Value

FILE = "launches.jsonl"
TIME = r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$"


class Launch(Value, kw_only=True, forbid_unknown_fields=False):
    """The part of a line that the report reads: one launch, which began at ``time`` (UTC)."""

    matrix: str
    scale: str
    time: Annotated[str, msgspec.Meta(pattern=TIME)]
    workers: Annotated[int, msgspec.Meta(ge=1)]
    wall_seconds: NotNegative

    @property
    def date(self) -> str:
        """The day on which it began."""
        return self.time[:10]


def launches(folder: Path, problems: list[str]) -> list[Launch]:
    """The launches of a results folder, oldest first. A line that cannot be read is a problem."""
    path = folder / FILE
    try:
        lines = path.read_bytes().splitlines()
    except OSError:
        return []
    found = []
    for number, line in enumerate(lines, start=1):
        try:
            found.append(msgspec.json.decode(line, type=Launch))
        except ValueError as error:
            problems.append(f"{FILE}, line {number}, tells of no launch: {error}")
    return found
