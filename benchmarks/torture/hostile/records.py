"""Hostile records and names: one report over all of them must show every cell, and no number but
the true one."""

import csv
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from benchmarks.matrix import Cell
from benchmarks.plan import plan
from benchmarks.torture.figures import Row
from benchmarks.torture.hostile.damage import Damage, by_hand, drawn
from benchmarks.torture.hostile.outcome import CRASHED, EXECUTED, LOST, SILENT, Outcomes, hashes
from benchmarks.torture.hostile.texts import MARK, inputs, text_strategy, texts
from benchmarks.torture.stages import matrix
from qkd.records.record import STAGES, Record, Store, readable_name
from qkd.spec import Network
from qkd.spec.value import encode, validated
from qkd.train import run_stage
from qkd.training.runtime import Runtime

NAME = "torture"
TIMEOUT = 600.0
SPOTS = 4  # a name stands in a failure, an environment, a deviation or the name of a file
FORMULA = ("=", "+", "@")  # as a cell begins that a table program would compute
UNSEEN = ("\x1b", "\u202e")


class Shown(NamedTuple):
    """A report: its exit code, what it printed, its page, of each seed the status and top-1, of
    each method the mean and over how many seeds it is, and all fields of both tables."""

    code: int
    output: str
    page: str
    cells: dict[int, tuple[str, str]]
    means: list[tuple[str, str]]
    fields: set[str]


class Records:
    """A results folder with a record for each input: twins of one that was trained."""

    def __init__(self, folder: Path, counts: tuple[int, int], runtime: Runtime) -> None:
        self.folder, self.results, self.counts = folder, folder / "results", counts
        self.canary = folder / "executed"
        known = texts(self.canary)
        self.names = inputs(known, text_strategy(self.canary), counts[1])
        deviations = tuple(self.names[spot] for spot in range(2, counts[1], SPOTS))
        self.matrix = matrix(NAME, sum(counts) + 1, deviations)
        self.cells = list(self.matrix.cells())
        self._write(runtime)

    def _write(self, runtime: Runtime) -> None:
        places = self.results / "matrices"
        places.mkdir(parents=True)
        (places / f"{NAME}-smoke.json").write_bytes(encode(self.matrix))
        stages = {one.digest: one.stage for one in plan(self.cells).stages.values()}
        store = Store(self.results / STAGES)
        first = self.cells[0].history
        for stage in stages.values():
            if stage.history.student.start is None or stage.history == first:
                run_stage(stage, store, runtime)
        store.refresh()
        trained = store.record(first)
        for cell in self.cells[1:]:
            twin = self.record(cell)
            ignored = shutil.ignore_patterns("checkpoint.pt", "log.txt")
            shutil.copytree(trained.path, twin.path, ignore=ignored)
            twin.stage_file.write_bytes(encode(stages[cell.history.digest]))
        self.true = f"{trained.read_json(trained.result_file)['student']['top1']:.4f}"

    def record(self, cell: Cell) -> Record:
        """Where a cell's record lies."""
        history = cell.history
        return Record(self.results / STAGES / f"{readable_name(history)}-{history.digest}")

    def damage(self) -> list[Damage]:
        """Damages the records of the first seeds, each by one input."""
        chosen = inputs(by_hand(self.canary), drawn(), self.counts[0])
        for cell, damage in zip(self.cells, chosen, strict=False):
            damage.apply(self.record(cell))
        return chosen

    def put_names(self) -> list[Cell]:
        """Puts each name where text of others stands, in the records of the next seeds."""
        cells = self.cells[self.counts[0] :][: self.counts[1]]
        for spot, (cell, text) in enumerate(zip(cells, self.names, strict=True)):
            record = self.record(cell)
            if spot % SPOTS == 0:
                record.result_file.unlink()
                record.fail(text, text, text)
            elif spot % SPOTS == 1:
                known = record.read_json(record.environment_file)
                known |= {"host": text, "device_name": text, "torch": text}
                record.write_json(record.environment_file, known)
            elif spot % SPOTS == 3 and "/" not in text and len(os.fsencode(text)) < 200:
                (self.results / "matrices" / f"{text}.json").write_text("{}")
        return cells

    def shown(self) -> Shown:
        """The report of it all, in a process of its own."""
        page = self.folder / "page" / "index.html"
        plain = {name: of for name, of in os.environ.items() if not name.startswith("QKD_")}
        done = subprocess.run(
            [sys.executable, "-m", "report"],
            cwd=self.folder,
            env={**plain, "QKD_RESULTS": str(self.results), "QKD_REPORT": str(page)},
            capture_output=True,
            timeout=TIMEOUT,
            check=False,
        )
        output = (done.stdout + done.stderr).decode(errors="replace")
        if not page.exists():
            return Shown(done.returncode, output, "", {}, [], set())
        cells, means = (_rows(page.with_name(name)) for name in ("cells.csv", "summary.csv"))
        return Shown(
            done.returncode,
            output,
            page.read_text(encoding="utf-8"),
            {int(row["seed"]): (row["status"], row["top1"]) for row in cells if _is_ours(row)},
            [(row["mean"], row["n"]) for row in means if _is_ours(row)],
            {field for row in (*cells, *means) for field in row.values()},
        )


