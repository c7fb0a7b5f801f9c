"""PRECISION= and TEACHER_PRECISION=: another precision is another history, under another name."""

import json
from collections import Counter

import pytest
from msgspec.structs import replace

from benchmarks import ablation
from benchmarks.plan import plan, precisions
from benchmarks.precision import asked as read_name
from benchmarks.precision import with_precision
from slurm.planning.matrices import BUILT_IN, build
from slurm.planning.work import prepare
from tests.slurm.planning.test_matrices import settings
from tests.support.launching import launch

SMOKE = ablation.matrix("smoke", (0,))


def digests(matrix):
    return {cell.history.digest for cell in matrix.cells() if cell.method.shares}


def test_what_is_asked_for_and_holds_anyway_changes_nothing():
    assert with_precision(SMOKE) is SMOKE
    assert with_precision(SMOKE, "float32") is SMOKE
    assert with_precision(SMOKE, "float32", "float32") is SMOKE
    assert digests(build(settings(SCALE="smoke", SEEDS="0", PRECISION="float32"))) == digests(
        build(settings(SCALE="smoke", SEEDS="0"))
    )


@pytest.mark.parametrize(
    ("asked", "name", "words"),
    [
        (("bfloat16", None), "ablation-bfloat16", "trained in bfloat16"),
        (("tf32", None), "ablation-tf32", "trained in tf32"),
        ((None, "bfloat16"), "ablation-teacher-bfloat16", "a frozen teacher in bfloat16"),
        (
            ("tf32", "bfloat16"),
            "ablation-tf32-teacher-bfloat16",
            "trained in tf32 and a frozen teacher in bfloat16",
        ),
        (("bfloat16", "bfloat16"), "ablation-bfloat16", "trained in bfloat16"),
    ],
)
def test_it_is_part_of_every_id_and_of_the_name_and_the_label_says_it(asked, name, words):
    other = with_precision(SMOKE, *asked)
    assert other.name == name
    assert other.label.deviations[-1] == f"{words}, as asked for"
    assert digests(other).isdisjoint(digests(SMOKE))
    # A report can say how to run it again.
    base, variables = read_name(other.name)
    again = {key.lower(): value for key, value in variables.items()}
    assert with_precision(SMOKE, again.get("precision"), again.get("teacher_precision")) == other
    assert base == SMOKE.name
    assert read_name("rivals-today") == ("rivals-today", {})
    # What networks begin with is what it was.
    starts = [{key for key, one in plan(m.cells()).stages.items() if not one.parents}
              for m in (SMOKE, other)]  # fmt: skip
    assert starts[0] == starts[1]


@pytest.mark.parametrize(
    ("asked", "name", "title"),
    [
        (("tf32", None), "ablation-tf32", "(trained in tf32)"),
        (("bfloat16", None), "ablation-bfloat16", "(trained in bfloat16)"),
        ((None, "float32"), "ablation-teacher-float32", "(a frozen teacher in float32)"),
        ((None, "tf32"), "ablation-teacher-tf32", "(a frozen teacher in tf32)"),
    ],
)
def test_a_matrix_whose_teacher_has_a_precision_of_its_own_says_what_was_asked_for(
    asked, name, title
):
    grids = (
        replace(grid, recipe=replace(grid.recipe, frozen_teacher_precision="bfloat16"))
        for grid in SMOKE.grids
    )
    own = replace(SMOKE, grids=tuple(grids))
    other = with_precision(own, *asked)
    assert (other.name, other.label.title) == (name, f"{SMOKE.label.title} {title}")
    assert with_precision(own, None, "bfloat16") is own


@pytest.mark.parametrize("name", BUILT_IN)
def test_every_matrix_of_ours_takes_both(name, tmp_path):
    found = prepare(
        settings(
            MATRIX=name,
            SCALE="smoke",
            DATA=str(tmp_path),
            RESULTS=str(tmp_path),
            PRECISION="tf32",
            TEACHER_PRECISION="bfloat16",
        ),
        unread=True,
    )
    assert precisions(found.plan) >= {"tf32", "bfloat16"}
    assert found.matrix.name.endswith("-tf32-teacher-bfloat16")


@pytest.mark.slow
def test_a_launch_in_another_precision_has_records_and_a_matrix_of_its_own(tmp_path, data):
    results = tmp_path / "results"
    for precision in ("float32", "tf32"):
        code, output = launch(
            "run", results, data, SEEDS="0", ONLY="method=qat", PRECISION=precision, JOBS="1"
        )
        assert code == 0, output
        warned = "a CPU has no TF32: products are in float32"
        assert (warned in " ".join(output.split())) == (precision == "tf32")
    names = sorted(file.stem for file in (results / "matrices").iterdir())
    assert names == ["ablation-smoke", "ablation-tf32-smoke"]
    # Two records with ids of their own, and without tensor cores the same weights.
    ends = [
        json.loads(file.read_text()) for file in results.glob("stages/*self-study*/result.json")
    ]
    weights = Counter(end["weights_sha256"] for end in ends)
    assert sorted(weights.values()) == [2] * (len(ends) // 2)
    assert ends
