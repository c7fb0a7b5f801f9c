"""make export STAGE=...: a done stage's networks in forms that others read."""

from pathlib import Path

from benchmarks.settings import Settings, SettingsError
from qkd.imports import load_file
from slurm.matrices import is_file


def export_stage(settings: Settings) -> int:
    """Writes a done stage's networks in forms that others read. Returns an exit code."""
    if not settings.stage:
        raise SettingsError(
            "make export STAGE=...: a stage's digest, or its record's name or folder"
        )
    from qkd.export import export, tell  # torch, which other commands do not need

    if is_file(settings.matrix):
        load_file(Path(settings.matrix))
    return tell(export(settings.results, settings.stage, settings.data))
