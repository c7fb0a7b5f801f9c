"""Which runs were seen before the analysis was fixed."""

import re

import pytest
from msgspec.structs import replace

from benchmarks import (
    ablation,
    analysis,
    cifar,
    cifar100,
    evidence,
    lengths,
    longer,
    mobilenet,
    rivals,
    rivals_today,
    sensitivity,
    tuning,
)
from benchmarks.analysis import was_seen
from benchmarks.matrix import Matrix
from benchmarks.plan import plan
from qkd.data.standard import CIFAR100
from qkd.spec.value import decode
from tests.support.launching import ROOT

FOLDERS = ("laptop", "cifar10")  # what was committed by then
SINCE = {"rivals-today"}  # run after it, into one of them, but for cells that it repeats


def test_the_analysis_has_its_date_in_its_name_and_in_its_text():
    text = analysis.FILE.read_text()
    assert analysis.FILE.name == f"analysis-{analysis.DATE}.md"
    assert f"Written on {analysis.DATE}" in text
    for words in ("one-way layout", "Bartlett", "Holm", "within 0.5 points of zero"):
        assert re.sub(r"\s+", " ", words) in re.sub(r"\s+", " ", text)


def test_an_amendment_has_its_date_and_is_of_the_matrix_as_it_is():
    (file,) = analysis.AMENDMENTS
    assert f"Written on {file.stem.removeprefix('analysis-')}" in file.read_text()
    found = [cell.history for cell in cifar100.matrix("laptop", tuple(range(5))).cells()]
    quantized = {history.steps for history in found if history.student.quantization}
    assert quantized == {6_400}
    text = " ".join(file.read_text().split())
    macs = plan(cifar100.matrix("laptop", tuple(range(5))).cells()).macs
    assert "(pre-trained here for 30 epochs), 6,400 steps" in text
    assert f"At half the lengths it is half: {macs / 1e15:.2f}e15." in text
    images = CIFAR100.train_images - CIFAR100.held_out
    assert f"6,400 steps are {6_400 * 128 / images:.1f} passes" in text


def test_every_run_that_was_committed_by_then_was_seen():
    reference = ROOT / "results" / "reference"
    found = {}
    for folder in FOLDERS:
        for path in (reference / folder / "matrices").glob("*.json"):
            matrix = decode(path.read_bytes(), Matrix)
            seeds = {cell.seed for cell in matrix.cells() if cell.method.shares}
            if matrix.name not in SINCE:
                found[matrix.name, matrix.scale] = tuple(sorted(seeds))
    assert found == analysis.SEEN


SEEDS = tuple(range(6))
MATRICES = (
    *(ablation, cifar, cifar100, evidence, lengths, longer, mobilenet, rivals, rivals_today),
    *(sensitivity, tuning),
)


def numbered(history):
    """The history as code of one numerics has it: a change of these repeats a run, seed by seed."""
    sides = {}
    for name in ("student", "teacher"):
        side = getattr(history, name)
        if side is not None and side.start is not None:
            side = replace(side, start=numbered(side.start))
        sides[name] = side
    return replace(history, numerics=1, **sides)


def trained(matrix):
    """The matrix's cells that are trained, by their histories."""
    return {(numbered(c.history).digest, c.seed) for c in matrix.cells() if c.method.shares}


def test_every_matrix_that_repeats_what_was_seen_is_known():
    every = {one.name: one for one in (module.matrix("laptop", SEEDS) for module in MATRICES)}
    seen = set()
    for (name, _), seeds in analysis.SEEN.items():
        seen |= {one for one in trained(every[name]) if one[1] in seeds}
    found = {}
    for name, matrix in every.items():
        again = {seed for _, seed in trained(matrix) & seen}
        again -= set(analysis.SEEN.get((name, "laptop"), ()))
        if again:
            found[name, "laptop"] = tuple(sorted(again))
    assert found == analysis.REPEATED


@pytest.mark.parametrize(
    ("run", "seen"),
    [
        (("ablation", "laptop", (4, 10)), True),
        (("ablation", "laptop", (10, 11)), False),
        (("ablation", "paper", (0, 1)), False),
        (("evidence", "laptop", (10, 11, 12)), False),
        (("evidence", "laptop", (2, 10, 11)), True),
        (("rivals-today", "laptop", (0, 1, 2)), True),
        (("rivals-today", "laptop", (10, 11, 12)), False),
        (("evidence", "laptop", (10,), ("2026-11-29", "2026-12-01")), False),
        (("evidence", "laptop", (10,), ("2026-12-01", "2026-11-28")), True),
        (("cifar100", "laptop", (0,), ("2026-11-30",)), False),
        (("cifar100", "laptop", (0,), ("2026-11-29",)), True),
        (("cifar100", "paper", (0,), ("2026-11-29",)), False),
    ],
)
def test_what_was_seen_goes_by_seeds_and_by_days(run, seen):
    assert was_seen(*run) == seen
