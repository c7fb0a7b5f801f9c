"""What make retry and the clean targets remove. Records go only where a target's name says so."""

import shutil
from pathlib import Path

from benchmarks.settings import Settings
from qkd.data.places import places
from qkd.records.launches import FILE as LAUNCHES
from qkd.records.logits import FOLDER as LOGITS
from qkd.records.record import STAGES, State, readable_name
from slurm.planning.kept import unneeded
from slurm.planning.matrices import MATRICES
from slurm.planning.notes import JOBS, forget
from slurm.planning.statuses import Status, statuses
from slurm.planning.work import Work


def clean_data(settings: Settings) -> int:
    """Removes the packed caches of the data folder, kept in it or elsewhere; what was downloaded
    stays."""
    for place in places(settings.data):
        for folder in sorted(place.glob("[0-9a-f]" * 64)):
            _remove(folder)
    return 0


def clean_records(settings: Settings) -> int:
    """Removes every record of the results folder, what was planned, and what launches took."""
    (settings.results / LAUNCHES).unlink(missing_ok=True)
    for folder in (STAGES, MATRICES, JOBS, LOGITS):
        _remove(settings.results / folder)
    return 0


def retry(work: Work) -> int:
    """Clears failures, so that the next run tries those stages again."""
    cleared = 0
    histories = [planned.stage.history for planned in work.plan.stages.values()]
    for history, state in zip(histories, work.store.states(histories), strict=True):
        if state == State.FAILED:
            record = work.store.record(history)
            record.failed_file.unlink()
            forget(record)
            print(f"cleared {record.path.name}")
            cleared += 1
    print(f"{cleared} failures cleared; run again to train them")
    return 0


def clean_checkpoints(work: Work) -> int:
    """Removes the checkpoints that no planned stage goes on from any more, and the logits of frozen
    teachers that none takes any more; checkpoints of starts stay.

    A stage whose weights are needed after all is trained again.
    """
    found = statuses(work.whole, work.store)
    starts = {p.digest for p in work.whole.stages.values() if not p.parents}
    needed = {
        parent
        for planned in work.whole.stages.values()
        if found[planned.digest] != Status.DONE
        for parent in planned.parents
    }
    freed = 0
    for key, planned in work.plan.stages.items():
        record = work.record(key)
        ours = record.path.parent == work.store.root
        kept = key in needed or key in starts or found[key] != Status.DONE
        if ours and not kept and record.checkpoint_file.exists():
            freed += record.checkpoint_file.stat().st_size
            record.checkpoint_file.unlink()
            print(f"removed the checkpoint of {readable_name(planned.stage.history)}")
    for path in unneeded(work, found):
        freed += path.stat().st_size
        path.unlink()
        print(f"removed the frozen teacher's logits {path.name}")
    print(f"{freed / 2**20:.1f} MiB freed")
    return 0


def _remove(folder: Path) -> None:
    try:
        shutil.rmtree(folder)
        print(f"removed {folder}")
    except FileNotFoundError:
        print(f"there is no {folder}")
