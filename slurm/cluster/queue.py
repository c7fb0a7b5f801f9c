"""What SLURM says of jobs: squeue, sacct, scancel and scontrol, asked as few times as possible."""

import os
import re
import subprocess
import time
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

PATIENCE_SECONDS = 30.0
TIMEOUT_SECONDS = 60.0
AT_ONCE = 500
DEFAULT_ARRAY = 1001

# Variables of a shell that change these commands' answers: filters, formats, other clusters.
FILTERS = ("SQUEUE_", "SACCT_", "SCANCEL_", "SCONTROL_", "SLURM_CLUSTERS", "SLURM_TIME_FORMAT")
# Variables that sbatch would obey rather than us: those of a job that we run in, say.
INHERITED = ("SLURM_", "SLURMD_", "SRUN_", "SBATCH_", "SUBMITIT_")
KEPT = ("SLURM_CONF", "SLURM_CONF_SERVER", "SLURM_JWT")
DISTRIBUTED = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")

GOING_ON = ("RUNNING", "COMPLETING", "CONFIGURING", "STAGE_OUT", "SIGNALING", "RESIZING")


class QueueUnknown(RuntimeError):
    """SLURM does not answer: nothing is known of any job."""


class Queued(NamedTuple):
    """A job in the queue: its id, name and user, SLURM's state and its reason, and the node."""

    id: str
    name: str
    user: str
    state: str
    reason: str
    node: str

    @property
    def place(self) -> tuple[str, int]:
        """Its name, and its place in its array; -1 where it is in none."""
        return self.name, int(self.id.partition("_")[2] or -1)

    @property
    def is_held(self) -> bool:
        """Whether somebody must act before it can start."""
        return "held" in self.reason.lower() or self.reason == "DependencyNeverSatisfied"

    @property
    def is_running(self) -> bool:
        """Whether it is at work, or about to begin or to end."""
        return self.state in GOING_ON


class Ended(NamedTuple):
    """How a job ended, as the accounting has it: its name, SLURM's state, and the node.

    A controller that is killed may give an id again: the name says whose end it was.
    """

    name: str
    state: str
    node: str


class Cluster(NamedTuple):
    """SLURM's name of itself, and the most elements that an array may have."""

    name: str
    longest_array: int


def in_queue(names: Collection[str]) -> list[Queued]:
    """The jobs of these names that are in the queue, array elements one by one.

    Raises QueueUnknown where squeue fails for half a minute.
    """
    found = []
    for some in _pieces(sorted(names)):
        text = _asked("squeue", "-h", "-r", "-o", "%i|%j|%u|%T|%r|%N", f"--name={','.join(some)}")
        found += [Queued(*line.split("|", maxsplit=5)) for line in text.splitlines()]
    return found


def ended(ids: Collection[str]) -> dict[str, Ended]:
    """How jobs ended; without those that no accounting knows."""
    found = {}
    for some in _pieces(sorted({key.partition("_")[0] for key in ids})):
        what = "JobID,JobName,State,NodeList"
        try:
            text = _asked("sacct", "-n", "-X", "-P", "-o", what, "-j", ",".join(some), patience=0.0)
        except QueueUnknown:
            continue
        for line in text.splitlines():
            key, name, state, node = line.split("|", maxsplit=3)
            for one in _elements(key):
                found[one] = Ended(name, state.partition(" ")[0], node)
    return {key: end for key, end in found.items() if key in ids}


def cancel(ids: Iterable[str]) -> None:
    """Cancels jobs. Raises QueueUnknown."""
    for some in _pieces(sorted(ids)):
        _asked("scancel", *some)


def cluster() -> Cluster:
    """The cluster of this machine. Raises QueueUnknown."""
    text = _asked("scontrol", "show", "config")
    name = re.search(r"^ClusterName\s*=\s*(\S+)", text, re.MULTILINE)
    longest = re.search(r"^MaxArraySize\s*=\s*(\d+)", text, re.MULTILINE)
    size = int(longest.group(1)) if longest else DEFAULT_ARRAY
    return Cluster(name.group(1) if name else "", max(1, size))


@contextmanager
def clean_environment(own: Collection[str] = ()) -> Iterator[None]:
    """Hides the environment's variables of SLURM, but those of ``own``: the launcher alone says
    what a job is. (submitit's clean_env hides where SLURM's configuration is, too.)
    """
    kept = {*KEPT, *own}
    hidden = {
        name: os.environ.pop(name)
        for name in list(os.environ)
        if (name.startswith(INHERITED) or name in DISTRIBUTED) and name not in kept
    }
    try:
        yield
    finally:
        os.environ.update(hidden)


def _elements(key: str) -> Iterator[str]:
    """The ids in ``7_[0-2,5%4]``, SLURM's notation for elements that never began."""
    array, bracket, inside = key.partition("_[")
    if not bracket:
        yield key
        return
    for span in inside.rstrip("]").partition("%")[0].split(","):
        first, _, last = span.partition("-")
        yield from (f"{array}_{number}" for number in range(int(first), int(last or first) + 1))


def _pieces(words: list[str]) -> list[list[str]]:
    return [words[begin : begin + AT_ONCE] for begin in range(0, len(words), AT_ONCE)]


def _asked(*command: str, patience: float = PATIENCE_SECONDS) -> str:
    """A command's output; one that fails is tried again for a while."""
    deadline = time.monotonic() + patience
    environment = {k: v for k, v in os.environ.items() if not k.startswith(FILTERS)}
    while True:
        try:
            return subprocess.run(  # noqa: S603 (fixed commands, no shell)
                command,
                env=environment,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                check=True,
                timeout=TIMEOUT_SECONDS,
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
                    f"{command[0]} does not answer ({said.strip()}): nothing is known of any job. "
                    "Try again later"
                ) from error
            time.sleep(2.0)
