import math

import msgspec
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from msgspec import ValidationError
from msgspec.structs import replace

from benchmarks import ablation
from benchmarks.matrix import (
    DEFAULT_SEEDS,
    Grid,
    Label,
    Matrix,
    Skip,
    cell_values,
    history_of,
    select,
    steps_of,
)
from benchmarks.pairs import cifar_resnet
from qkd.imports import FACTORIES, resolve
from qkd.phases import CO_STUDY, SELF_STUDY, TUTORING
from qkd.spec import Bits, Recipe
from qkd.spec.value import canonical, validated
from tests.support import small

LAPTOP = list(ablation.matrix("laptop", (0, 1)).cells())
METHODS = ablation.matrix("laptop", (0,)).grids[0].methods


def cell_of(cells, method):
    return next(cell for cell in cells if cell.method.name == method)


@pytest.mark.parametrize("scale", ["smoke", "laptop", "paper"])
def test_the_ablation_is_a_valid_value_with_a_lab_label(scale):
    seeds = DEFAULT_SEEDS[scale]
    matrix = ablation.matrix(scale, seeds)
    assert validated(matrix) == matrix
    assert matrix.label.question
    assert matrix.label.cost
    cells = list(matrix.cells())
    assert len(cells) == 11 * len(seeds) + 1  # the pre-trained network has no seeds
    assert len({(c.method.name, c.seed) for c in cells}) == len(cells)


def test_every_method_of_the_ablation_but_qat_at_cost_has_the_same_student_steps():
    steps = {c.method.name: c.history.steps for c in LAPTOP}
    assert steps.pop("fp") == 30 * 460
    # QKD trains the student 200 epochs, the teacher 100, and asks a frozen one in 70:
    # (3 * 200 * s + 3 * 100 * t + 1 * 70 * t) / (3 s) epochs, rounded up to ten.
    pair = LAPTOP[0].pair
    epochs = 200 + (100 + 70 / 3) * pair.teacher_macs / pair.student_macs
    assert steps.pop("qat-cost") == 10 * math.ceil(epochs / 10) * 400 / 200
    assert set(steps.values()) == {400}


def test_a_cell_runs_from_the_pre_trained_student_along_its_phases():
    cell = cell_of(LAPTOP, "qkd")
    history = cell.history
    assert [(p.phase, p.steps) for p in history.parts] == [
        (SELF_STUDY, 60),  # 30 of 200 epochs, of 400 steps
        (CO_STUDY, 200),
        (TUTORING, 140),
    ]
    assert history.recipe.horizon == 400
    assert history.student.start == cell.pair.student_start
    assert history.teacher.start == cell.pair.teacher_start
    assert history.student.quantization.bits == Bits(weight=2, activation=2)
    assert history.teacher.quantization is None
    assert (cell.weight_bits, cell.activation_bits) == (2, 2)


def test_the_cosine_of_a_method_is_as_long_as_the_method():
    for cell in LAPTOP:
        assert cell.history.recipe.horizon == cell.history.steps


def test_full_precision_cells_are_not_quantized():
    for name in ("fp", "fp-tuned", "fp-kd"):
        cell = cell_of(LAPTOP, name)
        assert cell.history.student.quantization is None
        assert (cell.bits, cell.weight_bits, cell.activation_bits) == (None, 32, 32)


def test_repetitions_differ_in_nothing_but_their_seed():
    for method in {cell.method.name for cell in LAPTOP} - {"fp"}:
        first, second = (cell.history for cell in LAPTOP if cell.method.name == method)
        assert first != second
        assert replace(second, seed=first.seed) == first


def test_epochs_become_steps_or_an_error():
    recipe = Recipe(horizon=500, log_every=1)
    assert steps_of(30, recipe) == 75  # 30 * 500 / 200
    with pytest.raises(ValueError, match=r"30 of 200 epochs are no whole number.*multiple of 20"):
        steps_of(30, replace(recipe, horizon=490))  # 73.5


@given(st.integers(1, 500), st.sampled_from(METHODS))
def test_any_horizon_that_is_a_multiple_of_20_suits_every_method(twenties, method):
    grid = ablation.matrix("laptop", (0,)).grids[0]
    recipe = replace(grid.recipe, horizon=20 * twenties)
    if method.shares:
        history = history_of(replace(grid, recipe=recipe), grid.bits[0], method, 0)
        assert history.steps * 200 == method.epochs * recipe.horizon


def test_a_skipped_cell_stays_with_its_reason():
    grid = replace(
        ablation.matrix("smoke", (0,)).grids[0],
        bits=(Bits(weight=2, activation=2), Bits(weight=4, activation=4)),
        skips=(
            Skip(method="qkd", bits="W4A4", reason="too dear"),
            Skip(method="kd", reason="known"),
        ),
    )
    label = Label(title="t", question="q", cost="c")
    cells = Matrix(name="m", scale="smoke", label=label, grids=(grid,)).cells()
    reasons = {(c.method.name, c.weight_bits): c.skipped for c in cells if c.skipped}
    assert reasons == {("qkd", 4): "too dear", ("kd", 2): "known", ("kd", 4): "known"}


