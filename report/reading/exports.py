"""What was exported: an export.json for each record, of the user's and of the committed ones."""

from pathlib import Path

from qkd.export.told import FILE, FOLDER, Told
from qkd.spec.value import decode
from report.reading.records import BAD_FILE, reason


def exported(results: Path, problems: list[str], committed: Path) -> list[Told]:
    """Every export, the user's before the committed, hiding those of their records. A file that
    cannot be read is a problem."""
    files: dict[str, Path] = {}
    for root in (results, committed):
        for path in sorted((root / FOLDER).glob(f"*/{FILE}")):
            files.setdefault(path.parent.name, path)
    found = []
    for name, path in files.items():
        try:
            found.append(decode(path.read_bytes(), Told))
        except BAD_FILE as error:
            problems.append(f"{FOLDER}/{name}/{FILE} cannot be read: {reason(error)}")
    return found
