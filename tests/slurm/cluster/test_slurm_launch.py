"""A matrix on a real SLURM: what is sent, what comes of it, and what is sent again."""

import csv
import re
from collections import Counter
from pathlib import Path

import pytest

from tests.support import launching
from tests.support.slurm_launching import Launcher

pytestmark = pytest.mark.slurm

HELD = {"sbatch": {"hold": True}}
WORD = "never-to-be-written-7c1f"


@pytest.fixture
def launcher(slurm, tmp_path: Path, data: Path) -> Launcher:
    return Launcher(slurm, tmp_path, data)


def numbers(results: Path) -> list[dict[str, str]]:
    with (results / "cells.csv").open() as file:
        return list(csv.DictReader(file))


@pytest.mark.slow
def test_the_whole_ablation_gives_the_cells_of_one_machine_byte_for_byte(
    launcher: Launcher, ablation: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("A_TOKEN_OF_THE_USER", WORD)
    launcher.variables["MATRIX"] = "ablation"
    code, output = launcher.run("run", PACK="6")
    assert code == 0, output
    assert "32 missing" in output
    launcher.until_empty()
    assert launcher.statuses() == {"done": 32}
    pages = {}
    for results in (launcher.results, ablation):
        launching.report_apart(results, results / "page" / "index.html")
        pages[results] = (results / "page" / "cells.csv").read_bytes()
    assert pages[launcher.results] == pages[ablation]
    assert launching.results_of(launcher.results) == launching.results_of(ablation)
    last = launcher.folder / "report" / "cells.csv"  # what the last job wrote
    assert last.read_bytes() == pages[ablation]
    files = [file for file in launcher.folder.rglob("*") if file.is_file()]
    assert not [file for file in files if WORD.encode() in file.read_bytes()]


@pytest.mark.slow
def test_two_launches_at_once_send_each_stage_once_and_a_later_one_sends_nothing(
    launcher: Launcher,
) -> None:
    launcher.profile(**HELD)
    both = [launcher.start("run", SEEDS="0,1,2", ONLY="method=chain") for _ in range(2)]
    for process in both:
        code, output = launching.finish(process)
        assert code == 0, output
    sent = [job for job in launcher.cluster.queue() if "report" not in job["name"]]
    assert len(sent) == 6
    code, output = launcher.run("run", SEEDS="0,1,2", ONLY="method=chain")
    assert (code, "nothing to send" in output) == (0, True), output
    assert launcher.statuses(SEEDS="0,1,2", ONLY="method=chain") == {"held": 6}
    code, output = launcher.run("run", SEEDS="0,1,2,3", ONLY="method=chain")
    assert code == 0, output
    assert len([j for j in launcher.cluster.queue() if "report" not in j["name"]]) == 8


@pytest.mark.slow
def test_cancel_takes_this_matrix_s_jobs_and_no_others(launcher: Launcher) -> None:
    launcher.profile(**HELD)
    code, output = launcher.run("run", ONLY="method=chain")
    assert code == 0, output
    other = launcher.cluster.submit("true", "--hold", cwd=launcher.folder)
    code, output = launcher.run("run", MATRIX="ablation", ONLY="method=qat")
    assert code == 0, output
    code, output = launcher.run("cancel", SEEDS="0", ONLY="method=chain")
    assert (code, "2 jobs cancelled" in output) == (0, True), output
    assert launcher.statuses(ONLY="method=chain") == {"missing": 2, "held": 2}
    code, output = launcher.run("cancel", ONLY="method=chain")
    assert (code, "3 jobs cancelled" in output) == (0, True), output
    assert launcher.statuses(ONLY="method=chain") == {"missing": 4}
    left = Counter(job["name"].partition("-")[0] for job in launcher.cluster.queue())
    assert left.pop("ablation") > 0
    assert [job["id"] for job in launcher.cluster.queue() if job["id"] == other] == [other]
    assert "patient" not in left


def test_an_array_longer_than_the_cluster_takes_is_sent_in_pieces(launcher: Launcher) -> None:
    launcher.profile(**HELD)
    seeds = ",".join(str(seed) for seed in range(20))
    code, output = launcher.run("run", SEEDS=seeds, ONLY="method=chain")
    assert code == 0, output
    assert launcher.statuses(SEEDS=seeds, ONLY="method=chain") == {"held": 40}
    sent = re.findall(r"^sent (\d+): (\S+), jobs: (\d+)$", output, re.MULTILINE)
    assert [(label, int(count)) for _, label, count in sent] == [
        ("chain-0", 16),
        ("chain-0", 4),
        ("chain-1", 16),
        ("chain-1", 4),
    ]
    tied = {j["id"]: j["dependency"] for j in launcher.cluster.queue()}
    (first, *_), (rest, *_), (after, *_), (after_rest, *_) = sent
    assert tied[f"{after}_7"].startswith(f"aftercorr:{first}_")
    assert tied[f"{after_rest}_3"].startswith(f"aftercorr:{rest}_")


@pytest.mark.slow
def test_the_login_node_needs_no_torch(launcher: Launcher, tmp_path: Path) -> None:
    (tmp_path / "torch.py").write_text("raise ImportError('there is no torch here')\n")
    launcher.profile(**HELD)
    for command in ("run", "status", "plan", "cancel"):
        process = launching.start(
            command,
            launcher.results,
            launcher.data,
            {**launcher.cluster.environment, "PYTHONPATH": str(tmp_path)},
            **{**launcher.variables, "MATRIX": "ablation"},
        )
        code, output = launching.finish(process)
        assert code == 0, output


@pytest.mark.slow
def test_what_a_shell_says_of_slurm_s_commands_changes_neither_jobs_nor_answers(
    launcher: Launcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Filters of squeue, defaults of sbatch, and the variables of a job that we run in."""
    for name, value in {
        "SQUEUE_STATES": "RUNNING",
        "SACCT_FORMAT": "User",
        "SCANCEL_INTERACTIVE": "1",
        "SBATCH_JOB_NAME": "mine",
        "SBATCH_ARRAY_INX": "0-5",
        "SLURM_MEM_PER_NODE": "100",
        "SLURM_ARRAY_JOB_ID": "7",
        "SLURM_ARRAY_TASK_ID": "7",
        "SLURM_JOB_ID": "7",
        "RANK": "1",
    }.items():
        monkeypatch.setenv(name, value)
    launcher.profile(**HELD)
    chosen = {"SEEDS": "0", "ONLY": "method=chain"}
    code, output = launcher.run("run", **chosen)
    assert code == 0, output
    assert launcher.statuses(**chosen) == {"held": 2}
    for job in {job["id"].partition("_")[0] for job in launcher.cluster.queue()}:
        launcher.cluster.command("scontrol", "release", job)
    launcher.until_trained()
    assert launcher.statuses(**chosen) == {"done": 2}


@pytest.mark.slow
def test_the_report_s_job_waits_for_jobs_of_earlier_launches_too(launcher: Launcher) -> None:
    launcher.profile(**HELD)
    for seeds in ("0", "0,1"):
        code, output = launcher.run("run", SEEDS=seeds, ONLY="method=chain")
        assert code == 0, output
    reports = [job for job in launcher.cluster.queue() if "report" in job["name"]]
    stages = [job for job in launcher.cluster.queue() if "report" not in job["name"]]
    last = max(reports, key=lambda job: int(job["id"]))
    assert all(f"afterany:{job['id']}" in last["dependency"] for job in stages)


def test_a_dry_run_prints_the_arrays_and_sends_nothing(launcher: Launcher) -> None:
    code, output = launcher.run("run", MATRIX="ablation", DRYRUN="1")
    assert code == 0, output
    assert "#SBATCH --array=0-1%2" in output
    assert "#SBATCH --dependency=aftercorr:" in output
    assert "NVIDIA A100 80GB: 0 s, without sharing 0 s (assumed" in output
    assert "ablation-smoke-report-TOKEN" in output
    assert launcher.cluster.queue() == []
    assert not (launcher.results / "jobs").exists()


@pytest.mark.slow
def test_where_slurm_does_not_answer_nothing_is_sent_and_nothing_is_said(
    launcher: Launcher,
) -> None:
    launcher.profile(**HELD)
    code, output = launcher.run("run", ONLY="method=chain")
    assert code == 0, output
    launcher.cluster.stop_controller()
    at_once = [launcher.start(command, ONLY="method=chain") for command in ("run", "status")]
    for process in at_once:
        code, output = launching.finish(process)
        assert code == 2, output
        assert "nothing is known of any job" in output
        assert "Traceback" not in output
