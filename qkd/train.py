"""Trains one stage into its record.

By itself: ``python -m qkd.train STAGE.json``.
"""

import argparse
import contextlib
import sys
import traceback
from collections.abc import Callable
from pathlib import Path

from qkd.begin import (
    ParentMissing,
)
from qkd.claim import Claim, ClaimLost
from qkd.loop import Progress, Stopped, Training, log
from qkd.ready import take_in
from qkd.record import Record, State, Store, store_of
from qkd.runtime import Runtime
from qkd.spec import NUMERICS, History, Stage
from qkd.value import decode, validated


class StageFailed(RuntimeError):
    """The stage cannot go on; failed.json says why."""


def _ignore(_progress: Progress) -> None:
    """Nobody listens."""


def _never() -> bool:
    """Nobody stops."""
    return False


def run_stage(
    stage: Stage,
    store: Store,
    runtime: Runtime,
    on_progress: Callable[[Progress], None] = _ignore,
    should_stop: Callable[[], bool] = _never,
) -> None:
    """Trains the stage into its record; returns at once if it is done.

    Raises:
        Claimed: another process is at work on it.
        Stopped: ``should_stop`` said so; the state is saved.
        ParentMissing: a stage that it goes on from is not done.
        StageFailed: it cannot be trained; failed.json holds the reason and the trace.
        ValueError: it is of another code's numerics.
    """
    store.refresh()
    if _is_complete(store.record(stage.history)):
        return
    _require_own_numerics(stage.history)
    record = store.record_to_write(stage.history)
    record.path.mkdir(parents=True, exist_ok=True)
    with Claim(record.claim_file, runtime.job) as claim:
        if _is_complete(record):
            return
        if record.state() == State.FAILED:
            raise StageFailed(f"{record.path} failed before: see {record.failed_file}, make retry")
        # Done, but its weights were cleaned away: not done while they are trained again.
        record.result_file.unlink(missing_ok=True)
        for part in record.path.glob(".*.part"):
            if not part.name.startswith(".claim."):
                part.unlink(missing_ok=True)
        try:
            if stage.steps:
                Training(stage, store, record, runtime, claim).run(on_progress, should_stop)
            else:
                take_in(stage, record, runtime, claim)
        except (Stopped, ClaimLost, ParentMissing, KeyboardInterrupt):
            raise
        except Exception as error:
            trace = traceback.format_exc()
            claim.check()
            with contextlib.suppress(OSError):  # a full disk, say, which is the error itself
                log(record, trace)
                record.fail(type(error).__name__, str(error), trace)
            raise StageFailed(f"{record.path.name}: {type(error).__name__}: {error}") from error


def _require_own_numerics(history: History) -> None:
    """Raises ValueError where this code's arithmetic would be kept under another code's id."""
    if history.student.start is not None and history.numerics != NUMERICS:
        raise ValueError(
            f"{history.digest} is of numerics {history.numerics}, this code computes by numerics "
            f"{NUMERICS}: train it with the code that planned it, or plan it anew"
        )


def _is_complete(record: Record) -> bool:
    """Done, and with the weights that a later stage needs."""
    return record.state() == State.DONE and record.checkpoint_file.exists()


def main() -> None:
    """Trains the stage of one stage.json, its parents being done."""
    parser = argparse.ArgumentParser(description="Trains one stage from its stage.json.")
    parser.add_argument("stage", type=Path, help="a stage.json")
    parser.add_argument("--results", type=Path, default=Path("results"))
    parser.add_argument("--data", default="data")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--compile", action="store_true", help="compile the training step")
    parser.add_argument("--lean", action="store_true", help="less memory, more time")
    parser.add_argument("--matrix-file", default="", help="a user's matrix that the stage names")
    arguments = parser.parse_args()
    try:
        runtime = Runtime(
            data=arguments.data, threads=arguments.threads, compile=arguments.compile,
            lean=arguments.lean,
            matrix_file=arguments.matrix_file,
        )  # fmt: skip
        stage = decode(arguments.stage.read_bytes(), Stage)
        store = store_of(arguments.results)
        run_stage(stage, store, validated(runtime), lambda told: print(told, flush=True))
    except (OSError, ValueError, RuntimeError) as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit("stopped; the same command goes on from the last save")
    print(store.record(stage.history).result_file)


if __name__ == "__main__":
    main()
