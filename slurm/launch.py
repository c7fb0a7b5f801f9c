"""The one door to running: python -m slurm.launch COMMAND, with the variables in QKD_*.

The commands stand at the end of this file; `make help` explains them.
"""

import contextlib
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

from benchmarks.settings import Settings, SettingsError, from_environment
from qkd.imports import load_file
from qkd.records.files import print_plainly_where_needed, printable
from qkd.records.output import is_unread, print_no_more
from slurm.cluster.queue import QueueUnknown
from slurm.cluster.standing import by_records
from slurm.cluster.table import show
from slurm.doctor.examine import examine
from slurm.local.run import run
from slurm.planning.cleaning import clean_checkpoints, clean_data, clean_records, retry
from slurm.planning.matrices import is_file
from slurm.planning.show import show_plan
from slurm.planning.work import Work, prepare

SUCCESS, USAGE, INTERRUPTED = 0, 2, 130


def plan(work: Work) -> int:
    """What would run, and what it costs with and without sharing."""
    show_plan(work)
    return SUCCESS


def status(work: Work) -> int:
    """What is done, running, missing, failed and blocked."""
    show(work, by_records(work))
    return SUCCESS


def _on_cluster(command: str, work: Work) -> int:
    """The commands that differ where CLUSTER= is given."""
    from slurm.cluster import remote  # submitit, which other commands do not need

    if command == "run" and work.settings.dry_run:
        show_plan(work)
        return remote.dry_run(work)
    on_cluster = {
        "run": remote.submit,
        "status": remote.show_status,
        "retry": remote.retry,
        "cancel": remote.cancel_jobs,
    }
    return on_cluster.get(command, COMMANDS[command])(work)


def export_stage(settings: Settings) -> int:
    """Writes a done stage's networks in forms that others read, or those of a matrix's done cells.

    Returns an exit code.
    """
    if not settings.stage:
        if not settings.only and not os.environ.get("QKD_MATRIX", "").strip():
            raise SettingsError(
                "make export STAGE=...: a stage's digest, or its record's name or folder; or "
                "MATRIX=... ONLY=...: the done cells of a matrix"
            )
        from slurm.local.exporting import export_cells  # torch, which others do not need

        return export_cells(prepare(settings))
    from qkd.export.table import tell  # torch, which other commands do not need
    from qkd.export.writing import export

    matrix_file = Path(settings.matrix) if is_file(settings.matrix) else None
    if matrix_file is not None:
        load_file(matrix_file)
    return tell(*export(settings.results, settings.stage, settings.data, matrix_file))


def cancel(_work: Work) -> int:
    """There is nothing to cancel on one machine."""
    raise SettingsError("make cancel needs CLUSTER=...: on one machine, stop the launch by Ctrl-C")


COMMANDS: dict[str, Callable[[Work], int]] = {
    "run": run,
    "plan": plan,
    "status": status,
    "retry": retry,
    "cancel": cancel,
    "clean-checkpoints": clean_checkpoints,
}
WITHOUT_MATRIX: dict[str, Callable[[Settings], int]] = {
    "export": export_stage,
    "doctor": examine,
    "clean-data": clean_data,
    "clean-records": clean_records,
}
READING = ("plan", "status", "doctor")


def _as_ctrl_c(*_: object) -> None:
    raise KeyboardInterrupt


def _unread(command: str) -> int:
    """What is printed has no reader any more (``make plan | head``); returns an exit code."""
    print_no_more()
    if command in READING:
        return SUCCESS
    with contextlib.suppress(BrokenPipeError):  # 2>&1 | head
        print("stopped, as nothing reads what it prints; the same command goes on", file=sys.stderr)
    return INTERRUPTED


def _carry_out(command: str) -> int:
    settings = from_environment()
    if command in WITHOUT_MATRIX:
        return WITHOUT_MATRIX[command](settings)
    if settings.pack > 1 and not settings.cluster:
        raise SettingsError("PACK= is the stages of one job of a cluster: give CLUSTER= too")
    work = prepare(settings, unread=command == "plan")
    if settings.cluster:
        return _on_cluster(command, work)
    return COMMANDS[command](work)


def main(arguments: list[str]) -> int:
    """Runs a command; returns its exit code."""
    print_plainly_where_needed()
    signal.signal(signal.SIGTERM, _as_ctrl_c)
    commands = (*COMMANDS, *WITHOUT_MATRIX)
    if len(arguments) != 1 or arguments[0] not in commands:
        print(f"usage: python -m slurm.launch {'|'.join(commands)}", file=sys.stderr)
        return USAGE
    try:
        code = _carry_out(arguments[0])
        sys.stdout.flush()
        return code
    except (ValueError, OSError, QueueUnknown) as error:
        if is_unread(error):
            return _unread(arguments[0])
        print(printable(f"error: {error}"), file=sys.stderr)
        return USAGE
    except SystemExit as error:  # rich's, at a broken pipe
        if not is_unread(error):
            raise
        return _unread(arguments[0])
    except KeyboardInterrupt:
        print("\nstopped; the same command goes on from here", file=sys.stderr)
        return INTERRUPTED


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
