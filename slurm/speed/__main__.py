"""python -m slurm.speed: measures, prints a table, writes results/speed/<machine>.json."""

import os
import re
import shutil
import sys
import time
from collections.abc import Iterable

import torch
from rich.console import Console
from rich.table import Table

from benchmarks.settings import from_environment
from benchmarks.speed import FOLDER, Figure, Machine, MachineSpeed
from qkd import environment
from qkd.files import write_atomically
from qkd.runtime import Runtime
from qkd.value import encode, validated
from slurm.local import ALLOCATOR
from slurm.speed import measures
from slurm.speed.growth import growth
from slurm.speed.peers import peers
from slurm.speed.records import overheads
from slurm.speed.side_by_side import side_by_side


def main() -> int:
    """Everything in one run; returns an exit code."""
    settings = from_environment()
    runtime = Runtime(threads=settings.threads)
    device = environment.set_up(runtime)
    skipped = dict(peers()[1])
    figures: list[Figure] = []
    figures += _told("a quantized training step", measures.quantized_steps(device))
    figures += _told("memory for the backward pass", measures.lean_steps(device))
    figures += _told("phases", measures.phases(device))
    figures += _told("data", measures.pipeline(device))
    if device.type == "cpu" and shutil.which("c++") is None:
        skipped["compiled step"] = "torch.compile needs a C++ compiler, and there is none"
    else:
        figures += _told("compiled (minutes, where it is the first time)",
                         measures.compiled_steps(device))  # fmt: skip
    figures += _told("other libraries", measures.peer_steps(device))
    found = _told_workers(device)
    figures += [figure for figure, _ in found]
    figures += _told("the launch of the laptop ablation", overheads(settings.results))
    if not any(figure.group == "launch" for figure in figures):
        skipped["launch"] = "no whole laptop ablation in the records: make ablation"
    print("how the cost grows", flush=True)
    points = tuple(growth(device))
    best = max(found, key=lambda one: one[0].ratio)[1]
    speed = validated(
        MachineSpeed(
            machine=_machine(runtime, device), figures=tuple(figures), growth=points,
            workers=best, skipped=skipped,
        )
    )  # fmt: skip
    path = settings.results / FOLDER / f"{speed.machine.name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, encode(speed))
    _show(speed)
    print(f"written to {path}; make report shows it")
    return 0


def _told(what: str, figures: Iterable[Figure]) -> list[Figure]:
    """The figures, each said as it comes."""
    print(what, flush=True)
    found = []
    for figure in figures:
        print(f"  {figure.name}: {figure.ratio:.2f}", flush=True)
        found.append(figure)
    return found


def _told_workers(device: torch.device) -> list[tuple[Figure, int]]:
    print("processes side by side", flush=True)
    found = []
    for figure, processes in side_by_side(device):
        print(f"  {figure.name}: {figure.ratio:.2f}", flush=True)
        found.append((figure, processes))
    return found


def _machine(runtime: Runtime, device: torch.device) -> Machine:
    known = environment.describe(runtime, device)
    cores = os.cpu_count() or 1
    words = re.sub(r"[^a-z0-9]+", "-", f"{known['device_name']} {cores} cores".lower()).strip("-")
    return Machine(
        name=words[:60], processor=known["device_name"], device=known["device"], cores=cores,
        threads=runtime.threads, torch=known["torch"], commit=known["commit"],
        dirty=known["dirty"], date=time.strftime("%Y-%m-%d", time.gmtime()),
    )  # fmt: skip


def _show(speed: MachineSpeed) -> None:
    table = Table(title=f"Speed of {speed.machine.processor}, {speed.machine.threads} thread")
    for column in ("measured", "ratio", "middle half", "goal", ""):
        table.add_column(column, justify="left" if column == "measured" else "right")
    for figure in speed.figures:
        sign = "<=" if figure.better == "lower" else ">="
        table.add_row(
            f"{figure.group}: {figure.name}",
            f"{figure.ratio:.2f}",
            f"{figure.low:.2f} to {figure.high:.2f}",
            "" if figure.goal is None else f"{sign} {figure.goal:.2f}",
            {True: "met", False: "missed", None: ""}[figure.met],
        )
    Console().print(table)
    for what, why in speed.skipped.items():
        print(f"not measured: {what}: {why}")


if __name__ == "__main__":
    if not ALLOCATOR.keys() <= os.environ.keys():  # read when a process starts, as workers have it
        command = [sys.executable, "-m", "slurm.speed"]
        os.execve(sys.executable, command, {**ALLOCATOR, **os.environ})  # noqa: S606
    sys.exit(main())
