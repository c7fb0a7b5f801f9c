"""The end of a stage's log: text that others wrote, shortened."""

from pathlib import Path

LINES = 5
BYTES = 1500


def tail(path: Path, lines: int = LINES) -> str:
    """The last lines of a file, at most BYTES bytes of them; empty where there is none."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(max(0, size - BYTES))
            text = file.read().decode("utf-8", errors="replace")
    except OSError:
        return ""
    return "\n".join(text.splitlines()[-lines:])
