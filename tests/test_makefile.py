"""The Makefile hands values over as they are, and refuses what it does not know."""

import os
import subprocess
from pathlib import Path

import pytest

from benchmarks.settings import VARIABLES
from tests.support.launching import ROOT

pytestmark = pytest.mark.skipif(
    not (ROOT / ".venv" / "ready").exists(), reason="make setup has not run in this checkout"
)


def make(*arguments: str) -> subprocess.CompletedProcess[str]:
    # Not what `make test` itself was given, nor the directory that it prints.
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("QKD_", "MAKE", "MFLAGS"))}
    return subprocess.run(
        ["make", "--old-file=.venv/ready", *arguments],
        cwd=ROOT,
        env=kept,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_make_alone_prints_help_that_names_every_target() -> None:
    done = make()
    assert done.returncode == 0
    lines = (ROOT / "Makefile").read_text().splitlines()
    phony = " ".join(lines[lines.index(next(x for x in lines if x.startswith(".PHONY"))) :][:2])
    for target in phony.replace(".PHONY:", "").replace("\\", "").split():
        assert target == "help" or target in done.stdout, target


def test_every_variable_is_handed_over_and_explained() -> None:
    handed = subprocess.run(
        ["make", "--print-data-base", "--question", "help"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    ).stdout
    told = make().stdout.partition("Variables:")[2]
    for name in VARIABLES:
        assert f"\nQKD_{name} := " in handed, name
        assert f"{name}=" in told, name


@pytest.mark.parametrize("given", ["SEED=0", "seeds=0", "METHOD=qkd"])
def test_an_unknown_variable_is_an_error_that_lists_the_valid_ones(given: str) -> None:
    done = make("status", given)
    assert done.returncode != 0
    assert f"unknown variable {given.partition('=')[0]}" in done.stderr
    assert "MATRIX SCALE DATA RESULTS REPORT SEEDS ONLY PRECISION" in done.stderr


@pytest.mark.parametrize(
    ("target", "own"),
    [
        ("ablation", "'qkd-ce'"),
        ("rivals", "'qkd-lsq'"),
        ("reproduce-cifar", "'kd-lsq'"),
        ("reproduce-imagenet", "'kd-lsq'"),
    ],
)
def test_a_matrix_with_a_target_is_run_by_it_and_no_other_is(
    tmp_path: Path, target: str, own: str
) -> None:
    name = target.removeprefix("reproduce-")
    for given in ([], [f"MATRIX={name}"]):
        done = make(target, *given, "SCALE=smoke", f"RESULTS={tmp_path}", "ONLY=method=nobody")
        assert done.returncode != 0
        assert own in done.stderr  # among the methods that it may be
    for other in {"ablation", "rivals", "cifar", "mine.py"} - {name}:
        done = make(target, f"MATRIX={other}")
        assert done.returncode != 0
        assert f"make {target} runs one matrix, {name}: for another" in done.stderr


def test_imagenets_headline_is_reproduced_unless_a_scale_is_given(tmp_path: Path) -> None:
    def bits(*given: str) -> str:
        return make("reproduce-imagenet", f"RESULTS={tmp_path}", "ONLY=bits=w9a9", *given).stderr

    assert "it may be ['fp', 'w3a3', 'w4a4', 'w6a6']" in bits()
    every = "it may be ['fp', 'w2a2', 'w3a3', 'w4a4', 'w5a5', 'w6a6', 'w8a8']"
    assert every in bits("SCALE=paper")
    assert "it may be ['fp', 'w4a4']" in bits("SCALE=smoke")
    assert "ImageNet has no laptop scale" in bits("SCALE=laptop")


@pytest.mark.parametrize(
    "hostile",
    ["$(shell touch {0})", "`touch {0}`", "; touch {0} #", "$$(touch {0})", "' ; touch {0} ; '"],
)
def test_values_pass_through_no_shell_and_are_not_expanded(tmp_path: Path, hostile: str) -> None:
    proof = tmp_path / "proof"
    value = hostile.format(proof)
    done = make("status", "SCALE=smoke", f"RESULTS={tmp_path / 'none'}", f"ONLY={value}")
    assert done.returncode != 0
    assert value.split()[0] in done.stderr
    assert not proof.exists()


def test_a_folder_with_spaces_and_dollars_is_taken_as_it_is(tmp_path: Path) -> None:
    page = tmp_path / "a $HOME b" / "index.html"
    results = tmp_path / "$HOME c d"
    (results / "stages").mkdir(parents=True)
    done = make("report", f"RESULTS={results}", f"REPORT={page}")
    assert done.returncode == 0, done.stderr
    assert page.exists()


@pytest.mark.parametrize(
    ("given", "says"),
    [("", "make export STAGE=...: a stage's digest"), ("$(shell touch {0})", "is no stage of")],
)
def test_export_wants_a_stage_that_is_there(tmp_path: Path, given: str, says: str) -> None:
    proof = tmp_path / "proof"
    done = make("export", f"STAGE={given.format(proof)}", f"RESULTS={tmp_path / 'none'}")
    assert done.returncode != 0
    assert says in done.stderr
    assert not proof.exists()


def test_clean_leaves_records_alone() -> None:
    recipes = (ROOT / "Makefile").read_text()
    clean = recipes[recipes.index("\nclean:") : recipes.index("\nclean-environment:")]
    assert "results" not in clean
    assert "checkpoint" not in clean
