"""python -m benchmarks.elsewhere: measures, prints a table, writes results/export/NAME.json."""

import sys

from rich.console import Console
from rich.table import Table

from benchmarks.elsewhere.figures import Elsewhere, Latency
from benchmarks.elsewhere.measures import latencies
from benchmarks.settings import from_environment
from benchmarks.speed.machine import machine_of
from qkd.export.told import FOLDER
from qkd.records.files import write_atomically
from qkd.spec.value import encode, validated
from qkd.training import environment
from qkd.training.runtime import Runtime


def main() -> int:
    """Everything in one run, on a CPU; returns an exit code."""
    settings = from_environment()
    runtime = Runtime(threads=settings.threads, device="cpu")
    device = environment.set_up(runtime)
    skipped: dict[str, str] = {}
    found: list[Latency] = []
    for one in latencies(skipped):
        print(f"{one.network} {one.bits} {one.form}, {one.consumer}: {one.ratio:.2f}", flush=True)
        found.append(one)
    told = validated(
        Elsewhere(machine=machine_of(runtime, device), latencies=tuple(found), skipped=skipped)
    )
    if not found:
        print("error: no program to measure on: make consumers, or the extra 'export'")
        return 1
    path = settings.results / FOLDER / f"{told.machine.name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, encode(told))
    _show(told)
    print(f"written to {path}; make report shows it")
    return 0


def _show(told: Elsewhere) -> None:
    table = Table(title=f"One image, one thread, {told.machine.processor}: time over float32's")
    for column in ("network", "bits", "form", "consumer", "time", "middle half", "bytes", "float"):
        table.add_column(column)
    for one in told.latencies:
        table.add_row(
            one.network,
            one.bits,
            one.form,
            one.consumer,
            f"{one.ratio:.2f}",
            f"{one.low:.2f} to {one.high:.2f}",
            f"{one.size:,}",
            f"{one.float_size:,}",
        )
    Console().print(table)
    for what, why in told.skipped.items():
        print(f"not measured: {what}: {why}")


if __name__ == "__main__":
    sys.exit(main())
