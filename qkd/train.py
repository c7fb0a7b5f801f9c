"""Trains one stage into its record.

By itself: ``python -m qkd.train STAGE.json``; by two processes of this machine together:
``torchrun --nproc-per-node 2 -m qkd.train STAGE.json``.
"""

import argparse
import contextlib
import functools
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from qkd.records.code import CodeChanged
from qkd.records.lock import Hold, Lock, LockLost
from qkd.records.record import Record, State, Store, store_of
from qkd.records.schema import Failure
from qkd.spec import NUMERICS, History, Recipe, Stage
from qkd.spec.value import decode, validated
from qkd.training import distributed, environment, portable, processor
from qkd.training.begin import ParentMissing
from qkd.training.features import require_seen
from qkd.training.late import prove_late
from qkd.training.loop import Progress, Stopped, Training
from qkd.training.ready import take_in
from qkd.training.recorder import log
from qkd.training.runtime import Runtime

POLL_SECONDS = 0.5


class StageFailed(RuntimeError):
    """The stage cannot go on; failed.json says why."""


def _ignore(_told: object) -> None:
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

    A stage that is done without its integer proof is proven, unless ``runtime.unproven`` has it.

    Of several ranks (see `distributed`) each calls it, and each returns or raises when the stage
    has come to its end. ``on_progress`` is called on rank 0 only; ``should_stop`` stops all
    where it says so on one.

    Raises:
        Locked: another process is at work on it.
        Stopped: ``should_stop`` said so; the state is saved.
        ParentMissing: a stage that it goes on from is not done.
        CodeChanged: a user's code is not that of what it goes on from; nothing is written.
        StageFailed: it cannot be trained; failed.json holds the reason and the trace.
        ValueError: it is of another code's numerics, the ranks cannot share its batch, its features
            cannot be seen, or PORTABLE=1 cannot hold (NotPortable).
        RankLost: another rank is gone; the stage is as at its last save.
        RanksApart: the ranks did not meet.
    """
    environment.require_portable(runtime)
    _require_shares(stage.history.recipe, runtime)
    require_seen(stage, runtime.compile, distributed.world())
    on_cuda = distributed.world() > 1 and environment.device_of(runtime).type == "cuda"
    with distributed.joined(runtime.rank_seconds, on_cuda), contextlib.ExitStack() as held:
        opened = distributed.from_first(lambda: _opened(stage, store, runtime, held))
        if opened is None:
            return
        path, token, is_late = opened
        record = Record(path)
        hold = Hold(record.lock_file, token)
        leads = distributed.leads()
        try:
            if is_late and leads:
                prove_late(stage, record, runtime, hold)
            elif stage.steps and not is_late:
                tell = on_progress if leads else _ignore
                Training(stage, store, record, runtime, hold).run(tell, should_stop)
            elif leads and not is_late:
                take_in(stage, record, runtime, hold)
        except (Stopped, LockLost, ParentMissing, CodeChanged, KeyboardInterrupt):
            raise
        except Exception as error:
            _fail(record, hold, error)
        if not leads:
            _await_first(record, hold)


def _opened(
    stage: Stage, store: Store, runtime: Runtime, held: contextlib.ExitStack
) -> tuple[Path, str, bool] | None:
    """The record's folder, made ready, its lock's token, and whether it is done but for its proof;
    None where the stage is done.

    ``held`` gives the lock back.
    """
    store.refresh()
    if _is_complete(stage, store, runtime):
        return None
    _require_own_numerics(stage.history)
    record = store.record_to_write(stage.history)
    record.path.mkdir(parents=True, exist_ok=True)
    lock = held.enter_context(Lock(record.lock_file, runtime.job))
    if _is_complete(stage, store, runtime):
        return None
    if _is_done(record):
        return record.path, lock.token, True
    if record.state() == State.FAILED:
        raise StageFailed(f"{record.path} failed before: see {record.failed_file}, make retry")
    # Done, but its weights were cleaned away: not done while they are trained again.
    record.result_file.unlink(missing_ok=True)
    for part in record.path.glob(".*.part"):
        if not part.name.startswith(".lock."):
            part.unlink(missing_ok=True)
    return record.path, lock.token, False


def _fail(record: Record, hold: Hold, error: Exception) -> NoReturn:
    """Writes failed.json, by whichever rank failed; of a lost rank's trouble only its own speaks.

    Raises StageFailed, or RankLost where a rank is gone that left no reason.
    """
    trace = traceback.format_exc()
    if distributed.is_lost(error):
        _raise_failure(record)
        if distributed.leads():
            log(record, trace)
        raise distributed.RankLost(_lost(record)) from error
    try:
        hold.check()
    except LockLost:
        _raise_failure(record)  # rank 0's, which has failed too, and left
        raise
    here = distributed.place()
    who = f"rank {here.rank}: " if here.world > 1 else ""
    with contextlib.suppress(OSError):  # a full disk, say, which is the error itself
        log(record, trace)
        record.fail(type(error).__name__, f"{who}{error}", trace)
    raise StageFailed(f"{record.path.name}: {type(error).__name__}: {who}{error}") from error


def _await_first(record: Record, hold: Hold) -> None:
    """Until rank 0, which may test for hours after the last step, has given its lock back.

    Raises StageFailed or RankLost where that was not the stage's good end.
    """
    while hold.stands():
        time.sleep(POLL_SECONDS)
    _raise_failure(record)
    if record.state() != State.DONE:
        raise distributed.RankLost(_lost(record))


def _raise_failure(record: Record) -> None:
    """Raises StageFailed where failed.json is there."""
    if record.failed_file.exists():
        failure = record.read(record.failed_file, Failure)
        raise StageFailed(f"{record.path.name}: {failure.error}: {failure.message}")


def _lost(record: Record) -> str:
    return (
        f"{record.path.name}: rank {distributed.place().rank} lost another rank, which has left, "
        "was killed or hangs: the same command goes on from the last save"
    )


def _require_shares(recipe: Recipe, runtime: Runtime) -> None:
    """Raises ValueError where the ranks cannot train by the recipe."""
    ranks, pieces = distributed.world(), runtime.micro_batches
    if recipe.batch % (ranks * pieces):
        raise ValueError(
            f"a batch of {recipe.batch} images cannot be shared equally: by {ranks} rank(s), in "
            f"{pieces} micro-batch(es) each. Take numbers whose product divides it"
        )
    if ranks > 1 and recipe.batch_norm == "sync" and environment.device_of(runtime).type != "cuda":
        raise ValueError("torch synchronises batch norms (batch_norm: sync) on CUDA only")


def _require_own_numerics(history: History) -> None:
    """Raises ValueError where this code's arithmetic would be kept under another code's id."""
    if history.student.start is not None and history.numerics != NUMERICS:
        raise ValueError(
            f"{history.digest} is of numerics {history.numerics}, this code computes by numerics "
            f"{NUMERICS}: train it with the code that planned it, or plan it anew"
        )


def _is_complete(stage: Stage, store: Store, runtime: Runtime) -> bool:
    """Done, and with what is asked of it: its proof, and the weights that a later stage needs."""
    history = stage.history
    if not _is_done(store.record(history)):
        return False
    return history.digest in runtime.unproven or not store.lacks_proof(history)


def _is_done(record: Record) -> bool:
    return record.state() == State.DONE and record.checkpoint_file.exists()


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Trains one stage from its stage.json.")
    parser.add_argument("stage", type=Path, help="a stage.json")
    parser.add_argument("--results", type=Path, default=Path("results"))
    parser.add_argument("--data", default="data")
    parser.add_argument("--device", choices=["auto", "cpu", "cuda"], default="auto")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--compile", action="store_true", help="compile the training step")
    parser.add_argument("--lean", action="store_true", help="less memory, more time")
    parser.add_argument(
        "--portable", action="store_true", help="the same numbers on every x86-64 with AVX2"
    )
    parser.add_argument(
        "--micro-batches", type=int, default=1, help="parts of a batch that are in memory in turn"
    )
    parser.add_argument(
        "--rank-seconds", type=float, default=900.0, help="how long ranks wait for each other"
    )
    parser.add_argument("--loaders", type=int, default=0, help="processes that decode photos")
    parser.add_argument("--matrix-file", default="", help="a user's matrix that the stage names")
    return parser.parse_args()


def _train(arguments: argparse.Namespace, say: Callable[[object], None]) -> None:
    """Trains the stage that the arguments name, until it is done or SIGTERM comes."""
    stopping = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stopping.set())
    runtime = Runtime(
        data=arguments.data,
        device=arguments.device,
        threads=arguments.threads,
        compile=arguments.compile,
        lean=arguments.lean,
        portable=arguments.portable,
        micro_batches=arguments.micro_batches,
        rank_seconds=arguments.rank_seconds,
        loaders=arguments.loaders,
        matrix_file=arguments.matrix_file,
    )
    stage = decode(arguments.stage.read_bytes(), Stage)
    recipe = stage.history.recipe
    used = {recipe.precision, recipe.frozen_teacher_precision or recipe.precision}
    on_cuda = environment.device_of(runtime).type == "cuda"
    for line in processor.cautions(used, on_cuda, arguments.portable):
        print(f"warning: {line}", file=sys.stderr)
    store = store_of(arguments.results)
    run_stage(stage, store, validated(runtime), say, stopping.is_set)
    say(store.record(stage.history).result_file)


def main() -> None:
    """Trains the stage of one stage.json, its parents being done. Of several ranks 0 speaks."""
    arguments, leads = _arguments(), True
    try:
        leads = distributed.leads()
        if arguments.portable:
            on_cpu = arguments.device == "cpu"
            portable.require(arguments.threads, arguments.compile, on_cpu)
            portable.start_again_with_variables()
        _train(arguments, functools.partial(print, flush=True) if leads else _ignore)
    except distributed.RanksApart as error:
        sys.exit(f"error: {error}")  # rank 0 may not be there to say so
    except (OSError, ValueError, RuntimeError, Stopped) as error:
        sys.exit(f"error: {error}" if leads else 1)
    except KeyboardInterrupt:
        sys.exit("stopped; the same command goes on from the last save" if leads else 1)


if __name__ == "__main__":
    main()
