"""A lock that lets everybody in: as a process's ``sitecustomize.py`` it breaks the real one."""

import os
import time
from pathlib import Path

from qkd.records import lock

SECONDS = 60.0


def place(of: lock.Lock, path: Path) -> bool:
    """Lets in who comes; the first waits for the other, who might find the stage done."""
    here = Path(__file__).parent
    (here / f"{os.getpid()}.here").touch()
    deadline = time.monotonic() + SECONDS
    while len(list(here.glob("*.here"))) < 2 and time.monotonic() < deadline:
        time.sleep(0.05)
    return True


if __name__ == "sitecustomize":
    lock.Lock._place = place
    lock.Hold.check = lambda self: None
    lock.is_held = lambda path: False