def test_a_grid_refuses_equal_names_and_skips_of_nobody():
    grid = ablation.matrix("smoke", (0,)).grids[0]
    with pytest.raises(ValueError, match="same name"):
        replace(grid, methods=(grid.methods[0], grid.methods[0]))
    with pytest.raises(ValueError, match=r"unknown methods \['nobody'\]"):
        replace(grid, skips=(Skip(method="nobody", reason="r"),))
    with pytest.raises(ValidationError):
        validated(Grid(pair=small.PAIR, bits=(), methods=(), seeds=("x",), recipe=small.RECIPE))


def picked(only):
    return {(c.method.name, c.seed) for c in select(LAPTOP, only)}


def test_only_picks_the_cells_for_which_every_word_holds():
    assert picked("method=qkd") == {("qkd", 0), ("qkd", 1)}
    assert picked("method=qkd,kd seed=1") == {("qkd", 1), ("kd", 1)}
    assert picked("bits=W2A2 method=cs seed=0") == {("cs", 0)}
    assert picked("bits=fp seed=1") == {("fp-tuned", 1), ("fp-kd", 1)}
    assert len(select(LAPTOP, "")) == len(LAPTOP)


def test_only_finds_names_with_capitals():
    renamed = [
        c._replace(pair=replace(c.pair, student=replace(c.pair.student, name="ResNet8")))
        for c in LAPTOP
    ]
    assert len(select(renamed, "student=ResNet8")) == len(LAPTOP)


@pytest.mark.parametrize(
    ("only", "message"),
    [
        ("method", r"'method' is not one of dataset=\.\.\., .*seed=\.\.\."),
        ("network=x", "'network=x' is not one of"),
        ("method=qdk", r"method=qdk; it may be \['cs', .*'ss\+tu'\]"),
        ("seed=7", r"no cell has seed=7; it may be \['0', '1'\]"),
        ("bits=w4a4", r"it may be \['fp', 'w2a2'\]"),
        ("seed=0,", r"no cell has seed=; it may be"),
        ("bits=fp method=qkd", "picks no cell"),
        ("method=qkd method=kd", "picks no cell"),
    ],
)
def test_only_says_what_it_may_be(only, message):
    with pytest.raises(ValueError, match=message):
        select(LAPTOP, only)


def test_the_values_of_a_cell_are_those_of_the_tables():
    assert cell_values(cell_of(LAPTOP, "qkd")) == {
        "dataset": "fashion-mnist",
        "student": "resnet8-width8",
        "teacher": "resnet20-width8",
        "bits": "w2a2",
        "method": "qkd",
        "seed": "0",
    }


@pytest.mark.parametrize(
    ("depth", "width", "channels", "classes", "size"),
    [(8, 4, 1, 10, 16), (14, 6, 3, 7, 28), (20, 16, 3, 10, 32), (8, 4, 1, 10, 27)],
)
def test_multiply_accumulates_are_those_that_hooks_count(depth, width, channels, classes, size):
    priced = cifar_resnet(depth, width, channels, classes, size)
    network = resolve(priced.network.factory, FACTORIES)(**priced.network.arguments)
    counted = []

    def count(layer, _inputs, output):
        counted.append(output.numel() * layer.weight[0].numel())

    for module in network.modules():
        if isinstance(module, (torch.nn.Conv2d, torch.nn.Linear)):
            module.register_forward_hook(count)
    network(torch.zeros(1, channels, size, size))
    assert priced.macs == sum(counted)


def test_a_grid_names_each_bits_once():
    grid = ablation.matrix("smoke", (0,)).grids[0]
    with pytest.raises(ValueError, match="the same bits twice"):
        msgspec.structs.replace(grid, bits=(*grid.bits, *grid.bits))


def test_what_a_grid_keeps_in_float_is_part_of_its_quantized_cells_alone():
    (grid,) = ablation.matrix("smoke", (0,)).grids
    kept = replace(grid, in_float=("layer1.0.conv1",))
    before, after = (
        {cell.method.name: cell.history for cell in one.cells(1)} for one in (grid, kept)
    )
    for name, history in after.items():
        quantization = history.student.quantization
        assert (history.digest == before[name].digest) == (quantization is None), name
        if quantization is not None:
            assert quantization.in_float == ("layer1.0.conv1",)
    assert "in_float" not in canonical(before["qkd"])["student"]["quantization"]
    other = replace(kept, methods=(replace(grid.methods[-1], name="another"),))
    assert not grid.comparable(other)
    assert grid.comparable(replace(other, in_float=()))
