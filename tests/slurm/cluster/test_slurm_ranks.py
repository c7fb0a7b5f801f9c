"""One stage on two tasks of a real SLURM: gloo on the CPU, as on two GPUs."""

import json
import os
import signal
from pathlib import Path

import pytest

from tests.support import launching
from tests.support.local_slurm import processes
from tests.support.slurm_launching import PATIENT, Launcher

pytestmark = [pytest.mark.slurm, pytest.mark.slow]

CHAIN = {"ONLY": "method=chain", "SEEDS": "0"}


@pytest.fixture(scope="session")
def alone(tmp_path_factory: pytest.TempPathFactory, data: Path) -> Path:
    """The results of the chain, trained by one process."""
    results = tmp_path_factory.mktemp("alone")
    code, output = launching.launch("run", results, data, MATRIX=PATIENT, JOBS="1", **CHAIN)
    assert code == 0, output
    return results


@pytest.fixture
def launcher(slurm, tmp_path: Path, data: Path) -> Launcher:
    launcher = Launcher(slurm, tmp_path, data, gpus=2)
    launcher.variables |= CHAIN
    return launcher


def losses(results: Path) -> dict[str, list[float]]:
    """Each stage's losses along the way."""
    return {
        folder.name: [
            json.loads(line)["losses"]["student_patient"]
            for line in (folder / "metrics.jsonl").read_text().splitlines()
        ]
        for folder in launching.stage_folders(results)
    }


def ranks(results: Path) -> set[int]:
    """How many ranks the stages were trained by."""
    files = (folder / "env.json" for folder in launching.stage_folders(results))
    return {json.loads(file.read_text())["ranks"] for file in files}


def test_two_ranks_train_to_the_losses_of_one_process(launcher: Launcher, alone: Path) -> None:
    code, output = launcher.run("run")
    assert code == 0, output
    launcher.until_trained()
    assert launcher.statuses() == {"done": 2}
    assert (ranks(launcher.results), ranks(alone)) == ({2}, {1})
    ours, theirs = losses(launcher.results), losses(alone)
    assert ours.keys() == theirs.keys()
    for name in ours:
        assert ours[name] == pytest.approx(theirs[name], rel=1e-3), name


def test_a_requeued_stage_of_two_ranks_goes_on_at_its_step(launcher: Launcher, alone: Path) -> None:
    assert launcher.run("run")[0] == 0
    launcher.until(launcher.is_at_work)
    launcher.cluster.command("scontrol", "requeue", launcher.running()[0])
    launcher.until_trained()
    assert launcher.statuses() == {"done": 2}
    logs = (folder / "log.txt" for folder in launching.stage_folders(launcher.results))
    assert any("goes on at step" in log.read_text() for log in logs)


def test_where_a_rank_is_killed_all_begin_anew_together(launcher: Launcher) -> None:
    assert launcher.run("run")[0] == 0
    launcher.until(launcher.is_at_work)
    os.kill(worker_of_rank(launcher, 1), signal.SIGKILL)
    launcher.until_trained()
    assert launcher.statuses() == {"done": 2}


def worker_of_rank(launcher: Launcher, rank: int) -> int:
    """The process that trains: a child that multiprocessing started, of that rank."""
    for process in processes(launcher.cluster.folder):
        words = Path(f"/proc/{process}/environ").read_bytes().split(b"\0")
        command = Path(f"/proc/{process}/cmdline").read_bytes()
        if f"RANK={rank}".encode() in words and b"spawn_main" in command:
            return process
    raise AssertionError("no such worker")
