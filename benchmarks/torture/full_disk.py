"""The disk is full from a write on: a small file system of its own, filled at each write in turn.

Python tells of every file that is opened (an audit hook), so nothing of the product is replaced:
the system itself refuses what is then written.
"""

import errno
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch

from benchmarks.torture.ends import differences
from benchmarks.torture.figures import Row
from benchmarks.torture.processes import PATIENCE, Undisturbed, begin, beginning, context
from benchmarks.torture.progress import Progress
from benchmarks.torture.stages import phases
from qkd.records.record import BadRecord, Record, State, Store
from qkd.spec import Stage
from qkd.train import StageFailed, run_stage
from qkd.training import checkpoint
from qkd.training.checkpoint import BadCheckpoint
from qkd.training.runtime import Runtime

PHASE = "co-study"  # it writes the most: two networks
SIZE = "8m"
PAGE, FREE_PAGES = 4096, 4  # so many at most are left, that a write may be cut in its midst
WRITES = os.O_WRONLY | os.O_RDWR
HALF, DIFFER, UNNOTICED = "files half-written", "ends that differ", "full disks unnoticed"


class NoDisk(RuntimeError):
    """No file system may be mounted here."""


@contextmanager
def small_disk(folder: Path) -> Iterator[Path]:
    """A tmpfs, unmounted afterwards. Raises NoDisk."""
    folder.mkdir(parents=True)
    mount, unmount = shutil.which("mount"), shutil.which("umount")
    if not (sys.platform == "linux" and mount and unmount and os.geteuid() == 0):
        raise NoDisk("only root of a Linux may mount a tmpfs")
    command = [mount, "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode != 0:
        raise NoDisk(f"no tmpfs may be mounted here: {done.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run([unmount, str(folder)], check=True)  # noqa: S603


def full_at_each_write(
    most: int, known: Undisturbed, disk: Path, runtime: Runtime, examples: list[str]
) -> Row:
    """The disk full from each write of a stage on, in turn (0: all of them, else ``most``, evenly).

    After each the disk has room again, and the stage goes on: to the same bits.
    """
    stage = phases()[PHASE]
    count = _count_writes(known, disk, stage, runtime)
    chosen = _spread(count, most or count)
    progress = Progress("full disk", len(chosen))
    faults = dict.fromkeys((HALF, DIFFER, UNNOTICED), 0)
    for number in chosen:
        for kind, words in _one(number, known, disk, stage, runtime):
            faults[kind] += 1
            examples.append(f"disk full at write {number} of {count}: {words}")
        progress.step()
    return Row(
        part="full disk",
        what=PHASE,
        tried=len(chosen),
        faults=faults,
        note=f"{count} writes in all; each time the stage went on and its end was compared",
    )


def _spread(count: int, most: int) -> list[int]:
    """So many numbers from 1 to ``count``, evenly."""
    most = min(most, count)
    return sorted({1 + index * count // most for index in range(most)})


def _one(
    number: int, known: Undisturbed, disk: Path, stage: Stage, runtime: Runtime
) -> Iterator[tuple[str, str]]:
    """What goes wrong where the disk is full from that write on, as kinds of faults and words."""
    root = disk / "stages"
    store = beginning(known.store, root, stage)
    ended, _ = _until_full(stage, root, runtime, number)
    store.refresh()
    record = store.record(stage.history)
    if not ended:  # all that it still had to write found room in the pages that were left
        for words in differences(record, known.store.record(stage.history)):
            yield UNNOTICED, f"the stage ended well, and {words} is not what it should be"
    elif ended not in ("StageFailed", "OSError"):
        yield UNNOTICED, f"the stage ended with {ended}"
    _ballast(root).unlink(missing_ok=True)
    for words in half_written(record):
        yield HALF, words
    if record.state() == State.FAILED:
        record.failed_file.unlink()  # as make retry does
    process, begun = begin(stage, root, runtime)
    process.join(PATIENCE)
    begun.close()
    store.refresh()
    found = differences(store.record(stage.history), known.store.record(stage.history))
    if found:
        yield DIFFER, ", ".join(found)
    shutil.rmtree(root)


def half_written(record: Record) -> Iterator[str]:
    """Files of a record that are not whole, or were left beside their place. A last line of metrics
    may be cut: it is the one file that grows, and what no checkpoint knows of is cut off."""
    for path in sorted(record.path.iterdir()) if record.path.exists() else ():
        if path.name.startswith("."):
            yield f"{path.name} is left"
        elif path.suffix == ".json":
            try:
                record.read_json(path)
            except BadRecord as error:
                yield str(error)
        elif path == record.checkpoint_file:
            try:
                checkpoint.load(path, record.digest)
            except BadCheckpoint as error:
                yield str(error)


def _count_writes(known: Undisturbed, disk: Path, stage: Stage, runtime: Runtime) -> int:
    root = disk / "stages"
    beginning(known.store, root, stage)
    ended, count = _until_full(stage, root, runtime, 0)
    shutil.rmtree(root)
    if ended:
        raise RuntimeError(f"the stage ends with {ended} where the disk is not full")
    return count


def _until_full(stage: Stage, root: Path, runtime: Runtime, number: int) -> tuple[str, int]:
    """How a process ends whose disk is full from its ``number``-th write on (0: never), by the name
    of the error, and how many files it opened to write into."""
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_train, args=(stage, root, runtime, number, theirs))
    process.start()
    theirs.close()
    try:
        ended, count = ours.recv() if ours.poll(PATIENCE) else ("no end", 0)
    except EOFError:
        ended, count = "no word", 0
    process.kill() if ended == "no end" else process.join()
    return ended, count


def _train(stage: Stage, root: Path, runtime: Runtime, number: int, answer: Connection) -> None:
    torch.set_num_threads(1)
    filler = Filler(root, number)
    sys.addaudithook(filler.hear)
    ended = ""
    try:
        run_stage(stage, Store(root), runtime)
    except (StageFailed, OSError) as error:
        full = "No space left" in str(error)
        ended = type(error).__name__ if full else f"{type(error).__name__}: {error}"
        ended = "OSError" if full and isinstance(error, OSError) else ended
    answer.send((ended, filler.count))


def _ballast(root: Path) -> Path:
    return root.with_name("ballast")


class Filler:
    """Counts the files below ``root`` that are opened to be written, and fills the disk at one."""

    def __init__(self, root: Path, number: int) -> None:
        self._root, self._number = f"{root}{os.sep}", number
        self._ballast = _ballast(root)
        self.count = 0

    def hear(self, event: str, arguments: tuple[Any, ...]) -> None:
        """An audit hook: ``open`` has path, mode and flags."""
        if event != "open" or not isinstance(arguments[0], (str, bytes, os.PathLike)):
            return
        path = os.fsdecode(arguments[0])
        if path.startswith(self._root) and (arguments[2] or 0) & WRITES:
            self.count += 1
            if self.count == self._number:
                self._fill()

    def _fill(self) -> None:
        """All of it but for a few pages."""
        with self._ballast.open("wb", buffering=0) as file:
            size = PAGE * 64
            while size >= PAGE:
                try:
                    file.write(bytes(size))
                except OSError as error:
                    if error.errno != errno.ENOSPC:
                        raise
                    size //= 2
            left = PAGE * ((self.count - 1) % (FREE_PAGES + 1))
            with suppress(OSError):
                file.truncate(max(0, file.tell() - left))
