"""What SLURM says of jobs: squeue, sacct, scancel and scontrol, asked as few times as possible."""

import re
import subprocess
import time
from collections.abc import Collection, Iterable
from typing import NamedTuple

PATIENCE_SECONDS = 30.0
TIMEOUT_SECONDS = 60.0
AT_ONCE = 500
DEFAULT_ARRAY = 1001


class QueueUnknown(RuntimeError):
    """SLURM does not answer: nothing is known of any job."""


class Queued(NamedTuple):
    """A job in the queue: its id, name, SLURM's state and its reason, and the node."""

    id: str
    name: str
    state: str
    reason: str
    node: str

    @property
    def is_held(self) -> bool:
        """Whether somebody must act before it can start."""
        return "held" in self.reason.lower() or self.reason == "DependencyNeverSatisfied"


class Ended(NamedTuple):
    """How a job ended, as the accounting has it: its name, SLURM's state, and the node.

    A controller that is killed may give an id again: the name says whose end it was.
    """

    name: str
    state: str
    node: str


def in_queue(names: Collection[str]) -> dict[str, Queued]:
    """The jobs of these names that are in the queue, array elements one by one, by id.

    Raises QueueUnknown where squeue fails for half a minute.
    """
    found = {}
    for some in _pieces(sorted(names)):
        text = _asked("squeue", "-h", "-r", "-o", "%i|%j|%T|%r|%N", f"--name={','.join(some)}")
        for line in text.splitlines():
            key, name, state, reason, node = line.split("|", maxsplit=4)
            found[key] = Queued(key, name, state, reason, node)
    return found


def ended(ids: Collection[str]) -> dict[str, Ended]:
    """How jobs ended; those of which the accounting knows nothing, or has none, are left out."""
    found = {}
    arrays = sorted({key.partition("_")[0] for key in ids})
    for some in _pieces(arrays):
        what = "JobID,JobName,State,NodeList"
        try:
            text = _asked("sacct", "-n", "-X", "-P", "-o", what, "-j", ",".join(some), patience=0.0)
        except QueueUnknown:
            continue
        for line in text.splitlines():
            key, name, state, node = line.split("|", maxsplit=3)
            found[key] = Ended(name, state.partition(" ")[0], node)
    return {key: end for key, end in found.items() if key in ids}


def cancel(ids: Iterable[str]) -> None:
    """Cancels jobs. Raises QueueUnknown."""
    for some in _pieces(sorted(ids)):
        _asked("scancel", *some)


def longest_array() -> int:
    """The most elements that an array may have. Raises QueueUnknown."""
    found = re.search(r"^MaxArraySize\s*=\s*(\d+)", _asked("scontrol", "show", "config"), re.M)
    return max(1, int(found.group(1))) if found else DEFAULT_ARRAY


def _pieces(words: list[str]) -> list[list[str]]:
    return [words[begin : begin + AT_ONCE] for begin in range(0, len(words), AT_ONCE)]


def _asked(*command: str, patience: float = PATIENCE_SECONDS) -> str:
    """A command's output; one that fails is tried again for a while."""
    deadline = time.monotonic() + patience
    while True:
        try:
            return subprocess.run(  # noqa: S603 (fixed commands, no shell)
                command, capture_output=True, text=True, check=True, timeout=TIMEOUT_SECONDS
            ).stdout
        except FileNotFoundError as error:
            raise QueueUnknown(
                f"there is no {command[0]} here: run this where SLURM's commands are (a login "
                "node), or leave CLUSTER out"
            ) from error
        except (OSError, subprocess.SubprocessError) as error:
            said = getattr(error, "stderr", "") or str(error)
            if time.monotonic() >= deadline:
                raise QueueUnknown(
                    f"{command[0]} does not answer ({said.strip()}): nothing is known of any job, "
                    "and nothing was done. Try again later"
                ) from error
            time.sleep(2.0)
