"""Stages trained in processes of their own, which may be ended at any moment."""

import multiprocessing
import shutil
import time
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NamedTuple

import torch

from benchmarks.torture.stages import phases, starts
from qkd.records.record import Store
from qkd.spec import Stage
from qkd.spec.history import parents
from qkd.train import run_stage
from qkd.training.runtime import Runtime

PATIENCE = 300.0  # seconds; a process that takes longer hangs

context = multiprocessing.get_context("forkserver")
context.set_forkserver_preload(["qkd.train", "benchmarks.pairs"])


class Undisturbed(NamedTuple):
    """What nothing disturbed: the records of the whole run, and the seconds of each phase."""

    store: Store
    seconds: dict[str, float]


def undisturbed(folder: Path, runtime: Runtime) -> Undisturbed:
    """Trains the whole run into ``folder``. Raises RuntimeError where that fails."""
    store, seconds = Store(folder), {}
    for name, stage in [*zip(("student", "teacher"), starts(), strict=True), *phases().items()]:
        began = time.monotonic()
        process, begun = begin(stage, folder, runtime)
        process.join(PATIENCE)
        begun.close()
        if process.exitcode != 0:
            process.kill()
            raise RuntimeError(f"{name} cannot be trained undisturbed: {process.exitcode}")
        seconds[name] = time.monotonic() - began
    store.refresh()
    return Undisturbed(store, seconds)


def beginning(before: Store, folder: Path, stage: Stage) -> Store:
    """A store in ``folder`` with copies of what the stage goes on from, and nothing else."""
    folder.mkdir(parents=True)
    for parent in parents(stage):
        source = before.record(parent).path
        shutil.copytree(source, folder / source.name)
    return Store(folder)


def begin(stage: Stage, root: Path, runtime: Runtime) -> tuple[Any, Connection]:
    """A process that trains the stage; the connection has something to read once it has begun."""
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_train, args=(stage, root, runtime, theirs))
    process.start()
    theirs.close()
    return process, ours


def _train(stage: Stage, root: Path, runtime: Runtime, begun: Connection) -> None:
    torch.set_num_threads(1)
    begun.send(None)
    run_stage(stage, Store(root), runtime)
