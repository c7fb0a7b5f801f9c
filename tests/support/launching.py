"""Launches as a user's commands begin them, set up by the environment: in this process, or in one
of their own where it is killed, hears signals, or must import nothing of ours."""

import csv
import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from types import MappingProxyType

import pytest

from slurm.launch import main
from tests.support.as_before import like_a_process

ROOT = Path(__file__).resolve().parents[2]
TIMEOUT = 240.0


def environment(results: Path, data: Path, **variables: str) -> dict[str, str]:
    """The environment of a command: ours without QKD_ variables, plus those given."""
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("QKD_")}
    own = {"QKD_SCALE": "smoke", "QKD_RESULTS": str(results), "QKD_DATA": str(data)}
    own["QKD_JOBS"] = "1"  # every further worker imports torch too
    given = {f"QKD_{name}": value for name, value in variables.items()}
    return {**inherited, **own, "COLUMNS": "200", **given}


def start(
    command: str,
    results: Path,
    data: Path,
    more: Mapping[str, str] = MappingProxyType({}),
    **variables: str,
) -> subprocess.Popen[str]:
    """A command of the launcher, begun. ``more``: environment variables as they are."""
    return subprocess.Popen(
        [sys.executable, "-m", "slurm.launch", command],
        cwd=ROOT,
        env={**environment(results, data, **variables), **more},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        preexec_fn=_hear_ctrl_c,  # noqa: PLW1509 (no threads here)
    )


def _hear_ctrl_c() -> None:
    """A shell starts background jobs deaf to it, and so would be what our tests start there."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def finish(process: subprocess.Popen[str]) -> tuple[int, str]:
    """A command's exit code and what it printed."""
    output, _ = process.communicate(timeout=TIMEOUT)
    return process.returncode, output


def launch_apart(command: str, results: Path, data: Path, **variables: str) -> tuple[int, str]:
    """A command of the launcher in a process of its own, from start to end."""
    return finish(start(command, results, data, **variables))


def launch(
    command: str,
    results: Path,
    data: Path,
    more: Mapping[str, str] = MappingProxyType({}),
    **variables: str,
) -> tuple[int, str]:
    """A command of the launcher in this process, from start to end; workers are processes.
    ``more``: environment variables as they are.
    """
    printed, known = io.StringIO(), {**environment(results, data, **variables), **more}
    with (
        like_a_process(known, ROOT, "slurm.launch", command),
        redirect_stdout(printed),
        redirect_stderr(printed),
    ):
        code = main([command])
    return code, printed.getvalue()


def report_apart(results: Path, page: Path) -> str:
    """Builds the report, with the committed runs, in its own process; returns what it printed."""
    return subprocess.run(
        [sys.executable, "-m", "report"],
        cwd=ROOT,
        env={**environment(results, results), "QKD_REPORT": str(page)},
        capture_output=True,
        text=True,
        check=True,
        timeout=TIMEOUT,
    ).stdout


def report(results: Path, page: Path) -> str:
    """Builds the report of these results alone, without the committed ones; returns what it says
    cannot be read."""
    from report.build import build  # pandas and matplotlib, which other processes need not import

    return "\n".join(build(results, page, reference=results / "none").problems)


def reported(page: Path, matrix: str) -> list[dict[str, str]]:
    """The lines of a matrix that was launched, in the cells.csv beside a report's page."""
    with page.with_name("cells.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    return [row for row in rows if (row["matrix"], row["scale"]) == (matrix, "smoke")]


def unimportable(folder: Path, *names: str) -> Path:
    """Fills a folder that, first on the path, makes the libraries of these names unimportable."""
    folder.mkdir()
    for name in names:
        (folder / f"{name}.py").write_text(f"raise ImportError('no {name} here')\n")
    return folder


def wait_until(condition: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    """Waits for progress on disk; fails where the process ends or time runs out before."""
    deadline = time.monotonic() + TIMEOUT
    while not condition():
        if process.poll() is not None:
            pytest.fail(f"the launch ended early: {process.communicate()[0]}")
        if time.monotonic() > deadline:
            process.kill()
            pytest.fail("no progress")
        time.sleep(0.02)


def results_of(folder: Path) -> dict[str, bytes]:
    """Each done stage's final numbers; seconds, memory and the file of weights aside."""
    aside = (
        "seconds",
        "wall_seconds",
        "compile_seconds",
        "images_per_second",
        "peak_memory_mib",
        "logits_read",
        "checkpoint_",
    )
    found = {}
    for file in folder.glob("stages/*/result.json"):
        result = json.loads(file.read_text())
        result.get("integer", {}).pop("seconds", None)
        content = {name: value for name, value in result.items() if not name.startswith(aside)}
        found[file.parent.name] = json.dumps(content, sort_keys=True).encode()
    return found


def stage_folders(folder: Path) -> Iterator[Path]:
    """The records of a results folder."""
    return folder.glob("stages/*")
