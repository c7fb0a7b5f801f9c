"""Launches on one machine, in processes of their own, on synthetic images (for tests only)."""

import csv
import os
import signal
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from tests.support.launching import (
    finish,
    launch,
    report_apart,
    results_of,
    stage_folders,
    start,
    wait_until,
)

FEW = {"SEEDS": "0", "ONLY": "method=qkd,qat,kd", "JOBS": "2"}


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, data: Path) -> Path:
    """The results of a few cells, trained in one go."""
    results = tmp_path_factory.mktemp("undisturbed")
    code, output = launch("run", results, data, **FEW)
    assert code == 0, output
    return results


@pytest.mark.slow
def test_whole_ablation_from_launch_to_report(tmp_path: Path, data: Path, ablation: Path) -> None:
    results, page = ablation, tmp_path / "report" / "index.html"
    printed = report_apart(results, page)
    assert printed.strip().splitlines()[-1].endswith("index.html")
    with (page.parent / "cells.csv").open() as file:
        cells = [row for row in csv.DictReader(file) if row["scale"] == "smoke"]
    assert len(cells) == 23
    assert {cell["status"] for cell in cells} == {"done"}
    assert Counter(cell["method"] for cell in cells) == {
        "fp": 1,
        **dict.fromkeys(
            [
                "qkd",
                "ss+cs",
                "ss+tu",
                "cs+tu",
                "cs",
                "kd",
                "qat",
                "qat-cost",
                "qkd-ce",
                "fp-tuned",
                "fp-kd",
            ],
            2,
        ),
    }
    assert all(0 < float(cell["top1"]) <= 100 for cell in cells)
    assert "<title>" in page.read_text()

    before = {path: path.stat().st_mtime_ns for path in results.rglob("*") if path.is_file()}
    code, output = launch("run", results, data, JOBS="2")
    assert code == 0
    assert "all 32 stages are done" in output
    after = {path: path.stat().st_mtime_ns for path in results.rglob("*") if path.is_file()}
    trained = {p for p in after if "stages" in p.parts and after[p] != before.get(p)}
    assert trained == set()


@pytest.mark.slow
def test_two_launches_at_once_train_each_stage_once(
    tmp_path: Path, data: Path, undisturbed: Path
) -> None:
    launches = [start("run", tmp_path, data, **FEW) for _ in range(2)]
    for process in launches:
        code, output = finish(process)
        assert code == 0, output
    assert results_of(tmp_path) == results_of(undisturbed)
    for folder in stage_folders(tmp_path):
        assert (folder / "log.txt").read_text().count("done: test top-1") == 1
        assert not (folder / "lock").exists()


@pytest.mark.slow
def test_launcher_killed_at_several_points_ends_in_the_same_numbers(
    tmp_path: Path, data: Path, undisturbed: Path
) -> None:
    for begun in (1, 2, 4, 6):
        process = start("run", tmp_path, data, **FEW)
        wait_until(lambda n=begun: len(list(tmp_path.glob("stages/*/env.json"))) >= n, process)
        process.send_signal(signal.SIGKILL)
        finish(process)
    code, output = launch("run", tmp_path, data, **FEW)
    assert code == 0, output
    assert results_of(tmp_path) == results_of(undisturbed)
    assert not list(tmp_path.rglob("*.part"))


@pytest.mark.slow
def test_ctrl_c_saves_and_the_same_command_goes_on(
    tmp_path: Path, data: Path, undisturbed: Path
) -> None:
    process = start("run", tmp_path, data, **FEW)
    wait_until(lambda: any(tmp_path.glob("stages/*/metrics.jsonl")), process)
    process.send_signal(signal.SIGINT)
    code, output = finish(process)
    assert code == 130, output
    assert "goes on from here" in output
    assert not list(tmp_path.glob("stages/*/lock"))
    code, output = launch("run", tmp_path, data, **FEW)
    assert code == 0, output
    assert results_of(tmp_path) == results_of(undisturbed)


