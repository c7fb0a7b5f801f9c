"""python -m benchmarks.speed: measures, prints a table, writes results/speed/<machine>.json."""

import os
import sys

from benchmarks.settings import Settings, SettingsError, from_environment
from benchmarks.speed import measures
from benchmarks.speed.before import since
from benchmarks.speed.figures import Figure, MachineSpeed, Point
from benchmarks.speed.growth import growth
from benchmarks.speed.kept import kept_logits
from benchmarks.speed.machine import machine_of
from benchmarks.speed.operations import operations
from benchmarks.speed.peers import peers
from benchmarks.speed.photos import photo_figures
from benchmarks.speed.portable import portable_steps
from benchmarks.speed.records import overheads, walls_by_training
from benchmarks.speed.side_by_side import best_of, side_by_side
from benchmarks.speed.telling import Groups, asked, keep, told
from benchmarks.speed.timing import QUIET
from benchmarks.speed.trees import both
from qkd.records.files import printable
from qkd.spec.value import validated
from qkd.training import environment
from qkd.training.runtime import ALLOCATOR, Runtime

USAGE = 2


def main() -> int:
    """Everything in one run; returns an exit code."""
    try:
        settings = from_environment()
        if not settings.baseline:
            return measure(settings, {})
        with both(settings.baseline) as trees:
            return measure(settings, {**since(trees)})
    except SettingsError as error:
        print(printable(f"error: {error}"), file=sys.stderr)
        return USAGE


def measure(settings: Settings, more: Groups) -> int:
    """All groups, and ``more`` at the end; writes the file."""
    runtime = Runtime(threads=settings.threads)
    device = environment.set_up(runtime)
    skipped = dict(peers()[1])
    groups: Groups = {
        "a quantized training step": lambda: measures.quantized_steps(device),
        "memory for the backward pass": lambda: measures.lean_steps(device),
        "each operation of a step": lambda: operations(device),
        "phases": lambda: measures.phases(device),
        "a frozen teacher from its second use on": lambda: kept_logits(device),
        "data": lambda: measures.pipeline(device),
        "compiled steps (minutes, where it is the first time)": lambda: measures.compiled_steps(
            device
        ),
        "photos (of the ImageNet in DATA)": lambda: photo_figures(settings.data),
        "PORTABLE=1": portable_steps,
        "other libraries": lambda: measures.peer_steps(device, skipped),
        "processes side by side": lambda: side_by_side(device),
        "the launch of the laptop ablation": lambda: overheads(settings.results),
        "what of a stage is training": lambda: walls_by_training(settings.results),
        "how the cost grows": lambda: growth(device),
        **more,
    }
    found: list[Figure | Point] = []
    for what, measure in asked(groups, settings.only, skipped).items():
        found += told(what, measure, skipped)
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
    keep(speed, settings.results)
    return 0


if __name__ == "__main__":
    if not ALLOCATOR.keys() <= os.environ.keys():  # read when a process starts, as workers have it
        command = [sys.executable, "-m", "benchmarks.speed"]
        os.execve(sys.executable, command, {**ALLOCATOR, **QUIET, **os.environ})  # noqa: S606
    sys.exit(main())
