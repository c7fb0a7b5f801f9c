"""Waves -> sbatch, through submitit; for DRYRUN=1 the same text without sending it."""

import shlex
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import submitit
from submitit.core.utils import FailedJobError, FailedSubmissionError
from submitit.slurm.slurm import _make_sbatch_string

from slurm.cluster.profiles import Profile
from slurm.cluster.queue import QueueUnknown, clean_environment
from slurm.cluster.waves import Wave

DEAF = """sh -c 'trap "" USR2 TERM; exec "$0" "$@"'"""
# Variables of the user's environment that hold where the profile leaves the key out.
BY_DEFAULT = {
    "partition": "SBATCH_PARTITION",
    "account": "SBATCH_ACCOUNT",
    "qos": "SBATCH_QOS",
    "constraint": "SBATCH_CONSTRAINT",
}


class Sent(NamedTuple):
    """A wave in the queue. ``job`` is the array's id, or the job's."""

    wave: Wave
    job: str

    def element(self, index: int) -> str:
        """The id of one element, as a dependency names it."""
        return f"{self.job}_{index}" if len(self.wave.units) > 1 else self.job


def dependency(wave: Wave, sent: Sequence[Sent]) -> str:
    """The words of sbatch's --dependency: "" where the wave waits for nothing."""
    words = [f"aftercorr:{sent[number].job}" for number in wave.tied]
    words += [f"afterok:{sent[number].element(index)}" for number, index in wave.after]
    words += [f"afterok:{sent[number].job}" for number in wave.whole]
    words += [f"afterok:{job}" for job in wave.queued]
    return ",".join(dict.fromkeys(words))


class Order(NamedTuple):
    """A wave with what sbatch is told: the jobs' name, submitit's folder, --dependency."""

    wave: Wave
    profile: Profile
    name: str
    folder: Path
    waits_for: str = ""

    def parameters(self) -> dict[str, Any]:
        """What submitit is told; texts that are empty are left to SLURM."""
        asked, profile = self.wave.resources, self.profile
        each = asked.processes // asked.nodes
        found: dict[str, Any] = {
            "job_name": self.name,
            "time": asked.minutes,
            "nodes": asked.nodes,
            "ntasks_per_node": each,
            "cpus_per_task": asked.cpus,
            "mem": f"{round(1024 * asked.memory_gb * each)}MB",
            "signal_delay_s": profile.signal_seconds,
            "array_parallelism": profile.parallel,
            # Since 22.05 srun does not take a batch job's CPUs over; a rank that fails ends all.
            "srun_args": [f"--cpus-per-task={asked.cpus}", "--kill-on-bad-exit=1"],
            "setup": list(profile.setup),
            "wckey": None,
            "additional_parameters": {"kill-on-invalid-dep": "yes", "requeue": True}
            | {name.replace("_", "-"): value for name, value in profile.sbatch.items()},
        }
        extra = found["additional_parameters"]
        found["additional_parameters"] = {k: v for k, v in extra.items() if v is not False}
        if asked.gpus:
            found["gpus_per_node"] = asked.gpus
        for key in ("partition", "account", "qos", "constraint"):
            if getattr(profile, key):
                found[key] = getattr(profile, key)
        return found | ({"dependency": self.waits_for} if self.waits_for else {})

    @property
    def python(self) -> str:
        """The command that starts this Python in a job.

        It ignores the signals before a job's end until submitit listens. So SLURM ends and requeues
        a job that is preempted while it starts; else such a job would fail by itself.
        """
        return " ".join(filter(None, [DEAF, self.profile.container, shlex.quote(sys.executable)]))

    def text(self) -> str:
        """What sbatch is given."""
        count = len(self.wave.units)
        command = f"{self.python} -u -m submitit.core._submit {shlex.quote(str(self.folder))}"
        told = self.parameters() | ({"map_count": count} if count > 1 else {})
        return _make_sbatch_string(command, self.folder, **told)

    def send(self, functions: Sequence[Callable[[], object]]) -> Sent:
        """Submits one function for each element. Raises QueueUnknown if sbatch does not take it."""
        executor = submitit.SlurmExecutor(self.folder, self.profile.requeues, python=self.python)
        executor.update_parameters(**self.parameters())
        own = [name for key, name in BY_DEFAULT.items() if not getattr(self.profile, key)]
        try:
            with clean_environment(own), executor.batch():
                jobs = [executor.submit(function) for function in functions]
        except (FailedJobError, FailedSubmissionError) as error:
            raise QueueUnknown(
                f"sbatch did not take {self.name}: {error}. What was sent before it stays in the "
                "queue, and the same command sends the rest"
            ) from error
        return Sent(self.wave, jobs[0].job_id.partition("_")[0])