@pytest.mark.slow
def test_weights_that_are_gone_are_trained_again_only_if_a_child_needs_them(
    tmp_path: Path, data: Path
) -> None:
    first, second = {**FEW, "ONLY": "method=qat"}, {**FEW, "ONLY": "method=kd"}
    assert launch("run", tmp_path, data, **first)[0] == 0
    expected = results_of(tmp_path)
    code, output = launch("clean-checkpoints", tmp_path, data, **first)
    assert code == 0, output
    # The start stays, and the stretch that QKD would go on from; the end of plain QAT goes.
    assert {path.parent.name[:-17] for path in tmp_path.glob("stages/*/checkpoint.pt")} == {
        "resnet8-width4-fp-pre-training60-s0",
        "resnet8-width4-w2a2-self-study3-s0",
    }
    for path in tmp_path.glob("stages/*/checkpoint.pt"):
        path.unlink()
    assert "all 3 stages are done" in launch("run", tmp_path, data, **first)[1]
    assert launch("run", tmp_path, data, **second)[0] == 0
    assert {path.parent.name[:-17] for path in tmp_path.glob("stages/*/checkpoint.pt")} == {
        "resnet8-width4-fp-pre-training60-s0",
        "resnet14-width4-fp-pre-training60-s0",
        "resnet8-width4-w2a2-tutoring20-s0",
    }
    found = results_of(tmp_path)
    assert {name: found[name] for name in expected} == expected


def test_plan_says_what_would_run_and_trains_nothing(tmp_path: Path, data: Path) -> None:
    code, output = launch("plan", tmp_path, data)
    assert code == 0
    assert "to do: 32" in output
    assert "sharing saves" in output
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("SCALE", "huge", "smoke, laptop, headline, paper"),
        ("SEEDS", "0,x", "list of numbers"),
        ("SEEDS", "1,1", "twice"),
        ("MATRIX", "ablatoin", "it may be ablation"),
        ("MATRIX", "nowhere.py", "no such file"),
        ("ONLY", "method=qdk", "'qkd'"),
        ("ONLY", "metod=qkd", "method=..."),
        ("JOBS", "-1", "JOBS=-1"),
        ("THREADS", "0", "THREADS=0"),
        ("SEED", "0", "unknown variable QKD_SEED"),
    ],
)
def test_a_wrong_variable_is_an_error_that_lists_the_valid_ones(
    tmp_path: Path, data: Path, name: str, value: str, says: str
) -> None:
    code, output = launch("plan", tmp_path, data, **{name: value})
    assert code == 2
    assert says in output
    assert "Traceback" not in output


@pytest.mark.skipif(sys.platform != "linux", reason="looks at /proc")
def test_workers_die_with_a_killed_launcher(tmp_path: Path, data: Path) -> None:
    process = start("run", tmp_path, data, **FEW)
    wait_until(lambda: any(tmp_path.glob("stages/*/lock")), process)
    workers = _children(process.pid)
    assert workers
    process.kill()
    process.wait()
    deadline = 200
    while any(Path(f"/proc/{pid}").exists() and not _is_zombie(pid) for pid in workers):
        deadline -= 1
        assert deadline > 0, "a worker outlived its launcher"
        time.sleep(0.05)
    process.communicate()


def _children(pid: int) -> list[int]:
    text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    return [int(word) for word in text.split()]


def _is_zombie(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="looks at /proc")
def test_a_killed_worker_is_replaced_and_its_stage_tried_again(
    tmp_path: Path, data: Path, undisturbed: Path
) -> None:
    process = start("run", tmp_path, data, **FEW)
    wait_until(lambda: any(tmp_path.glob("stages/*/metrics.jsonl")), process)
    for pid in _children(process.pid):
        if not _is_zombie(pid) and "spawn_main" in Path(f"/proc/{pid}/cmdline").read_text():
            os.kill(pid, signal.SIGKILL)
    code, output = finish(process)
    assert code == 0, output
    assert "lost" in output
    assert results_of(tmp_path) == results_of(undisturbed)
