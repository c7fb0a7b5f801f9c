"""What clusters do to jobs: nothing is lost, and nothing is trained to a different result."""

from collections import Counter
from pathlib import Path

import pytest

from tests.support import launching
from tests.support.slurm_launching import PATIENT, Launcher

pytestmark = [pytest.mark.slurm, pytest.mark.slow]

CHAIN = {"ONLY": "method=chain", "SEEDS": "0,1"}
ONE = {"SEEDS": "0"}  # chain, where arrays have no part in it: half the processes to start


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, data: Path) -> dict[str, bytes]:
    """The numbers of the chains, trained in one go on one machine."""
    results = tmp_path_factory.mktemp("chains")
    code, output = launching.launch("run", results, data, MATRIX=PATIENT, JOBS="2", **CHAIN)
    assert code == 0, output
    return launching.results_of(results)


@pytest.fixture
def launcher(slurm, tmp_path: Path, data: Path) -> Launcher:
    launcher = Launcher(slurm, tmp_path, data)
    launcher.variables |= CHAIN
    return launcher


def of_one(results: dict[str, bytes]) -> dict[str, bytes]:
    """The numbers of the first chain alone."""
    found = {name: numbers for name, numbers in results.items() if "-s0-" in name}
    assert len(found) == 2
    return found


def begin(launcher: Launcher) -> None:
    """Sends the chains and waits until stages are at work."""
    code, output = launcher.run("run")
    assert code == 0, output
    launcher.until(launcher.is_at_work)


def resumed(launcher: Launcher) -> int:
    """How many stages went on from a state that they had saved."""
    logs = (folder / "log.txt" for folder in launching.stage_folders(launcher.results))
    return sum("goes on at step" in log.read_text() for log in logs if log.exists())


def restarted(launcher: Launcher) -> int:
    """How many jobs have several runs in the accounting."""
    jobs = {Path(file).name.partition("_")[0] for file in launcher.results.glob("jobs/*/*_log.out")}
    runs = Counter(run["JobID"] for job in jobs for run in launcher.cluster.accounting(job))
    return sum(count > 1 for count in runs.values())


def hog(launcher: Launcher) -> str:
    """A job of the partition that preempts, on every CPU."""
    nodes = len(launcher.cluster.nodes)
    options = ("--partition=gpu", f"--nodes={nodes}", "--exclusive")
    return launcher.cluster.submit("sleep 2", *options, cwd=launcher.folder)


def grace(launcher: Launcher, seconds: int) -> None:
    """How long a job that is preempted may go on, until the cluster is tidied."""
    launcher.cluster.command("scontrol", "update", "partitionname=preempt", f"gracetime={seconds}")


@pytest.mark.parametrize("told", [True, False], ids=["told", "killed"])
def test_preemption(launcher: Launcher, undisturbed: dict[str, bytes], told: bool) -> None:
    launcher.cluster.preempt_signal(told)
    grace(launcher, 10)
    launcher.profile(partition="preempt")
    begin(launcher)
    hog(launcher)
    launcher.until_trained()
    assert launching.results_of(launcher.results) == undisturbed
    assert resumed(launcher) > 0


def test_requeueing_by_an_operator(launcher: Launcher, undisturbed: dict[str, bytes]) -> None:
    launcher.variables |= ONE
    begin(launcher)
    running = launcher.running()
    assert running
    launcher.cluster.command("scontrol", "requeue", *running)
    launcher.until_trained()
    assert launching.results_of(launcher.results) == of_one(undisturbed)
    assert resumed(launcher) > 0


def test_preemption_while_a_job_starts(launcher: Launcher, undisturbed: dict[str, bytes]) -> None:
    launcher.variables |= ONE  # another chain, begun already, could end within the grace
    slow = launcher.folder / "slow"
    slow.write_text('#!/bin/sh\nmkdir "$0.first" 2>/dev/null && sleep 600\nexec "$@"\n')
    slow.chmod(0o700)
    grace(launcher, 5)
    launcher.profile(partition="preempt", container=str(slow))
    code, output = launcher.run("run")
    assert code == 0, output
    launcher.until(lambda: bool(launcher.running()))
    hog(launcher)
    launcher.until_trained()
    assert launching.results_of(launcher.results) == of_one(undisturbed)
    assert restarted(launcher) > 0


def test_the_time_limit(launcher: Launcher, undisturbed: dict[str, bytes]) -> None:
    launcher.variables |= ONE
    # SLURM looks at the clock every 30 seconds: 20 steps take longer than that.
    slowly = ["export PATIENT_SECONDS=1.6"]
    launcher.profile(hours=1 / 60, signal_seconds=55, setup=slowly)
    begin(launcher)
    launcher.until_trained()
    assert launching.results_of(launcher.results) == of_one(undisturbed)
    assert restarted(launcher) > 0


def test_a_lost_node(launcher: Launcher, undisturbed: dict[str, bytes]) -> None:
    begin(launcher)
    jobs = [job for job in launcher.cluster.queue() if job["state"] == "RUNNING"]
    launcher.cluster.kill_node(jobs[0]["nodes"])
    launcher.until_trained()
    assert launching.results_of(launcher.results) == undisturbed
    assert restarted(launcher) > 0


def test_a_restarted_controller(launcher: Launcher, undisturbed: dict[str, bytes]) -> None:
    launcher.variables |= ONE
    begin(launcher)
    (job,) = launcher.running()
    launcher.cluster.save(job)
    launcher.cluster.kill_controller()
    assert launcher.is_at_work()
    launcher.cluster.start_controller()
    launcher.until_trained()
    assert launching.results_of(launcher.results) == of_one(undisturbed)


def test_scancel_and_another_launch(launcher: Launcher, undisturbed: dict[str, bytes]) -> None:
    launcher.variables |= ONE
    begin(launcher)
    launcher.cluster.command("scancel", *launcher.running())
    launcher.until_trained()
    counts = launcher.statuses()
    assert counts == {"missing": 2}
    code, output = launcher.run("run")
    assert code == 0, output
    launcher.until_trained()
    assert launching.results_of(launcher.results) == of_one(undisturbed)
    assert resumed(launcher) > 0


def test_a_launch_on_one_machine_beside_the_cluster_s_trains_no_stage_twice(
    launcher: Launcher, undisturbed: dict[str, bytes]
) -> None:
    launcher.variables |= ONE
    begin(launcher)
    code, output = launching.launch(
        "run", launcher.results, launcher.data, MATRIX=PATIENT, JOBS="1", **CHAIN | ONE
    )
    assert code == 0, output
    launcher.until_trained()
    assert launching.results_of(launcher.results) == of_one(undisturbed)
    for folder in launching.stage_folders(launcher.results):
        assert (folder / "log.txt").read_text().count("done: test top-1") == 1
