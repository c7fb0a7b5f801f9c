"""Independent random streams, each a function of a seed, a name and an index (torch-free)."""

import hashlib


def seed_of(seed: int, stream: str, index: int) -> int:
    """A generator's seed in 0 .. 2**63 - 1 for the ``index``-th draw of a named stream.

    ``seed`` is a history's seed, ``stream`` a word such as ``order``, ``index`` an epoch or a step.
    Hashing keeps streams apart that arithmetic on seeds would let overlap.
    """
    text = f"{seed}/{stream}/{index}"
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1
