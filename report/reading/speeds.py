"""What `make speed` measured, on the user's machines and on the committed."""

from pathlib import Path

from benchmarks.speed.figures import FOLDER, MachineSpeed
from qkd.spec.value import decode
from report.reading.records import BAD_FILE, reason
from report.reading.sources import REFERENCE

COMMITTED = REFERENCE.parent / FOLDER


def speeds(results: Path, problems: list[str], committed: Path = COMMITTED) -> list[MachineSpeed]:
    """One for each machine, the user's before the committed, hiding those of their names. A file
    that cannot be read is a problem."""
    found = []
    files: dict[str, Path] = {}
    for folder in (results / FOLDER, committed):
        for path in sorted(folder.glob("*.json")):
            files.setdefault(path.name, path)
    for path in files.values():
        try:
            found.append(decode(path.read_bytes(), MachineSpeed))
        except BAD_FILE as error:
            problems.append(f"{FOLDER}/{path.name} cannot be read: {reason(error)}")
    return found
