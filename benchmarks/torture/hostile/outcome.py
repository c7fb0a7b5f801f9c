"""What came of the hostile inputs of a kind."""

import hashlib
from pathlib import Path

from benchmarks.torture.figures import Row

EXECUTED, SILENT, LOST, CRASHED = "executed", "averaged in silence", "lost", "crashed"


class Outcomes:
    """Counts the inputs of a kind and their faults; ``canary`` is the file that anything that was
    run would make."""

    def __init__(self, what: str, canary: Path, examples: list[str]) -> None:
        self._what, self._canary, self._examples = what, canary, examples
        self._faults = dict.fromkeys((EXECUTED, SILENT, LOST, CRASHED), 0)
        self._tried = self._refused = 0

    def count(self, is_refused: bool) -> None:
        """One more was tried."""
        self._tried += 1
        self._refused += is_refused

    def fault(self, kind: str, words: str) -> None:
        """Something went wrong."""
        self._faults[kind] += 1
        self._examples.append(f"{self._what}, {kind}: {words}"[:300])

    def look_for_execution(self, words: str) -> None:
        """Counts a fault where the canary is there, and removes it."""
        if self._canary.exists():
            self._canary.unlink()
            self.fault(EXECUTED, words)

    def row(self) -> Row:
        """All of it."""
        note = f"{self._refused} refused or named, {self._tried - self._refused} read as they are"
        return Row(
            part="hostile input",
            what=self._what,
            tried=self._tried,
            faults=self._faults,
            note=note,
        )


def hashes(folder: Path) -> dict[Path, str]:
    """The sha256 of every file below a folder."""
    return {
        path: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
