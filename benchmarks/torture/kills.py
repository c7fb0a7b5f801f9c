"""SIGKILL at random moments of every phase: each stage must end as if nothing had happened."""

import shutil
import signal
from collections import Counter
from collections.abc import Iterator
from itertools import count as counting
from pathlib import Path
from random import Random

from benchmarks.torture.ends import differences
from benchmarks.torture.figures import Row
from benchmarks.torture.processes import PATIENCE, Undisturbed, begin, beginning
from benchmarks.torture.progress import Progress
from benchmarks.torture.stages import phases
from qkd.records.record import Record, Store
from qkd.spec import Stage
from qkd.training import checkpoint
from qkd.training.checkpoint import BadCheckpoint
from qkd.training.runtime import Runtime

DIFFER = "ends that differ"
MOST_IN_A_ROW = 3
TRIES = 50  # for one kill: a process that ends before it was killed is no kill


class Killing:
    """One run of this part: where it trains, how often each phase was killed, and at what."""

    def __init__(self, known: Undisturbed, folder: Path, runtime: Runtime) -> None:
        self.known, self.folder, self.runtime = known, folder, runtime
        self.random = Random(0)  # noqa: S311 (moments, no secrets)
        self.killed: Counter[str] = Counter()
        self.ends: Counter[str] = Counter()
        self.moments: Counter[tuple[str, str]] = Counter()
        self.wrong: Counter[str] = Counter()
        self.examples: list[str] = []

    def life(self, name: str, stage: Stage, kills: int) -> None:
        """A stage from its begin to its end, killed so many times on its way."""
        root = self.folder / "life"
        store = beginning(self.known.store, root, stage)
        for _ in range(kills):
            self._kill_once(name, stage, store)
            self.killed[name] += 1
            self.moments[name, _moment(store.record(stage.history), stage)] += 1
        process, begun = begin(stage, root, self.runtime)
        process.join(PATIENCE)
        begun.close()
        store.refresh()
        self.ends[name] += 1
        found = differences(store.record(stage.history), self.known.store.record(stage.history))
        if process.exitcode != 0:
            process.kill()
            found.insert(0, f"exit code {process.exitcode}")
        if found:
            self.wrong[name] += 1
            self.examples.append(f"{name}, killed {kills} times: {', '.join(found)}")
        shutil.rmtree(root)

    def _kill_once(self, name: str, stage: Stage, store: Store) -> None:
        longest = self.known.seconds[name]
        for _ in range(TRIES):
            process, begun = begin(stage, store.root, self.runtime)
            begun.poll(PATIENCE)
            process.join(self.random.uniform(0, longest))
            process.kill()
            process.join()
            begun.close()
            store.refresh()
            if process.exitcode == -signal.SIGKILL:
                return
            if process.exitcode != 0:
                raise RuntimeError(f"{name} failed before it was killed: {process.exitcode}")
            # It was done before: it begins anew, and is killed earlier.
            longest *= 0.8
            shutil.rmtree(store.record(stage.history).path)
            store.refresh()
        raise RuntimeError(f"{name} ends before it can be killed")

    def rows(self) -> Iterator[Row]:
        """What came of it, for each phase."""
        for name in self.killed:
            at = {what: number for (of, what), number in self.moments.items() if of == name}
            words = ", ".join(f"{number} {what}" for what, number in sorted(at.items()))
            yield Row(
                part="SIGKILL",
                what=name,
                tried=self.killed[name],
                faults={DIFFER: self.wrong[name]},
                note=f"{self.ends[name]} ends compared; {words}",
            )


def kills(
    number: int, known: Undisturbed, folder: Path, runtime: Runtime, examples: list[str]
) -> list[Row]:
    """So many SIGKILLs, at most three in a row for one stage. ``examples`` gets what went wrong."""
    killing = Killing(known, folder, runtime)
    progress = Progress("SIGKILL", number)
    stages = list(phases().items())
    left = number
    for turn in counting():
        if not left:
            break
        name, stage = stages[turn % len(stages)]
        these = min(left, 1 + turn // len(stages) % MOST_IN_A_ROW)
        killing.life(name, stage, these)
        left -= these
        progress.step(these)
    examples += killing.examples
    return list(killing.rows())


def _moment(record: Record, stage: Stage) -> str:
    """How far the stage was, by what it had saved."""
    try:
        step = checkpoint.load(record.checkpoint_file, record.digest)["step"]
    except FileNotFoundError:
        return "before a first save"
    except BadCheckpoint:
        return "with a checkpoint that cannot be read"
    return "after the last step" if step == stage.history.steps else "between steps"