def records_and_names(
    counts: tuple[int, int], folder: Path, runtime: Runtime, examples: list[str]
) -> list[Row]:
    """So many hostile records, and so many hostile names, under one report. ``folder`` is new."""
    folder.mkdir(parents=True)
    made = Records(folder, counts, runtime)
    damages, named = made.damage(), made.put_names()
    before = hashes(made.results)
    shown = made.shown()
    of_records = Outcomes("records", made.canary, examples)
    of_names = Outcomes("names", made.canary, examples)
    judge_cells(of_records, shown, made, damages)
    _judge_names(of_names, shown, made, named)
    if shown.code != 0 or "Traceback" in shown.output:
        of_records.fault(CRASHED, f"the report ends with {shown.code}: {shown.output[-200:]}")
    if hashes(made.results) != before:
        of_records.fault(LOST, "the report changed a file of the records")
    of_records.look_for_execution("the report")
    return [of_records.row(), of_names.row()]


def judge_cells(outcomes: Outcomes, shown: Shown, made: Records, damages: Sequence[Damage]) -> None:
    """Each damaged cell is shown: with the true top-1, or as one that has none."""
    for cell, damage in zip(made.cells, damages, strict=False):
        status, top1 = shown.cells.get(cell.seed, ("", ""))
        outcomes.count(is_refused=status != "done")
        _judge_cell(outcomes, (status, top1), made.true, damage.words)
    last = made.cells[-1].seed
    if shown.cells.get(last) != ("done", made.true):
        outcomes.fault(LOST, f"the record that nobody touched is shown as {shown.cells.get(last)}")
    done = sum(status == "done" for status, _ in shown.cells.values())
    for mean, number in shown.means:
        if number and (mean != made.true or int(number) != done):
            outcomes.fault(
                SILENT, f"a mean of {mean} over {number}: {made.true} over {done} is true"
            )


def _judge_cell(
    outcomes: Outcomes, found: tuple[str, str], true: str, words: str, expected: str = ""
) -> None:
    status, top1 = found
    if not status or (expected and status != expected):
        outcomes.fault(LOST, f"{words}: the cell is shown as {status or 'nothing'}")
    elif status == "done" and top1 != true:
        outcomes.fault(SILENT, f"{words}: top-1 {top1}, where {true} is true")


def _judge_names(outcomes: Outcomes, shown: Shown, made: Records, named: Sequence[Cell]) -> None:
    """Names change no cell, and are nothing but text wherever they are shown."""
    for spot, (cell, text) in enumerate(zip(named, made.names, strict=True)):
        outcomes.count(is_refused=not _is_a_name(text))
        expected = "failed" if spot % SPOTS == 0 else "done"
        found = shown.cells.get(cell.seed, ("", ""))
        _judge_cell(outcomes, found, made.true, f"name {spot}", expected)
    if MARK in shown.page:
        outcomes.fault(EXECUTED, "a name became markup of the page")
    for character in UNSEEN:
        if character in shown.page or character in shown.output:
            outcomes.fault(EXECUTED, f"{character!r} of a name reaches page or terminal")
    for field in shown.fields:
        if field.startswith(FORMULA):
            outcomes.fault(EXECUTED, f"a formula in a CSV: {field!r}")


def _is_a_name(text: str) -> bool:
    """Whether a network may be called so."""
    try:
        validated(Network(name=text, factory="torch.nn:Identity"))
    except ValueError:
        return False
    return True


def _is_ours(row: dict[str, str]) -> bool:
    return (row["matrix"], row["scale"]) == (NAME, "smoke")


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))
