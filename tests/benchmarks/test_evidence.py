"""The runs that decide: what differs between their methods, and what they cost."""

import pytest

from benchmarks import ablation, cifar100, evidence, lengths, longer, mobilenet
from benchmarks.matrix import DEFAULT_SEEDS
from benchmarks.plan import plan
from qkd.imports import FACTORIES, READERS, resolve
from qkd.spec.history import teacher_before
from qkd.spec.value import validated
from tests.support.launching import launch

EVERY = (evidence, longer, cifar100, mobilenet)
SCALES = ["smoke", "laptop", "paper"]


def matrix_of(module, scale):
    """The matrix with the seeds that a launch without SEEDS= takes."""
    return module.matrix(scale, getattr(module, "DEFAULT_SEEDS", DEFAULT_SEEDS)[scale])


def cells(module, scale="laptop"):
    return list(matrix_of(module, scale).cells())


@pytest.mark.parametrize("module", EVERY)
@pytest.mark.parametrize("scale", SCALES)
def test_every_scale_is_a_valid_value_with_a_lab_label(module, scale):
    matrix = matrix_of(module, scale)
    assert validated(matrix) == matrix
    assert all((matrix.label.question, matrix.label.cost, matrix.label.deviations))
    for grid in matrix.grids:
        for network in (grid.pair.student, grid.pair.teacher):
            resolve(network.factory, FACTORIES)
        resolve(grid.pair.data.reader, READERS)
    assert plan(matrix.cells()).stages


def test_the_evidence_at_w2a2_is_the_whole_length_with_other_seeds():
    theirs = {
        cell.history.digest
        for cell in lengths.matrix("laptop", evidence.DEFAULT_SEEDS["laptop"]).cells()
        if cell.method.name in evidence.TRIO
    }
    ours = {
        cell.history.digest
        for cell in cells(evidence)
        if cell.method.name in evidence.TRIO and cell.bits == ablation.W2A2
    }
    assert len(ours) == 15
    assert ours <= theirs
    seen = {cell.seed for cell in lengths.matrix("laptop", lengths.DEFAULT_SEEDS["laptop"]).cells()}
    assert seen.isdisjoint(evidence.DEFAULT_SEEDS["laptop"])


def test_whose_teacher_tutors_is_all_that_differs():
    by_name = {
        cell.method.name: planned.stage
        for cell in cells(evidence)
        if cell.seed == 12 and cell.bits == ablation.W2A2
        for planned in [plan(cells(evidence)).stages[cell.history.digest]]
    }
    studied = teacher_before(by_name["qkd"])
    assert [part.phase.name for part in studied.parts] == ["self-study", "co-study"]
    start = by_name["qkd"].history.teacher.start
    teachers = {name: teacher_before(stage) for name, stage in by_name.items()}
    assert teachers == {
        "qkd": studied,
        "kd": start,
        "qat": None,
        "qkd-original": start,
        "kd-co-studied": studied,
    }
    assert by_name["kd-co-studied"].history.parts == by_name["kd"].history.parts
    assert by_name["qkd-original"].history.parts[:2] == studied.parts


def test_all_seeds_at_w2a2_and_three_at_w4a4():
    found = {}
    for cell in cells(evidence):
        found.setdefault((cell.bits.label, cell.method.name), []).append(cell.seed)
    w2a2 = {("W2A2", name): [10, 11, 12, 13, 14] for name in ("qkd", "kd", "qat")}
    more = {("W2A2", name): [10, 11, 12, 13, 14] for name in ("qkd-original", "kd-co-studied")}
    assert found == w2a2 | more | {("W4A4", n): [10, 11, 12] for n in ("qkd", "kd", "qat")}


@pytest.mark.parametrize(
    ("module", "rates"),
    [
        (evidence, {"qkd": 0.01, "kd": 0.01, "qat": 0.03}),
        (longer, {"qkd": 0.01, "kd": 0.01, "qat": 0.03}),
        (cifar100, {"qkd": 0.01, "kd": 0.01, "qat": 0.01, "qat-3x": 0.03}),
        (mobilenet, {"qkd": 0.01, "kd": 0.01, "qat": 0.01}),
    ],
)
def test_the_rates_are_those_that_the_label_says(module, rates):
    found = {cell.method.name: cell.history.recipe.learning_rate for cell in cells(module)}
    assert {name: found[name] for name in rates} == rates
    assert set(module.matrix("laptop", (0,)).places()) <= {0, 2}  # compared with each other


@pytest.mark.parametrize(
    ("module", "steps"), [(evidence, 1600), (longer, 6400), (cifar100, 6400), (mobilenet, 6400)]
)
def test_a_laptop_run_is_what_its_label_says(module, steps):
    assert {cell.history.steps for cell in cells(module)} == {steps}
    for scale in ("laptop", "paper"):
        macs = plan(cells(module, scale)).macs
        assert f"{macs:.2e}".replace("e+", "e") in module.LABELS[scale].cost


@pytest.mark.slow
def test_the_evidence_runs_on_synthetic_images(tmp_path, data):
    code, output = launch("run", tmp_path, data, MATRIX="evidence", SEEDS="0")
    assert code == 0, output
