"""What each launch took, beside what its stages took: results/launches.jsonl, one line a launch
(torch-free).
"""

import time
from pathlib import Path

import msgspec

from qkd.records.schema import Launch

FILE = "launches.jsonl"


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
