"""python -m benchmarks.torture: breaks what it can, prints a table, writes results/torture."""

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from rich.console import Console
from rich.table import Table

from benchmarks.settings import from_environment
from benchmarks.speed.machine import machine_of
from benchmarks.torture.figures import FOLDER, Row, Torture, faults_of
from benchmarks.torture.full_disk import NoDisk, full_at_each_write, small_disk
from benchmarks.torture.hostile.checkpoints import checkpoints
from benchmarks.torture.hostile.flags import flags
from benchmarks.torture.hostile.images import images
from benchmarks.torture.hostile.records import records_and_names
from benchmarks.torture.kills import kills
from benchmarks.torture.launches import alone, rounds
from benchmarks.torture.processes import Undisturbed, undisturbed
from benchmarks.torture.stages import phases
from qkd.records.files import printable, write_atomically
from qkd.spec.value import encode, validated
from qkd.training import environment
from qkd.training.runtime import Runtime

SUCCESS, FAULTY, USAGE = 0, 1, 2
KINDS = 5  # of hostile inputs: records, names, checkpoints, images, flags
EXAMPLES = 20


class Counts(NamedTuple):
    """How much of each part is tried; ``writes`` 0: every one."""

    kills: int = 100
    inputs: int = 200
    rounds: int = 50
    writes: int = 0


def main(arguments: Sequence[str] | None = None) -> int:
    """Tries it all, and writes what came of it; returns an exit code, 1 where there was a fault."""
    counts = _counts(arguments)
    settings = from_environment()
    runtime = Runtime(device="cpu", threads=1)
    machine = machine_of(runtime, environment.device_of(runtime))
    began = time.monotonic()
    rows: list[Row] = []
    examples: list[str] = []
    skipped: dict[str, str] = {}
    with tempfile.TemporaryDirectory(prefix="torture-") as place:
        torture(counts, Path(place), rows, examples, skipped)
    found = validated(
        Torture(
            machine=machine,
            seconds=time.monotonic() - began,
            rows=tuple(rows),
            examples=tuple(printable(one) for one in examples[:EXAMPLES]),
            skipped=skipped,
        )
    )
    path = settings.results / FOLDER / f"{machine.name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, encode(found))
    _show(found)
    print(f"written to {path}; make report shows it")
    return FAULTY if faults_of(found) else SUCCESS


def torture(
    counts: Counts, place: Path, rows: list[Row], examples: list[str], skipped: dict[str, str]
) -> None:
    """All parts in turn, in an empty folder; what they find is added to the three."""
    # It saves after every step: a kill may fall into any of them.
    runtime = Runtime(data=str(place / "data"), device="cpu", save_seconds=0.0)
    print("training what nothing disturbs", flush=True)
    known = undisturbed(place / "undisturbed", runtime)
    rows += kills(counts.kills, known, place / "kills", runtime, examples)
    rows += hostile(counts.inputs, known, place / "hostile", runtime, examples)
    data = place / "data"
    expected = alone(place / "launched-alone", data)
    rows.append(rounds(counts.rounds, expected, place / "launched-twice", data, examples))
    try:
        with small_disk(place / "disk") as disk:
            rows.append(full_at_each_write(counts.writes, known, disk, runtime, examples))
    except NoDisk as error:
        skipped["full disk"] = str(error)


def hostile(
    count: int, known: Undisturbed, place: Path, runtime: Runtime, examples: list[str]
) -> list[Row]:
    """So many hostile inputs, of all kinds equally."""
    of_records, of_names, *others = (
        count // KINDS + (kind < count % KINDS) for kind in range(KINDS)
    )
    for name in ("checkpoints", "images", "flags"):
        (place / name).mkdir(parents=True)
    print("hostile input: records and names, under one report", flush=True)
    found = records_and_names((of_records, of_names), place / "records", runtime, examples)
    record = known.store.record(phases()["co-study"].history)
    print("hostile input: checkpoints and images", flush=True)
    found.append(checkpoints(others[0], record, place / "checkpoints", examples))
    found.append(images(others[1], place / "images", examples))
    results = place / "records" / "results"
    found.append(flags(others[2], results, place / "flags", examples))
    return found


def _counts(arguments: Sequence[str] | None) -> Counts:
    parser = argparse.ArgumentParser(description="Breaks what it can.")
    for name, default in Counts()._asdict().items():
        parser.add_argument(f"--{name}", type=int, default=default)
    return Counts(**vars(parser.parse_args(arguments)))


def _show(found: Torture) -> None:
    table = Table(title=f"Torture on {found.machine.processor}, {found.seconds:.0f} s")
    for column in ("part", "what", "tried", "faults", "note"):
        table.add_column(column)
    for row in found.rows:
        faults = ", ".join(f"{number} {kind}" for kind, number in row.faults.items())
        table.add_row(row.part, row.what, str(row.tried), faults, row.note)
    console = Console()
    console.print(table)
    for words in found.examples:
        console.print(words, markup=False, highlight=False)
    for what, why in found.skipped.items():
        print(f"not tried: {what}: {why}")


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (ValueError, OSError, RuntimeError) as error:
        print(printable(f"error: {error}"), file=sys.stderr)
        sys.exit(USAGE)
