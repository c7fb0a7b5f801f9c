"""python -m benchmarks.speed: measures, prints a table, writes results/speed/<machine>.json."""

import os
import sys
from collections.abc import Callable, Iterable

from rich.console import Console
from rich.table import Table

from benchmarks.settings import from_environment
from benchmarks.speed import measures
from benchmarks.speed.figures import FOLDER, Figure, MachineSpeed, Point
from benchmarks.speed.growth import growth
from benchmarks.speed.machine import machine_of
from benchmarks.speed.peers import peers
from benchmarks.speed.photos import photo_figures
from benchmarks.speed.portable import portable_steps
from benchmarks.speed.records import overheads
from benchmarks.speed.side_by_side import best_of, side_by_side
from qkd.records.files import write_atomically
from qkd.spec.value import encode, validated
from qkd.training import environment
from qkd.training.runtime import ALLOCATOR, Runtime


def main() -> int:
    """Everything in one run; returns an exit code."""
    settings = from_environment()
    runtime = Runtime(threads=settings.threads)
    device = environment.set_up(runtime)
    skipped = dict(peers()[1])
    groups: dict[str, Callable[[], Iterable[Figure | Point]]] = {
        "a quantized training step": lambda: measures.quantized_steps(device),
        "memory for the backward pass": lambda: measures.lean_steps(device),
        "phases": lambda: measures.phases(device),
        "data": lambda: measures.pipeline(device),
        "compiled steps (minutes, where it is the first time)": lambda: measures.compiled_steps(
            device
        ),
        "photos (of the ImageNet in DATA)": lambda: photo_figures(settings.data),
        "PORTABLE=1": portable_steps,
        "other libraries": lambda: measures.peer_steps(device, skipped),
        "processes side by side": lambda: side_by_side(device),
        "the launch of the laptop ablation": lambda: overheads(settings.results),
        "how the cost grows": lambda: growth(device),
    }
    found: list[Figure | Point] = []
    for what, measure in groups.items():
        found += _told(what, measure, skipped)
    figures = tuple(one for one in found if isinstance(one, Figure))
    speed = validated(
        MachineSpeed(
            machine=machine_of(runtime, device),
            figures=figures,
            growth=tuple(one for one in found if isinstance(one, Point)),
            workers=best_of(figures, device),
            skipped=skipped,
        )
    )
    path = settings.results / FOLDER / f"{speed.machine.name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, encode(speed))
    _show(speed)
    print(f"written to {path}; make report shows it")
    return 0


def _told(
    what: str, measure: Callable[[], Iterable[Figure | Point]], skipped: dict[str, str]
) -> list[Figure | Point]:
    """Measures a group, and prints each figure as it comes. A group that fails (no compiler, no
    memory) is skipped with its reason; its earlier figures stay."""
    print(what, flush=True)
    found: list[Figure | Point] = []
    try:
        for one in measure():
            name = one.name if isinstance(one, Figure) else f"{one.axis} {one.value}"
            print(f"  {name}: {one.ratio:.2f}", flush=True)
            found.append(one)
    except Exception as error:  # a library's, a compiler's, a machine's: any
        skipped[what] = f"{type(error).__name__}: {error}"[:300]
        print(f"  skipped: {skipped[what]}", flush=True)
    if not found and what not in skipped:
        skipped[what] = "there are no records of it: make ablation"
    return found


def _show(speed: MachineSpeed) -> None:
    table = Table(title=f"Speed of {speed.machine.processor}, {speed.machine.threads} thread")
    for column in ("measured", "ratio", "middle half", "goal", ""):
        table.add_column(column, justify="left" if column == "measured" else "right")
    for figure in speed.figures:
        sign = "<=" if figure.better == "lower" else ">="
        table.add_row(
            f"{figure.group}: {figure.name}",
            f"{figure.ratio:.2f}",
            "" if figure.low is None else f"{figure.low:.2f} to {figure.high:.2f}",
            "" if figure.goal is None else f"{sign} {figure.goal:.2f}",
            {True: "met", False: "missed", None: ""}[figure.met],
        )
    Console().print(table)
    for what, why in speed.skipped.items():
        print(f"not measured: {what}: {why}")


if __name__ == "__main__":
    if not ALLOCATOR.keys() <= os.environ.keys():  # read when a process starts, as workers have it
        command = [sys.executable, "-m", "benchmarks.speed"]
        os.execve(sys.executable, command, {**ALLOCATOR, **os.environ})  # noqa: S606
    sys.exit(main())
