"""Launches of a matrix by a tree's own code: their memory, and the states that they end in."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from benchmarks.speed.trees import Tree
from qkd.records.record import STAGES, State, Store
from qkd.records.schema import Result
from qkd.training.checkpoint import load, weights_sha256

POLL_SECONDS = 0.1
PROCESSES = Path("/proc")


class Launching:
    """A launch into a folder of its own, anew at each call.

    ``peaks`` holds each launch's highest memory in bytes, all its processes together; nothing where
    the system does not tell. ``results`` is the last one's folder, and `again` a second call there.
    """

    def __init__(self, tree: Tree, variables: Mapping[str, str], place: Path) -> None:
        self._tree, self._variables, self._place = tree, dict(variables), place
        self.results = place / "results"
        self.peaks: list[int] = []

    def __call__(self) -> None:
        """Raises RuntimeError where the launch fails."""
        shutil.rmtree(self.results, ignore_errors=True)
        peak = self._run()
        if peak:
            self.peaks.append(peak)

    def again(self) -> None:
        """The same command where all is done."""
        self._run()

    def _run(self) -> int:
        self._place.mkdir(parents=True, exist_ok=True)
        own = {"RESULTS": str(self.results), "DATA": str(self._place / "data")}
        said = self._place / "said.txt"
        with said.open("wb") as file:
            process = subprocess.Popen(
                [sys.executable, "-m", "slurm.launch", "run"],
                cwd=self._tree.folder,
                env=self._tree.environment(self._variables | own),
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            try:
                peak = _watched(process)
            finally:
                if process.poll() is None:
                    os.killpg(process.pid, signal.SIGKILL)
                    process.wait()
        if process.returncode != 0:
            last = said.read_text(errors="replace").strip()[-300:]
            raise RuntimeError(f"a launch in {self._tree.folder} ends with an error: {last}")
        return peak


def _watched(process: subprocess.Popen[bytes]) -> int:
    """Waits for its end; the highest memory in bytes of its session meanwhile."""
    peak = 0
    while process.poll() is None:
        peak = max(peak, memory_of(process.pid))
        time.sleep(POLL_SECONDS)
    return peak


def memory_of(session: int) -> int:
    """Bytes of all processes of a session, a shared page counted once; 0 where none is told."""
    return sum(_memory(path) for path in PROCESSES.glob("[0-9]*") if _session(path) == session)


def _session(process: Path) -> int:
    try:
        # The name before it, in brackets, may hold anything.
        return int((process / "stat").read_text(errors="replace").rpartition(")")[2].split()[3])
    except (OSError, IndexError, ValueError):  # it has ended
        return 0


def _memory(process: Path) -> int:
    try:
        lines = (process / "smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return sum(1024 * int(line.split()[1]) for line in lines if line.startswith("Pss:"))


def states(results: Path) -> dict[str, tuple[object, ...]]:
    """Of each done stage, by its digest: the sha256 of the student's and of a trained teacher's
    weights, and how many test images each answers rightly."""
    found: dict[str, tuple[object, ...]] = {}
    for record in Store(results / STAGES).records():
        if record.state() != State.DONE:
            continue
        content = load(record.checkpoint_file, record.digest)
        result = record.read(record.result_file, Result)
        names = ["student", *(["teacher"] if result.teacher else [])]
        weights = [weights_sha256(content[name]["network"]) for name in names]
        right = [one.correct1 for one in (result.student, result.teacher) if one]
        found[record.digest] = (*weights, *right)
    return found


def wall_by_training(results: Path) -> float:
    """The stages' seconds in all, by those of their training steps; pre-trainings aside."""
    wall = training = 0.0
    for record in Store(results / STAGES).records():
        if record.state() == State.DONE and record.stage().history.student.start is not None:
            result = record.read(record.result_file, Result)
            wall += result.wall_seconds or 0.0
            training += result.seconds
    return wall / training if training else 0.0
