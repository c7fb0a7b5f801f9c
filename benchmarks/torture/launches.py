"""Two launches at once on one results folder: no stage is trained twice, no record is lost."""

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from random import Random
from typing import NamedTuple

from benchmarks.torture.ends import differences
from benchmarks.torture.figures import Row
from benchmarks.torture.progress import Progress
from qkd.records.record import STAGES, Record, Store

LAUNCH = (sys.executable, "-m", "slurm.launch", "run")
# One method and one seed of the ablation's smoke scale: a pre-training and two stages of QAT.
VARIABLES = {"QKD_SCALE": "smoke", "QKD_SEEDS": "0", "QKD_ONLY": "method=qat", "QKD_JOBS": "1"}
TIMEOUT = 600.0
APART = 1.0  # seconds at most between the two
DONE = "done: test top-1"  # of a stage's log, once for each training

TWICE, LOST, FAILED = "stages trained twice", "records lost or other", "launches failed"


class Judged(NamedTuple):
    """The stages of a results folder: how many were trained twice, how many are not as they are to
    be, and what is wrong in words."""

    twice: int
    lost: int
    words: tuple[str, ...]


def alone(folder: Path, data: Path) -> Store:
    """The records of one launch by itself into ``folder``. Raises RuntimeError where it fails."""
    process = _begin(LAUNCH, folder, data, {})
    output, _ = process.communicate(timeout=TIMEOUT)
    if process.returncode != 0:
        raise RuntimeError(f"a launch alone fails: {output[-500:]}")
    return Store(folder / STAGES)


def rounds(
    number: int,
    expected: Store,
    folder: Path,
    data: Path,
    examples: list[str],
    *,
    apart: float = APART,
    more: dict[str, str] | None = None,
) -> Row:
    """So many rounds; of each round the pre-training is there, and the rest is raced for.

    ``expected`` are the records of one launch; ``examples`` gets what went wrong. The second launch
    begins at most ``apart`` seconds after the first; ``more`` is added to the environment of both.
    """
    random, progress = Random(0), Progress("two launches at once", number)  # noqa: S311 (no secrets)
    faults = dict.fromkeys((TWICE, LOST, FAILED), 0)
    for _ in range(number):
        _with_starts(expected, folder)
        first = _begin(LAUNCH, folder, data, more or {})
        time.sleep(random.uniform(0, apart))
        both = [first, _begin(LAUNCH, folder, data, more or {})]
        for process in both:
            output, _ = process.communicate(timeout=TIMEOUT)
            if process.returncode != 0:
                faults[FAILED] += 1
                examples.append(f"a launch of two ends with {process.returncode}: {output[-300:]}")
        judged = judge(folder, expected)
        faults[TWICE] += judged.twice
        faults[LOST] += judged.lost
        examples += judged.words
        shutil.rmtree(folder)
        progress.step()
    stages = len(expected.records())
    note = f"two launches of {stages} stages, up to {apart:g} s apart, ends compared bit for bit"
    return Row(
        part="two launches at once",
        what="the ablation's QAT",
        tried=number,
        faults=faults,
        note=note,
    )


def judge(results: Path, expected: Store) -> Judged:
    """A results folder after its round, against that of one launch."""
    twice = lost = 0
    words = []
    store = Store(results / STAGES)
    for wanted in expected.records():
        record = Record(store.root / wanted.path.name)
        count = _text(record.log_file).count(DONE)
        if count > 1:
            twice += 1
            words.append(f"{record.path.name} was trained {count} times")
        found = differences(record, wanted)
        if found:
            lost += 1
            words.append(f"{record.path.name}: {', '.join(found)}")
    return Judged(twice, lost, tuple(words))


def _with_starts(expected: Store, results: Path) -> None:
    """A results folder that holds the pre-trainings alone, which cost the most and race alike."""
    for record in expected.records():
        if record.stage().history.student.start is None:
            shutil.copytree(record.path, results / STAGES / record.path.name)


def _begin(
    command: tuple[str, ...], results: Path, data: Path, more: dict[str, str]
) -> subprocess.Popen[str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("QKD_")}
    own = {"QKD_RESULTS": str(results), "QKD_DATA": str(data)}
    return subprocess.Popen(  # noqa: S603 (our own module)
        list(command),
        env={**inherited, **VARIABLES, **own, **more},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def _text(path: Path) -> str:
    return path.read_text() if path.exists() else ""
