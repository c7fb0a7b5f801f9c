"""Two lengths of training: two settings of one matrix, from ready weights, at the chosen rates."""

import pytest
from msgspec.structs import replace

from benchmarks import ablation, cifar, lengths
from benchmarks.contrasts import PHASES
from benchmarks.matrix import DEFAULT_SEEDS
from benchmarks.plan import plan
from qkd.imports import FACTORIES, READERS, resolve
from qkd.spec import Recipe
from qkd.spec.value import validated
from qkd.weights.files import sha256_of
from tests.qkd.training.test_ready import READY
from tests.support.launching import launch, report, reported

SCALES = ["smoke", "laptop", "paper"]
METHODS = ["qkd", "ss+cs", "ss+tu", "cs+tu", "kd", "qat", "qat-cost", "qkd-ce"]


@pytest.mark.parametrize("scale", SCALES)
def test_every_scale_is_a_valid_value_with_a_lab_label(scale):
    matrix = lengths.matrix(scale, lengths.DEFAULT_SEEDS[scale])
    assert validated(matrix) == matrix
    assert all((matrix.label.question, matrix.label.cost, matrix.label.deviations))
    assert set(lengths.DEFAULT_SEEDS) == set(DEFAULT_SEEDS)
    for grid in matrix.grids:
        for network in (grid.pair.student, grid.pair.teacher):
            resolve(network.factory, FACTORIES)
        resolve(grid.pair.data.reader, READERS)
        assert {bits.label for bits in grid.bits} == {"W2A2"}


@pytest.mark.parametrize(("scale", "whole"), [("smoke", 80), ("laptop", 1600), ("paper", 76_400)])
def test_every_method_has_both_lengths_in_whole_steps(scale, whole):
    cells = list(lengths.matrix(scale, (0,)).cells())
    for length in (whole, whole // 4):
        of_length = [c for c in cells if c.history.steps * 200 == c.method.epochs * length]
        assert sorted(cell.method.name for cell in of_length) == sorted(METHODS)
        for cell in of_length:
            assert cell.history.recipe.horizon == cell.history.steps
        (qkd,) = (cell.history for cell in of_length if cell.method.name == "qkd")
        assert [part.steps * 20 for part in qkd.parts] == [3 * length, 10 * length, 7 * length]
        # A line of metrics at the end of each phase, and as many at both lengths.
        assert qkd.recipe.log_every * 20 == length
    assert len(cells) == 2 * len(METHODS)


def test_the_two_lengths_are_compared_within_themselves_alone():
    matrix = lengths.matrix("laptop", (0, 1, 2))
    assert matrix.places() == (0, 0, 2, 2)  # plain QAT's grid has a rate of its own
    assert matrix.contrasts is None  # those of the phases
    (whole, _, quarter, _) = matrix.grids
    assert not whole.comparable(replace(quarter, methods=()))
    fixed = [one for one in matrix.contrasts_among(set(METHODS)) if one.fixed]
    assert fixed == [one for one in PHASES if one.fixed]


def test_methods_that_learn_at_other_rates_are_still_compared(monkeypatch):
    monkeypatch.setattr(lengths, "TUNED", {"qkd": 0.3, "kd": 1.0, "qat": 3.0})
    matrix = lengths.matrix("laptop", (0,))
    assert matrix.places() == (0, 0, 0, 3, 3, 3)
    rates = {}
    for cell in matrix.cells():
        recipe = cell.history.recipe
        rates.setdefault(cell.method.name, set()).add(recipe.learning_rate)
        assert recipe.activation_interval_learning_rate == recipe.learning_rate
        assert recipe.weight_interval_learning_rate == pytest.approx(recipe.learning_rate / 100)
    of_qkd = {name: {0.003} for name in ("qkd", "ss+cs", "ss+tu", "cs+tu", "qkd-ce")}
    assert rates == {**of_qkd, "kd": {0.01}, "qat": {0.03}, "qat-cost": {0.03}}


def test_at_equal_rates_each_length_is_one_grid_of_the_ablations_methods(monkeypatch):
    monkeypatch.setattr(lengths, "TUNED", dict.fromkeys(lengths.TUNED, 1.0))
    matrix = lengths.matrix("laptop", (0,))
    usual = [m for m in ablation.methods(matrix.grids[0].pair) if m.name in METHODS]
    assert [grid.methods for grid in matrix.grids] == [tuple(usual)] * 2


@pytest.mark.parametrize(
    ("factor", "rates"), [(0.3, (0.003, 3e-5)), (1.0, (0.01, 1e-4)), (3.0, (0.03, 3e-4))]
)
def test_a_factor_multiplies_all_learning_rates_and_nothing_else(factor, rates):
    recipe = Recipe(horizon=400, log_every=20)
    changed = lengths.at_factor(recipe, factor)
    weights, intervals = rates
    assert changed == replace(
        recipe,
        learning_rate=weights,
        weight_interval_learning_rate=intervals,
        activation_interval_learning_rate=weights,
    )


def test_both_networks_begin_with_ready_weights_that_are_held_fast():
    for scale in ("laptop", "paper"):
        (pair,) = {id(grid.pair): grid.pair for grid in lengths.matrix(scale, (0,)).grids}.values()
        assert (pair.label, pair.data.name) == ("resnet20 <- resnet56", "cifar10")
        for start in (pair.student_start, pair.teacher_start):
            assert start.student.weights == lengths.READY["cifar10"][start.student.network.name]
            assert not start.parts
    # Synthetic images have no ready weights: the pair is the CIFAR matrix's.
    small = lengths.matrix("smoke", (0,)).grids[0].pair
    assert small == cifar.matrix("smoke", (0,)).grids[0].pair


@pytest.mark.skipif(not READY.is_dir(), reason="no ready checkpoints on this machine")
def test_the_ready_weights_are_the_files_that_are_passed_around():
    for weights in lengths.READY["cifar10"].values():
        assert sha256_of(weights, READY) == weights.sha256


def test_a_laptop_run_is_what_its_label_says():
    planned = plan(lengths.matrix("laptop", lengths.DEFAULT_SEEDS["laptop"]).cells())
    assert f"{planned.macs:.2e}".replace("e+", "e") in lengths.LABELS["laptop"].cost
    # The rest of the ten hours: 72 quantized stages with an integer proof of a minute and a half.
    assert planned.macs / 2.8e10 / 2 / 3600 == pytest.approx(8.4, abs=0.1)
    assert len(planned.stages) == 2 + 72


@pytest.mark.slow
def test_both_lengths_run_and_are_told_apart_on_synthetic_images(tmp_path, data):
    results, page = tmp_path / "results", tmp_path / "index.html"
    only = {"MATRIX": "lengths", "SEEDS": "0", "ONLY": "method=qat,kd"}
    code, output = launch("run", results, data, **only)
    assert code == 0, output
    report(results, page)
    rows = reported(page, "lengths")
    done = sorted((row["method"], row["steps"]) for row in rows if row["status"] == "done")
    assert done == [(method, steps) for method in ("kd", "qat") for steps in ("20", "80")]
    text = page.read_text()
    for length in ("horizon 80", "horizon 20"):
        assert f"resnet8-width4 &lt;- resnet14-width4 on synthetic, W2A2; {length}</" in text
