"""What a network may draw from beside torch's generator: Python's `random` and numpy's."""

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch

from qkd.spec.history import seed_of


@contextmanager
def python_and_numpy(seed: int, stream: str, index: int) -> Iterator[None]:
    """Within it both draw from streams of their own; afterwards they go on as if nothing had been
    drawn. ``seed``, ``stream`` and ``index`` are those of `qkd.spec.history.seed_of`.
    """
    before, generator = random.getstate(), np.random.get_bit_generator()  # type: ignore[attr-defined]
    random.seed(seed_of(seed, f"{stream}-python", index))
    own = np.random.MT19937(seed_of(seed, f"{stream}-numpy", index))
    np.random.set_bit_generator(own)  # type: ignore[attr-defined]
    try:
        yield
    finally:
        random.setstate(before)
        np.random.set_bit_generator(generator)  # type: ignore[attr-defined]


@contextmanager
def tried() -> Iterator[None]:
    """Within it a network is only tried: it draws the same each time, and afterwards all three
    generators (torch's on the CPU) go on as if nothing had been drawn.
    """
    with torch.random.fork_rng(devices=()), python_and_numpy(0, "tried", 0):
        torch.manual_seed(0)
        yield
