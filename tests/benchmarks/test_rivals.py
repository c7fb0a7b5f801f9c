"""The rivals' matrix: which cells, which recipes, which contrasts, and what it shares."""

import msgspec
import pytest

from baselines.methods import QUANTIZERS
from benchmarks import ablation, rivals
from benchmarks.plan import plan
from benchmarks.settings import from_environment
from qkd.spec import INTERVAL
from qkd.spec.value import validated
from slurm.planning.matrices import build

ALL = ["lsq", "lsq-plus", "pact", "dorefa", "qil", "tqt"]


@pytest.mark.parametrize("scale", ["smoke", "laptop", "paper"])
def test_every_quantizer_is_trained_plainly_and_under_qkd(scale):
    matrix = rivals.matrix(scale, (0, 1))
    assert validated(matrix) == matrix
    assert list(QUANTIZERS) == list(rivals.TITLES) == ALL
    cells = list(matrix.cells())
    names = [cell.method.name for cell in cells if cell.seed == 0]
    assert sorted(names) == sorted(
        ["qat", "qkd", "sqakd", *(f"{t}-{q}" for t in ("qat", "qkd") for q in ALL)]
    )
    assert len(cells) == 2 * len(names)
    assert {cell.bits.label for cell in cells} == {"W2A2"}
    assert len({cell.history.steps for cell in cells}) == 1
    quantizers = {c.method.name: c.history.student.quantization.quantizer for c in cells}
    assert quantizers["qkd"] == quantizers["sqakd"] == INTERVAL
    assert quantizers["qkd-lsq"] == quantizers["qat-lsq"] == "baselines.lsq:LSQ"


@pytest.mark.parametrize("scale", ["smoke", "laptop", "paper"])
def test_our_quantizers_stages_are_those_of_the_ablation(scale):
    of_rivals = plan(rivals.matrix(scale, (0, 1)).cells()).stages
    of_ablation = plan(ablation.matrix(scale, (0, 1)).cells()).stages
    ours = {
        key
        for key, planned in of_rivals.items()
        for quantization in [planned.stage.history.student.quantization]
        if quantization is None
        or (
            quantization.quantizer == INTERVAL
            and planned.stage.history.parts[0].phase.name != "self-distillation"
        )
    }
    # The pre-trainings; for each of two seeds SS, the rest of QAT, CS and TU.
    assert len(ours) == 2 + 2 * 4
    assert all(of_rivals[key].stage == of_ablation[key].stage for key in ours)


def test_only_the_learning_rates_of_what_the_rivals_learn_differ():
    matrix = rivals.matrix("laptop", (0,))
    base = ablation.matrix("laptop", (0,)).grids[0].recipe
    rates = {}
    for cell in matrix.cells():
        recipe = cell.history.recipe
        rates[cell.method.name] = recipe.weight_interval_learning_rate
        assert recipe.learning_rate == recipe.activation_interval_learning_rate == 0.01
        assert msgspec.structs.replace(recipe, weight_interval_learning_rate=1e-4) == base
    fast = {name for name, rate in rates.items() if rate == 0.01}
    assert fast == {f"{t}-{q}" for t in ("qat", "qkd") for q in ("lsq", "lsq-plus", "tqt")}
    assert {rate for name, rate in rates.items() if name not in fast} == {1e-4}


def test_what_is_fixed_is_whether_qkd_helps_each_rivals_quantizer():
    fixed = [one for one in rivals.contrasts() if one.fixed]
    assert [(one.first, one.second) for one in fixed] == [(f"qkd-{q}", f"qat-{q}") for q in ALL]
    assert {one.predicted for one in rivals.contrasts()} == {0}
    matrix = rivals.matrix("laptop", (0,))
    assert matrix.places() == (0, 0)
    names = {method.name for grid in matrix.grids for method in grid.methods}
    assert matrix.contrasts_among(names) == rivals.contrasts()
    explored = {(one.first, one.second) for one in rivals.contrasts() if not one.fixed}
    assert {(t, f"{t}-{q}") for t in ("qat", "qkd") for q in ALL} < explored


def test_it_has_three_seeds_on_a_laptop(tmp_path):
    def seeds(**variables):
        given = {"QKD_MATRIX": "rivals", "QKD_DATA": str(tmp_path)} | variables
        return {grid.seeds for grid in build(from_environment(given)).grids}

    assert seeds() == {(0, 1, 2)}
    assert seeds(QKD_SCALE="smoke") == {(0, 1)}
    assert seeds(QKD_SEEDS="0,1,2,3,4") == {(0, 1, 2, 3, 4)}


def test_the_laptop_run_costs_less_than_the_ablations():
    def training(matrix):
        stages = plan(matrix.cells()).stages.values()
        return sum(planned.macs for planned in stages if planned.parents)

    cost = training(rivals.matrix("laptop", (0, 1, 2)))
    assert cost < 0.75 * training(ablation.matrix("laptop", (0, 1, 2, 3, 4)))
