"""What the clean targets remove. Records go only where the target's name says so."""

import shutil
from pathlib import Path

from benchmarks.settings import Settings
from qkd.record import STAGES
from slurm.launches import FILE as LAUNCHES
from slurm.matrices import MATRICES


def clean_data(settings: Settings) -> int:
    """Removes the packed caches of the data folder; what was downloaded stays."""
    for folder in sorted((settings.data / "cache").glob("[0-9a-f]" * 64)):
        _remove(folder)
    return 0


def clean_records(settings: Settings) -> int:
    """Removes every record of the results folder, what was planned, and what launches took."""
    (settings.results / LAUNCHES).unlink(missing_ok=True)
    return _remove(settings.results / STAGES) | _remove(settings.results / MATRICES)


def _remove(folder: Path) -> int:
    try:
        shutil.rmtree(folder)
        print(f"removed {folder}")
    except FileNotFoundError:
        print(f"there is no {folder}")
    return 0
