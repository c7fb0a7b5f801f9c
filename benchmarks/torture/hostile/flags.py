"""Hostile values of make's variables: a word of error, or a plan; nothing is run or written."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from hypothesis import strategies as st

from benchmarks.settings import VARIABLES
from benchmarks.torture.figures import Row
from benchmarks.torture.hostile.outcome import CRASHED, EXECUTED, LOST, Outcomes, hashes
from benchmarks.torture.hostile.texts import inputs, text_strategy, texts

ROOT = Path(__file__).resolve().parents[3]
TIMEOUT = 300.0
Flag = tuple[str, str]
NUMBERS = ("0", "-1", "1e9", "9" * 30, "0x10", "1;2", "nan", " ", "\t")


def flags(count: int, results: Path, folder: Path, examples: list[str]) -> Row:
    """So many, each as a variable of ``make help`` and of ``make plan``'s own command, above the
    records of ``results``, whose files must stay as they are."""
    canary = folder / "executed"
    outcomes = Outcomes("flags", canary, examples)
    before = hashes(results)
    for name, value in inputs(_by_hand(canary), _drawn(canary), count):
        words = f"{name}={value!r}"
        _ask_make(name, value)
        code, output = _plan(name, value, results, folder)
        outcomes.count(is_refused=code != 0)
        outcomes.look_for_execution(words)
        if "Traceback" in output or code not in (0, 2):
            outcomes.fault(CRASHED, f"{words} ends with {code}: {output[-200:]}")
        if "\x1b[2J" in output:
            outcomes.fault(EXECUTED, f"{words} reaches the terminal as it is")
        if hashes(results) != before:
            outcomes.fault(LOST, words)
            before = hashes(results)
    return outcomes.row()


def _by_hand(canary: Path) -> list[Flag]:
    every = texts(canary)
    chosen = [(VARIABLES[number % len(VARIABLES)], text) for number, text in enumerate(every)]
    return chosen + [("SEEDS", number) for number in NUMBERS]


def _drawn(canary: Path) -> st.SearchStrategy[Flag]:
    values = text_strategy(canary) | st.sampled_from(NUMBERS)
    return st.tuples(st.sampled_from(VARIABLES), values)


def _plain() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("QKD_")}


def _ask_make(name: str, value: str) -> None:
    """The Makefile reads the variable, and prints its help. Where there is no make, it is not
    asked."""
    make = shutil.which("make")
    if make:
        command = [make, "help", f"{name}={value}"]
        subprocess.run(  # noqa: S603 (a list: no shell reads it)
            command, cwd=ROOT, env=_plain(), capture_output=True, timeout=TIMEOUT, check=False
        )


def _plan(name: str, value: str, results: Path, folder: Path) -> tuple[int, str]:
    """The exit code of a plan with this variable, and what it says."""
    usual = {
        "QKD_SCALE": "smoke",
        "QKD_RESULTS": str(results),
        "QKD_DATA": str(folder / "data"),
        "QKD_REPORT": str(folder / "page" / "index.html"),
    }
    done = subprocess.run(
        [sys.executable, "-m", "slurm.launch", "plan"],
        cwd=folder,
        env={**_plain(), **usual, f"QKD_{name}": value},
        capture_output=True,
        timeout=TIMEOUT,
        check=False,
    )
    return done.returncode, (done.stdout + done.stderr).decode(errors="replace")
