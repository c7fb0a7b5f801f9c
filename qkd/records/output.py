"""Standard output whose reader may be gone, as with ``make report | head`` (torch-free)."""

import os
import select
import sys


def is_unread(error: BaseException) -> bool:
    """Whether an error says that nothing reads what is printed any more: a broken pipe, or rich's
    exit at one. The pipe of something else may be broken too, where output still has a reader."""
    if isinstance(error, SystemExit):
        return isinstance(error.__context__, BrokenPipeError)
    return isinstance(error, BrokenPipeError) and not _is_read()


def _is_read() -> bool:
    watched = select.poll()
    watched.register(sys.stdout.fileno(), 0)
    return not watched.poll(0)


def print_no_more() -> None:
    """What is printed from now on goes nowhere; else the flush at the exit would fail."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
