"""What tests ask of a SLURM: to take a job, to say what became of it, to be as it was before."""

import os
import time
from collections.abc import Collection
from pathlib import Path

import pytest

from tests.support.local_slurm import LocalSlurm, missing_packages

SECONDS = 60.0
QUEUE = {
    "id": "%i",
    "partition": "%P",
    "state": "%T",
    "reason": "%r",
    "nodes": "%N",
    "dependency": "%E",
    "name": "%j",  # the last: it may hold anything
}
ACCOUNTING = ("JobID", "State", "ExitCode", "NodeList")


def require_packages() -> None:
    """Skips a test where SLURM's packages are missing, or fails it where CI_NEEDS_SLURM is set."""
    if missing := missing_packages():
        reason = f"no SLURM on this machine: apt-get install {' '.join(missing)}"
        if "CI_NEEDS_SLURM" in os.environ:
            pytest.fail(reason)
        pytest.skip(reason)


class Cluster(LocalSlurm):
    """A `LocalSlurm` with the questions and the cleaning of tests."""

    def submit(self, script: str, *options: str, cwd: Path | None = None) -> str:
        """Submits a batch script by ``sbatch``; returns the job's id.

        Raises:
            RuntimeError: It was refused; with what sbatch said.
        """
        wrap = ("--parsable", *options, f"--wrap={script}")
        return self.command("sbatch", *wrap, cwd=cwd or self.folder).strip()

    def queue(self) -> list[dict[str, str]]:
        """What waits and runs: a row for each job, and for each element of an array."""
        rows = self.command(
            "squeue", "--noheader", "--array", f"--format={'|'.join(QUEUE.values())}"
        )
        return [
            dict(zip(QUEUE, row.split("|", len(QUEUE) - 1), strict=True))
            for row in rows.splitlines()
        ]

    def states(self, job: str) -> dict[str, str]:
        """The state of a job, or of each element of an array, as the controller has it."""
        ask = ("squeue", "--noheader", "--array", "--states=all", f"--jobs={job}")
        rows = self.command(*ask, "--format=%i|%T").splitlines()
        return dict(row.split("|") for row in rows)

    def wait(self, job: str, states: str | Collection[str], seconds: float = SECONDS) -> None:
        """Waits until a job, or each element of an array, is in one of these states.

        A controller that does not answer is waited for too.

        Raises:
            TimeoutError: They are not; with what they are, and the end of the controller's log.
        """
        wanted = {states} if isinstance(states, str) else set(states)
        deadline = time.monotonic() + seconds
        found: dict[str, str] | str = {}
        while time.monotonic() < deadline:
            try:
                found = self.states(job)
            except RuntimeError as error:
                found = str(error)
            else:
                if found and wanted.issuperset(found.values()):
                    return
            time.sleep(0.1)
        log = self.log("slurmctld")
        raise TimeoutError(f"{job} not {wanted} after {seconds:.0f} s, but {found}\n{log}")

    def save(self, job: str) -> None:
        """Has the controller save its state, with a job as it is now, before it may be killed.

        One that is killed sooner has a job that runs as one that waits, ends its orphan, and starts
        it again: where the node has not seen the end yet, the job is held ("launch failed").

        Raises:
            TimeoutError: Nothing was saved.
        """
        asked = time.time()
        self.command("scontrol", "update", f"jobid={job}", "comment=saved")
        file = self.folder / "state" / "job_state"
        while not file.exists() or file.stat().st_mtime <= asked:
            if time.time() > asked + SECONDS:
                raise TimeoutError(f"{file} is older than {SECONDS:.0f} s\n{self.log('slurmctld')}")
            time.sleep(0.1)

    def accounting(self, job: str) -> list[dict[str, str]]:
        """What slurmdbd wrote of each run of a job: one that was requeued has several, in order.

        It lags behind the controller by up to some seconds.
        """
        ask = ("sacct", "--parsable2", "--noheader", "--allocations", "--duplicates")
        rows = self.command(*ask, f"--jobs={job}", f"--format={','.join(ACCOUNTING)}")
        return [dict(zip(ACCOUNTING, row.split("|"), strict=True)) for row in rows.splitlines()]

    def tidy(self) -> None:
        """Cancels what is left and brings back what was killed: an empty queue, idle nodes.

        Raises:
            TimeoutError: It could not; with what is in the queue and the nodes' states.
        """
        self.start_controller()
        for node in self.nodes:
            self.start_node(node)
        self.preempt_signal(True)
        deadline = time.monotonic() + SECONDS
        while self.queue() or not self.is_idle():
            if time.monotonic() > deadline:
                nodes = self.command("sinfo", "--Node", "--format=%N %T %E")
                raise TimeoutError(f"left behind: {self.queue()}\n{nodes}")
            self.command("scancel", f"--user={self.user}")
            self._resume()
            time.sleep(0.1)

    def _resume(self) -> None:
        """A node that was drained stays so until somebody says otherwise.

        One that changes its state meanwhile is refused: it is asked again, as all are, until idle.
        """
        for row in self.command("sinfo", "--noheader", "--Node", "--format=%N %T").splitlines():
            node, state = row.split()
            if state == "drained":
                self.succeeds("scontrol", "update", f"nodename={node}", "state=resume")
