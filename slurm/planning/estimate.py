"""How long a plan takes: multiply-accumulates, and the speed that records show."""

from pathlib import Path
from typing import NamedTuple

import msgspec

from benchmarks.plan import Plan
from qkd.records.record import STAGES, Record, Store

REFERENCE = Path(__file__).resolve().parents[2] / "results" / "reference"


class Speed(NamedTuple):
    """Multiply-accumulates a second of one worker, and whose records show it."""

    macs_per_second: float
    source: str


def speed_of(plan: Plan, store: Store) -> Speed | None:
    """From this folder's records of the plan, else from the committed ones; None: no record.

    Overheads differ between networks and phases, so this is a mean over what has run.
    """
    committed = sorted(REFERENCE.glob(f"*/{STAGES}"))
    for roots, source in (([store.root], "your records"), (committed, "the committed reference")):
        places = [Store(root) for root in roots]
        macs = seconds = 0.0
        for planned in plan.stages.values():
            if not planned.parents:
                continue  # a pre-training: another kind of step
            records = (place.found(planned.stage.history) for place in places)
            taken = next(filter(None, map(_seconds, records)), 0.0)
            if taken:
                macs += planned.macs
                seconds += taken
        if seconds:
            return Speed(macs / seconds, source)
    return None


class _Seconds(msgspec.Struct):
    """The one field of a `qkd.records.schema.Result` that is needed: thousands are read for one
    line of a plan."""

    seconds: float = 0.0


def _seconds(record: Record | None) -> float:
    """What a stage took; 0 where it is not done, or its record cannot be read."""
    if record is None:
        return 0.0
    try:
        return msgspec.json.decode(record.result_file.read_bytes(), type=_Seconds).seconds
    except (OSError, ValueError):
        return 0.0


def in_words(seconds: float) -> str:
    """A duration as people say it: ``12 s``, ``34 min``, ``5.6 h``, ``3.1 days``."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 90 * 60:
        return f"{seconds / 60:.0f} min"
    if seconds < 48 * 3600:
        return f"{seconds / 3600:.1f} h"
    return f"{seconds / 86400:.1f} days"


def size_in_words(count: int) -> str:
    """Bytes as people say them: ``12 KiB``, ``3.4 MiB``, ``61.5 GiB``."""
    if count < 2**20:
        return f"{count / 2**10:.0f} KiB"
    if count < 2**30:
        return f"{count / 2**20:.1f} MiB"
    return f"{count / 2**30:.1f} GiB"
