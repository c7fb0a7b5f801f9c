"""BASELINE=<commit>: another tree is checked out, run by its own code, and compared bit for bit."""

import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.settings import SettingsError, from_environment
from benchmarks.speed import trees
from benchmarks.speed.__main__ import main
from benchmarks.speed.before import Proving, _equal_bits, since
from benchmarks.speed.launching import Launching, memory_of, states, wall_by_training
from benchmarks.speed.trees import ROOT, Tree, both
from benchmarks.speed.trio import matrix

HERE = Tree(ROOT, "", frozenset({"MATRIX", "SCALE", "SEEDS", "ONLY", "JOBS", "RESULTS", "DATA"}))
ONE_CELL = {"MATRIX": "ablation", "SCALE": "smoke", "SEEDS": "0", "ONLY": "method=qat", "JOBS": "1"}
needs_git = pytest.mark.skipif(not (ROOT / ".git").exists(), reason="this is no checkout")


@needs_git
@pytest.mark.parametrize(
    ("commit", "says"),
    [("no-such-commit", "is no commit of the repository"), ("-h", "is no name of a commit")],
)
def test_a_bad_commit_is_one_line_before_anything_is_measured(commit, says, monkeypatch, capsys):
    monkeypatch.setenv("QKD_BASELINE", commit)
    assert main() == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.startswith(f"error: BASELINE={commit} {says}")
    assert told.err.count("\n") == 1


def test_without_git_there_is_one_line(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SettingsError, match="by git, which is not here"), both("HEAD"):
        pass


@needs_git
def test_another_trees_packages_are_imported_and_not_the_installed_ones():
    with both("HEAD") as (before, now):
        assert now.folder == ROOT
        assert len(before.commit) == 40
        assert not (before.folder / "results").exists()
        for tree in (before, now):
            code = "import qkd, slurm; print(qkd.__file__, slurm.__file__)"
            said = subprocess.run(
                [sys.executable, "-c", code],
                cwd=tree.folder,
                env=tree.environment({}),
                check=True,
                capture_output=True,
                text=True,
            ).stdout.split()
            assert all(Path(file).is_relative_to(tree.folder) for file in said)
    assert not before.folder.exists()


def test_a_folder_whose_packages_python_does_not_take_is_refused(tmp_path):
    with pytest.raises(SettingsError, match=f"Python takes {ROOT}"):
        trees._tree(tmp_path, "")


def test_a_tree_is_told_only_the_variables_that_it_knows(monkeypatch):
    monkeypatch.setenv("QKD_SEEDS", "7")
    tree = Tree(ROOT, "", frozenset({"SCALE"}))
    environment = tree.environment({"SCALE": "smoke", "PORTABLE": "0"})
    assert environment["PYTHONPATH"] == str(ROOT)
    assert {name for name in environment if name.startswith("QKD_")} == {"QKD_SCALE"}


def test_equal_bits_are_counted_over_the_stages_of_both():
    one, other = ("a" * 64, 5), ("b" * 64, 5)
    figure = _equal_bits("g", "n", {"1": one, "2": other}, {"1": one, "2": other})
    assert (figure.ratio, figure.met, figure.note) == (1.0, True, "all 2 stages equal")
    for now in ({"1": one, "2": one}, {"1": one}, {"1": one, "2": ("b" * 64, 6)}):
        figure = _equal_bits("g", "n", {"1": one, "2": other}, now)
        assert (figure.ratio, figure.met) == (0.5, False)
        assert figure.note == "1 of 2 stages equal"
    assert _equal_bits("g", "n", {"1": one}, {"2": one}).ratio == 0
    with pytest.raises(RuntimeError, match="no stage of n is done"):
        _equal_bits("g", "n", {}, {})


@pytest.mark.skipif(
    not Path("/proc/self/smaps_rollup").exists(), reason="the system tells no memory"
)
def test_memory_is_that_of_all_processes_of_a_session():
    held = "held = bytearray(b'1') * (64 * 2**20); print('held', flush=True); input()"
    child = "import subprocess, sys; subprocess.run([sys.executable, '-c', sys.argv[1]])"
    process = subprocess.Popen(
        [sys.executable, "-c", child, held],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    assert process.stdout.readline() == b"held\n"
    assert 64 * 2**20 < memory_of(process.pid) < 200 * 2**20  # the child's, not its own
    process.communicate(b"\n")
    assert memory_of(process.pid) == 0


def test_the_trio_is_three_methods_at_three_bit_widths_and_three_seeds():
    cells = list(matrix("smoke", (0, 1, 2)).cells())
    assert len(cells) == 27
    assert len({(cell.method.name, cell.bits, cell.seed) for cell in cells}) == 27


def test_every_work_has_a_group_of_its_own():
    pair = trees.Trees(HERE, HERE)
    assert len(since(pair)) == 4


@pytest.mark.slow
def test_a_launch_is_measured_and_repeats_its_bits(tmp_path):
    first, second = (Launching(HERE, ONE_CELL, tmp_path / name) for name in ("first", "second"))
    for launching in (first, second):
        launching()
    ends = states(first.results)
    assert ends == states(second.results)
    assert len(ends) > 1
    assert all(len(str(end[0])) == 64 for end in ends.values())
    assert wall_by_training(first.results) > 1
    if Path("/proc/self/smaps_rollup").exists():
        assert first.peaks[0] > 100 * 2**20  # torch alone
    first.again()
    assert states(first.results) == ends
    with pytest.raises(RuntimeError, match="MATRIX=nothing is unknown"):
        Launching(HERE, {"MATRIX": "nothing"}, tmp_path / "third")()


@pytest.mark.slow
def test_a_proof_in_a_process_of_its_own_finds_the_same_again():
    with Proving(HERE, 250) as proving:
        proving()
        found = proving.found
        proving()
        assert proving.found == found
        assert ", 1.0, " in found  # the integers agree with the reference
        proving._process.kill()
        with pytest.raises((RuntimeError, BrokenPipeError)):
            proving()


def test_baseline_is_a_variable():
    assert from_environment({"QKD_BASELINE": "v1"}).baseline == "v1"
