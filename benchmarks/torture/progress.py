"""How far a part is, and how long it will still take."""

import time


class Progress:
    """Prints a line now and then: ``SIGKILL: 20 of 100, 70 s left``."""

    def __init__(self, part: str, total: int, every: float = 10.0) -> None:
        self._part, self._total, self._every = part, total, every
        self._done, self._began = 0, time.monotonic()
        self._said = self._began

    def step(self, count: int = 1) -> None:
        """So many more are done."""
        self._done += count
        now = time.monotonic()
        if now - self._said < self._every and self._done < self._total:
            return
        self._said = now
        left = (now - self._began) / self._done * max(0, self._total - self._done)
        print(f"{self._part}: {self._done} of {self._total}, {left:.0f} s left", flush=True)
