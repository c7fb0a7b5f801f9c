"""Is everything there? What a check says; the checks are files beside this one (torch-free)."""

from typing import NamedTuple

GIBIBYTE = 2**30


class Finding(NamedTuple):
    """One check: what was looked at, what was found, and what mends it ("": all is well)."""

    what: str
    found: str
    mend: str = ""
