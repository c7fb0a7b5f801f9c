"""Files that are never half-written, and text of others that is safe to print (torch-free)."""

import codecs
import os
import secrets
import sys
from io import TextIOWrapper
from pathlib import Path

# What our own lines hold that not every terminal can show, and what stands for it there.
PLAIN = {"±": "+-", "…": "...", "\N{MINUS SIGN}": "-", "\N{NO-BREAK SPACE}": " "}
REPLACEMENT = "\N{REPLACEMENT CHARACTER}"


def write_atomically(path: Path, content: bytes) -> None:
    """Replaces ``path`` by ``content``, written beside and renamed: a reader sees the old file or
    the new one, never a part.

    Raises OSError (a full disk, say), leaving the old file as it was and nothing beside it.
    """
    # Processes of one number may write at once: on two hosts, or in two containers.
    beside = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}.part")
    try:
        with beside.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
        _flush_folder(path.parent)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise


def _flush_folder(folder: Path) -> None:
    """The rename itself survives a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def printable(text: str, kept: str = "\n") -> str:
    """The text with every control or other unprintable character replaced, but for those kept."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in kept else REPLACEMENT for c in text)


def print_plainly_where_needed() -> None:
    """From now on a character that the terminal's encoding lacks is printed as another one, and is
    no error."""
    codecs.register_error("plain", _plain)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="plain")


def _plain(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    lacking = error.object[error.start : error.end]
    return "".join(PLAIN.get(character, "?") for character in lacking), error.end
