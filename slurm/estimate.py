"""How long a plan takes: multiply-accumulates, and the speed that records show."""

from pathlib import Path
from typing import NamedTuple

from benchmarks.plan import Plan
from qkd.record import STAGES, BadRecord, Record, State, Store

REFERENCE = Path(__file__).resolve().parent.parent / "results" / "reference"


class Speed(NamedTuple):
    """Multiply-accumulates a second of one worker, and whose records show it."""

    macs_per_second: float
    source: str


def speed_of(plan: Plan, store: Store, scale: str) -> Speed | None:
    """From this folder's records of the plan, else from the committed reference; None: no record.

    Overheads differ between networks and phases, so this is a mean over what has run.
    """
    own, reference = Store(store.root), Store(REFERENCE / scale / STAGES)
    for place, source in ((own, "your records"), (reference, "the committed reference")):
        macs = seconds = 0.0
        for planned in plan.stages.values():
            if not planned.parents:
                continue  # a pre-training: another kind of step
            taken = _seconds(place.record(planned.stage.history))
            if taken:
                macs += planned.macs
                seconds += taken
        if seconds:
            return Speed(macs / seconds, source)
    return None


def _seconds(record: Record) -> float:
    if record.state() != State.DONE:
        return 0.0
    try:
        seconds = record.read_json(record.result_file).get("seconds")
    except BadRecord:
        return 0.0
    return float(seconds) if isinstance(seconds, (int, float)) else 0.0


class Gpu(NamedTuple):
    """A GPU's peak in float32 multiply-accumulates a second, and the share of it that training is
    supposed to reach (assumed: small images reach less, and nothing here was measured on one).
    """

    name: str
    macs_per_second: float
    utilisation: float


A100 = Gpu("NVIDIA A100", 19.5e12 / 2, 0.30)


def gpu_hours(macs: float, gpu: Gpu = A100) -> float:
    """Hours on one GPU at the supposed utilisation."""
    return macs / (gpu.macs_per_second * gpu.utilisation) / 3600


def in_words(seconds: float) -> str:
    """A duration as people say it: ``12 s``, ``34 min``, ``5.6 h``, ``3.1 days``."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 90 * 60:
        return f"{seconds / 60:.0f} min"
    if seconds < 48 * 3600:
        return f"{seconds / 3600:.1f} h"
    return f"{seconds / 86400:.1f} days"
