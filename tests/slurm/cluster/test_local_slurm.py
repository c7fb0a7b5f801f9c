"""The SLURM that other tests rest on does what a cluster does."""

import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from tests.support import cluster, local_slurm

pytestmark = pytest.mark.slurm

# Begins, waits to be killed, and ends at once when it is started again.
TWICE = 'echo "$SLURMD_NODENAME" >>began; [ -n "$SLURM_RESTART_COUNT" ] || sleep 600'
# A step that writes down which signals it gets, and does not obey them.
DEAF = """\
[ -z "$SLURM_RESTART_COUNT" ] || exit 0
srun sh -c 'for name in TERM USR2; do trap "echo $name >>signals" $name; done; touch began
            while true; do sleep 0.1; done'
"""


def until(condition, seconds=cluster.SECONDS):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def accounted(slurm, job, states):
    """A job's runs, once they are known by these states."""
    until(lambda: [run["State"] for run in slurm.accounting(job)] == states)
    return slurm.accounting(job)


def test_a_job_runs_with_its_gpu_and_is_accounted(slurm, tmp_path):
    script = 'echo "$CUDA_VISIBLE_DEVICES" >gpus; exit 3'
    job = slurm.submit(script, "--gres=gpu:2", "--job-name=a|b $c", cwd=tmp_path)
    slurm.wait(job, "FAILED")
    (run,) = accounted(slurm, job, ["FAILED"])
    assert run["ExitCode"] == "3:0"
    assert run["NodeList"] in slurm.nodes
    assert (tmp_path / "gpus").read_text() == "0,1\n"


def test_the_queue_tells_each_element_and_why_it_waits(slurm):
    first = slurm.submit("sleep 600", "--job-name=a|b $c")
    second = slurm.submit("true", "--array=1,3", f"--dependency=afterok:{first}")
    slurm.wait(first, "RUNNING")
    until(lambda: {row["reason"] for row in slurm.queue()} == {"None", "Dependency"})
    rows = {row["id"]: row for row in slurm.queue()}
    assert set(rows) == {first, f"{second}_1", f"{second}_3"}
    assert rows[first]["name"] == "a|b $c"
    assert rows[first]["nodes"] in slurm.nodes
    assert rows[f"{second}_3"]["dependency"] == f"afterok:{first}(unfulfilled)"


@pytest.mark.slow
def test_a_killed_node_s_job_ends_on_another(slurm, tmp_path):
    job = slurm.submit(TWICE, cwd=tmp_path)
    until((tmp_path / "began").exists)
    (lost,) = (row["nodes"] for row in slurm.queue())
    slurm.kill_node(lost)
    assert not list(local_slurm.processes(slurm.folder, lost))
    slurm.wait(job, "COMPLETED")
    runs = accounted(slurm, job, ["NODE_FAIL", "COMPLETED"])
    (other,) = set(slurm.nodes) - {lost}
    assert [run["NodeList"] for run in runs] == [lost, other]
    assert (tmp_path / "began").read_text() == f"{lost}\n{other}\n"


@pytest.mark.slow
@pytest.mark.parametrize("end", ["stop_controller", "kill_controller"])
def test_a_job_outlives_its_controller(slurm, tmp_path, end):
    job = slurm.submit("touch began; until [ -e go ]; do sleep 0.1; done", cwd=tmp_path)
    until((tmp_path / "began").exists)
    slurm.save(job)
    getattr(slurm, end)()
    assert not slurm.succeeds("scontrol", "ping")
    slurm.start_controller()
    assert slurm.states(job) == {job: "RUNNING"}
    (tmp_path / "go").touch()
    slurm.wait(job, "COMPLETED")
    accounted(slurm, job, ["COMPLETED"])


