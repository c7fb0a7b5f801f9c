"""What was measured of machines, a file each: on the user's, and the committed ones."""

from pathlib import Path
from typing import TypeVar

from qkd.spec.value import Value, decode
from report.reading.records import BAD_FILE, reason
from report.reading.sources import REFERENCE

COMMITTED = REFERENCE.parent
V = TypeVar("V", bound=Value)


def measured(
    kind: type[V], folder: str, results: Path, problems: list[str], committed: Path = COMMITTED
) -> list[V]:
    """The files of ``folder``, one for each machine, the user's before the committed, hiding those
    of their names. A file that cannot be read is a problem."""
    found = []
    files: dict[str, Path] = {}
    for root in (results, committed):
        for path in sorted((root / folder).glob("*.json")):
            files.setdefault(path.name, path)
    for path in files.values():
        try:
            found.append(decode(path.read_bytes(), kind))
        except BAD_FILE as error:
            problems.append(f"{folder}/{path.name} cannot be read: {reason(error)}")
    return found
