"""Stages and jobs that fail on SLURM: said with the reason, tried again only when asked."""

from pathlib import Path

import pytest

from tests.support import launching
from tests.support.slurm_launching import Launcher

pytestmark = [pytest.mark.slurm, pytest.mark.slow]


@pytest.fixture
def launcher(slurm, tmp_path: Path, data: Path) -> Launcher:
    launcher = Launcher(slurm, tmp_path, data)
    launcher.variables |= {"ONLY": "method=deadly", "SEEDS": "0"}
    return launcher


def sent(launcher: Launcher) -> str:
    """What a launch prints, once no stage is in the queue."""
    code, output = launcher.run("run")
    assert code in (0, 1), output
    launcher.until_trained()
    return output


def test_a_stage_that_ends_its_process_fails_and_blocks_what_goes_on_from_it(
    launcher: Launcher,
) -> None:
    sent(launcher)
    assert launcher.statuses() == {"failed": 1, "blocked": 1}
    _, output = launcher.run("status")
    assert "its worker ended with exit code 3" in output
    assert "by net4-w4a4-deadly-020-s0" in output
    assert "not done: net4-w4a4-deadly-020-s0" in output  # the job's own stderr
    assert "nothing to send" in sent(launcher)
    code, output = launcher.run("retry")
    assert (code, "1 failures cleared" in output) == (0, True), output
    assert launcher.statuses() == {"missing": 2}


def test_a_job_that_ends_before_it_begins_is_a_failure_with_its_last_words(
    launcher: Launcher,
) -> None:
    launcher.profile(setup=["echo there is no such module >&2", "exit 7"])
    sent(launcher)
    # The accounting may say so only some seconds later.
    launcher.until(lambda: launcher.statuses() == {"failed": 1, "blocked": 1}, seconds=30.0)
    _, output = launcher.run("status")
    assert "ended as FAILED" in output
    assert "there is no such module" in output
    launcher.run("retry")
    assert launcher.statuses() == {"missing": 2}


def test_without_accounting_a_job_that_vanished_is_no_failure_and_is_sent_again(
    launcher: Launcher,
) -> None:
    silent = launcher.folder / "sacct"
    silent.write_text("#!/bin/sh\necho no database >&2\nexit 1\n")
    silent.chmod(0o700)
    launcher.profile(setup=["exit 7"])
    sent(launcher)
    path = f"{launcher.folder}:{launcher.cluster.environment['PATH']}"
    process = launching.start(
        "status",
        launcher.results,
        launcher.data,
        {**launcher.cluster.environment, "PATH": path},
        **launcher.variables,
    )
    code, output = launching.finish(process)
    assert code == 0, output
    assert "left the queue without a result" in output
    assert "failed" not in output


def test_another_user_s_job_that_is_not_seen_is_neither_a_failure_nor_sent_again(
    launcher: Launcher,
) -> None:
    launcher.profile(sbatch={"hold": True})
    code, output = launcher.run("run")
    assert code == 0, output
    for file in launcher.results.glob("stages/*/job.json"):
        file.write_text(file.read_text().replace(launcher.cluster.user, "somebody-else"))
    launcher.cluster.command("scancel", f"--user={launcher.cluster.user}")
    launcher.until_trained()
    assert launcher.statuses() == {"unseen": 2}
    assert "nothing to send" in sent(launcher)
    code, output = launcher.run("retry")
    assert (code, "forgot the job of net4" in output) == (0, True), output
    assert launcher.statuses() == {"missing": 2}


def test_a_pack_goes_on_with_what_does_not_go_on_from_a_failed_stage(launcher: Launcher) -> None:
    launcher.variables["ONLY"] = "method=deadly,chain"
    code, output = launcher.run("run", PACK="2")
    assert code == 0, output
    assert output.count("sent ") == 2  # the two methods, a job of two stages each
    launcher.until_trained()
    assert launcher.statuses() == {"done": 2, "failed": 1, "blocked": 1}


def test_a_job_whose_node_is_lost_again_gives_up(launcher: Launcher) -> None:
    launcher.profile(setup=["export SLURM_RESTART_COUNT=2"])
    sent(launcher)
    _, output = launcher.run("status")
    assert "a node or a rank was lost 2 times" in output
    assert launcher.statuses() == {"failed": 1, "blocked": 1}