@pytest.mark.slow
@pytest.mark.parametrize(("on", "first"), [(True, "USR2"), (False, "TERM")])
def test_a_preempted_job_is_warned_and_requeued(slurm, tmp_path, on, first):
    slurm.preempt_signal(on)
    slurm.command("scontrol", "update", "partitionname=preempt", "gracetime=2")
    place = ("--nodelist=node1", "--cpus-per-task=4")
    job = slurm.submit(DEAF, "--partition=preempt", "--signal=USR2@60", *place, cwd=tmp_path)
    until((tmp_path / "began").exists)
    other = slurm.submit("true", *place)
    slurm.wait(other, "COMPLETED")
    slurm.wait(job, "COMPLETED")
    assert (tmp_path / "signals").read_text().split()[0] == first
    accounted(slurm, job, ["PREEMPTED", "COMPLETED"])


def test_what_depends_on_a_failed_element_is_cancelled_and_no_more(slurm):
    parent = slurm.submit('[ "$SLURM_ARRAY_TASK_ID" != 3 ]', "--array=1,3,7%2")
    tie = (f"--dependency=aftercorr:{parent}", "--kill-on-invalid-dep=yes")
    child = slurm.submit("true", "--array=1,3,7", *tie)
    slurm.wait(child, {"COMPLETED", "CANCELLED"})
    assert slurm.states(child) == {
        f"{child}_1": "COMPLETED",
        f"{child}_3": "CANCELLED",
        f"{child}_7": "COMPLETED",
    }


def test_an_array_over_its_largest_size_is_refused(slurm):
    with pytest.raises(RuntimeError, match="Invalid job array specification"):
        slurm.submit("true", "--array=0-16")
    slurm.submit("sleep 600", "--array=0-15")
    assert len(slurm.queue()) == 16


def test_a_node_and_a_controller_that_are_down_are_brought_back(slurm):
    job = slurm.submit("trap '' TERM; sleep 600")
    slurm.wait(job, "RUNNING")
    for node in slurm.nodes:
        slurm.kill_node(node)
    slurm.kill_controller()
    slurm.tidy()
    assert slurm.queue() == []
    assert slurm.is_idle()


def test_nothing_outlives_the_process_that_started_a_cluster(slurm, tmp_path):
    script = "echo $LOCAL_SLURM_FOLDER >folder; sbatch --wrap 'touch began; sleep 600'; sleep 600"
    with subprocess.Popen(
        [sys.executable, local_slurm.__file__, "sh", "-c", script], cwd=tmp_path
    ) as process:
        until((tmp_path / "began").exists)
        process.send_signal(signal.SIGKILL)
    folder = Path((tmp_path / "folder").read_text().strip())
    until(lambda: not list(local_slurm.processes(folder)))
    until(lambda: not folder.exists())
    assert slurm.is_idle()  # another cluster at the same time: its own ports, its own processes


def test_missing_packages_skip_and_where_they_must_be_fail(monkeypatch, tmp_path):
    monkeypatch.delenv("CI_NEEDS_SLURM", raising=False)
    monkeypatch.setattr(local_slurm, "PATH", str(tmp_path))
    says = "apt-get install mariadb-server munge slurm-client slurmctld slurmd slurmdbd$"
    with pytest.raises(pytest.skip.Exception, match=says):
        cluster.require_packages()
    monkeypatch.setenv("CI_NEEDS_SLURM", "1")
    with pytest.raises(pytest.fail.Exception, match=says):
        cluster.require_packages()
    (tmp_path / "munged").touch(mode=0o755)
    with pytest.raises(pytest.fail.Exception, match="mariadb-server slurm-client"):
        cluster.require_packages()


def test_a_daemon_that_does_not_come_up_says_why_and_leaves_nothing(monkeypatch, tmp_path):
    too_long = tmp_path / ("x" * 100)  # for a socket's path
    too_long.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(too_long))
    with pytest.raises(RuntimeError, match=r"(?s)munged ended:.*socket"):
        cluster.Cluster()
    assert list(too_long.iterdir()) == []
