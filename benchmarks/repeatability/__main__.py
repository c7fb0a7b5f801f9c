"""python -m benchmarks.repeatability: trains, prints a table, writes a file beside the results."""

import os
import subprocess
import sys
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy
from rich.console import Console
from rich.table import Table

from benchmarks.matrix import Cell
from benchmarks.repeatability.cells import INSTRUCTIONS, cells_of, label_of
from benchmarks.repeatability.figures import FOLDER, Pair, Repeatability, Run, couples, rows_of
from benchmarks.repeatability.train import Trained, kept
from benchmarks.settings import Settings, from_environment
from benchmarks.speed.machine import machine_of
from qkd.data.cache import load
from qkd.records.files import printable, write_atomically
from qkd.records.record import State, store_of
from qkd.spec import Stage
from qkd.spec.value import encode, validated
from qkd.train import run_stage
from qkd.training import environment
from qkd.training.portable import NotPortable, obstacles
from qkd.training.runtime import ALLOCATOR, Runtime, cores

SUCCESS, USAGE = 0, 2


class Task(NamedTuple):
    """A cell under an instruction set, and the file that keeps what came of it."""

    cell: Cell
    instructions: str
    path: Path


def main() -> int:
    """Trains what no earlier run has left, and writes the table; returns an exit code."""
    try:
        settings = from_environment()
        return measure(settings)
    except (ValueError, OSError, subprocess.CalledProcessError) as error:
        print(printable(f"error: {error}"), file=sys.stderr)
        return USAGE


def measure(settings: Settings) -> int:
    """The whole command. Raises NotPortable where instruction sets cannot be chosen."""
    for obstacle in obstacles(settings.threads, settings.compile, on_cpu=True):
        raise NotPortable(f"make repeatability compares instruction sets of x86-64: {obstacle}")
    machine = machine_of(Runtime(device="cpu"), environment.device_of(Runtime(device="cpu")))
    cells = cells_of(settings)
    folder = settings.results / FOLDER / machine.name
    folder.mkdir(parents=True, exist_ok=True)
    tasks = [
        Task(cell, name, folder / f"{name.replace(' ', '-')}-{cell.history.digest}.npz")
        for name in INSTRUCTIONS
        for cell in cells
    ]
    _begin(settings, cells)
    found = _trained(settings, tasks)
    runs = tuple(_run(task, one) for task, one in zip(tasks, found, strict=True))
    pairs = tuple(_pair(found, first, second) for first, second in couples(runs))
    history = cells[0].history
    result = validated(
        Repeatability(
            machine=machine,
            cell=f"{history.student.network.name} on {history.data.name}",
            steps=history.steps,
            images=len(found[0].predictions),
            runs=runs,
            pairs=pairs,
            rows=tuple(rows_of(runs, pairs)),
        )
    )
    path = folder.with_suffix(".json")
    write_atomically(path, encode(result))
    _show(result)
    print(f"written to {path}")
    return SUCCESS


def _begin(settings: Settings, cells: Iterable[Cell]) -> None:
    """Reads the data, and trains what the cells begin with where it is not there."""
    store = store_of(settings.results)
    starts = (cell.history.student.start for cell in cells)
    for start in {one.digest: one for one in starts if one is not None}.values():
        load(start.data, settings.data)
        if store.record(start).state() != State.DONE:
            runtime = Runtime(data=str(settings.data.resolve()), device="cpu")
            run_stage(Stage(history=start, steps=start.steps), store, runtime)


def _trained(settings: Settings, tasks: list[Task]) -> list[Trained]:
    """What came of each task, in their order; as many processes at once as there are cores."""
    jobs = settings.jobs or cores()
    done = 0
    found = []
    with ThreadPoolExecutor(jobs) as pool:
        for task, trained in zip(tasks, pool.map(_train, tasks), strict=True):
            done += 1
            found.append(trained)
            words = f"{label_of(task.cell)}, {task.instructions} ({trained.place.capability})"
            print(
                f"{done}/{len(tasks)} {words}, seed {task.cell.seed}: {trained.top1:.2f} %",
                flush=True,
            )
    return found


def _train(task: Task) -> Trained:
    """A process of its own trains it, unless that was done before. Raises CalledProcessError."""
    known = kept(task.path)
    if known is not None:
        return known
    command = [sys.executable, "-m", "benchmarks.repeatability.train"]
    subprocess.run(  # noqa: S603 (our own module)
        [*command, task.cell.history.digest, str(task.path)],
        env={**ALLOCATOR, **os.environ, **INSTRUCTIONS[task.instructions]},
        check=True,
    )
    known = kept(task.path)
    if known is None:
        raise ValueError(f"{task.path} cannot be read again")
    return known


def _run(task: Task, trained: Trained) -> Run:
    return Run(
        bits=label_of(task.cell),
        instructions=task.instructions,
        capability=trained.place.capability,
        seed=task.cell.seed,
        top1=trained.top1,
        weights_sha256=trained.weights_sha256,
    )


def _pair(found: list[Trained], first: int, second: int) -> Pair:
    one, other = found[first], found[second]
    differing = float((one.predictions != other.predictions).mean())
    return Pair(first=first, second=second, differing=differing, distance=distance(one, other))


def distance(one: Trained, other: Trained) -> float:
    """The Euclidean distance of all parameters, relative to the root mean square of their norms."""
    first, second = (w.weights.astype(numpy.float64) for w in (one, other))
    scale = (numpy.square(first).sum() + numpy.square(second).sum()) / 2
    return float(numpy.sqrt(numpy.square(first - second).sum() / scale))


def _show(result: Repeatability) -> None:
    table = Table(title=f"{result.cell}, {result.steps} steps, {result.machine.processor}")
    for column in ("bits", "between", "pairs", "answers that differ", "top-1, rms", "weights"):
        table.add_column(column, justify="left" if column in ("bits", "between") else "right")
    for cells in _rows(result):
        table.add_row(*cells)
    Console().print(table)


def _rows(result: Repeatability) -> Iterator[tuple[str, ...]]:
    for row in result.rows:
        yield (
            row.bits,
            row.between,
            str(row.pairs),
            f"{100 * row.differing:.2f} %",
            f"{row.top1_rms:.2f} points",
            f"{100 * row.distance:.2f} %",
        )


if __name__ == "__main__":
    sys.exit(main())
