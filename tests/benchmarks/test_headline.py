"""ImageNet's headline: the questions of the paper's Figure 1, in a quarter of the length."""

from itertools import pairwise

import pytest
from msgspec.structs import replace

from benchmarks import imagenet
from benchmarks.gpus import RESNET50, RTX_3090, assumed_speed, speed_of
from benchmarks.imagenet_networks import MACS, WEIGHTS
from benchmarks.imagenet_networks import imagenet as network_of
from benchmarks.matrix import select
from benchmarks.plan import plan
from slurm.planning.hours import PRECISIONS, Estimate, by_cell, in_order, with_and_without_sharing
from slurm.planning.work import prepare
from tests.slurm.planning.test_matrices import settings

SEEDS = imagenet.DEFAULT_SEEDS["headline"]
HEADLINE = imagenet.matrix("headline", SEEDS)
CELLS = list(HEADLINE.cells())
IMAGES = 256 * imagenet.HEADLINE_STEPS


@pytest.fixture
def work(tmp_path, capsys):
    found = prepare(
        settings(MATRIX="imagenet", DATA=str(tmp_path), RESULTS=str(tmp_path)), unread=True
    )
    capsys.readouterr()
    return found


def test_its_cells_are_what_the_papers_claims_are_about():
    found = {}
    for cell in CELLS:
        if cell.bits is not None and cell.seed == 0:
            key = cell.pair.student.name, cell.bits.label
            found.setdefault(key, set()).add(cell.method.name)
    assert found == {
        ("mobilenet_v2", "W3A3"): {"qkd", "kd"},
        ("mobilenet_v2", "W4A4"): {"qkd", "kd", "qat"},
        ("mobilenet_v2", "W6A6"): {"qkd"},
        ("resnet18", "W4A4"): {"qkd", "kd", "qat"},
        ("resnet18", "W3A3"): {"qkd"},
    }
    assert {cell.seed for cell in CELLS if cell.bits} == {0, 1, 2}
    assert [cell.pair.student.name for cell in CELLS if not cell.bits] == [
        "resnet18",
        "mobilenet_v2",
    ]


def test_it_is_thirty_epochs_in_tf32_from_published_weights():
    cell = select(CELLS, "method=qkd student=mobilenet_v2 bits=w3a3 seed=0")[0]
    epochs = [part.steps / imagenet.EPOCH for part in cell.history.parts]
    assert epochs == pytest.approx([4.5, 15, 10.5], abs=0.01)
    assert cell.history.recipe.precision == "tf32"
    assert cell.pair.student_start.student.weights == WEIGHTS["mobilenet_v2"]
    assert "shortened: 30 epochs" in HEADLINE.label.deviations[0]


def test_in_float32_it_differs_from_the_papers_scale_in_length_alone():
    ours = next(
        cell
        for cell in imagenet.matrix("headline", SEEDS, precision="float32").cells()
        if cell.method.name == "qkd" and cell.pair.student.name == "resnet18" and cell.bits
    )
    theirs = next(
        cell
        for cell in imagenet.matrix("paper", SEEDS).cells()
        if cell.history.student == ours.history.student and cell.method == ours.method
    )
    longer = replace(ours.history.recipe, horizon=120 * imagenet.EPOCH)
    assert longer == theirs.history.recipe
    assert ours.history.teacher == theirs.history.teacher


def test_every_contrast_of_it_has_both_methods_at_some_bits():
    assert [(one.first, one.second) for one in HEADLINE.contrasts] == [
        ("qkd", "qat"),
        ("qkd", "kd"),
        ("kd", "qat"),
    ]


def test_the_hours_of_a_cell_by_hand(work):
    """QKD trains 30 epochs of the student and 15 of the teacher, and asks it 10.5 more."""
    hours = {
        (cell.pair.student.name, cell.bits.label, cell.method.name): (seeds, hours.of)
        for cell, seeds, hours in by_cell(work, Estimate(CELLS))
        if cell.bits
    }
    assert len(hours) == 10
    seeds, found = hours["mobilenet_v2", "W3A3", "qkd"]
    assert seeds == 3
    for precision, value in zip(PRECISIONS, found, strict=True):
        teacher = RESNET50[precision].images
        student = teacher * RTX_3090["mobilenet_v2"] / RTX_3090["resnet50"]
        seconds = IMAGES * (1 / student + (0.5 + 0.35 / 3) / teacher)
        assert value == pytest.approx(seconds / 3600)
    kd = hours["mobilenet_v2", "W3A3", "kd"][1][1]
    assert f"one seed: {found[1] + kd:.0f} in TF32" in HEADLINE.label.cost


def test_the_cost_on_the_label_is_that_of_the_plan(work):
    shared, alone = with_and_without_sharing(work, Estimate(CELLS))
    assert all(less <= more for less, more in zip(shared.of, alone.of, strict=True))
    float32, tf32, bfloat16 = (round(one) for one in shared.of)
    cost = HEADLINE.label.cost
    assert cost.startswith(f"{tf32} hours on one A100 in TF32 with three seeds, {float32} in ")
    assert f"{bfloat16} in bfloat16" in cost


def test_the_first_question_is_the_papers_largest_effect_with_one_seed(work):
    steps = in_order(work, Estimate(CELLS))
    assert [step.only for step in steps] == list(HEADLINE.order)
    assert steps[0].only == "student=mobilenet_v2 bits=w3a3 seed=0"
    assert {c.method.name for c in select(CELLS, steps[0].only)} == {"qkd", "kd"}
    first = plan(CELLS, select(CELLS, steps[0].only))
    assert steps[0].so_far == Estimate(CELLS).sum(first.stages.values())
    whole = Estimate(CELLS).sum(work.plan.stages.values())
    assert steps[-1].so_far.of == pytest.approx(whole.of)
    for before, step in pairwise(steps):
        assert step.so_far.of == pytest.approx((before.so_far + step.adds).of)


def test_a_frozen_teacher_in_bfloat16_costs_its_passes_alone_less():
    def hours(teacher):
        matrix = imagenet.matrix("headline", (0,))
        grids = tuple(
            replace(g, recipe=replace(g.recipe, frozen_teacher_precision=teacher))
            for g in matrix.grids
        )
        cells = select(
            list(replace(matrix, grids=grids).cells()), "student=resnet18 bits=w4a4 method=kd"
        )
        return Estimate(cells).sum(plan(cells).stages.values()).of[0]

    resnet34 = RTX_3090["resnet34"] / RTX_3090["resnet50"]
    slow, fast = (RESNET50[one].images * resnet34 for one in ("float32", "bfloat16"))
    saved = IMAGES / 3 * (1 / slow - 1 / fast) / 3600
    assert hours(None) - hours("bfloat16") == pytest.approx(saved)


def test_a_speed_says_where_it_is_from_and_none_is_known_of_other_networks():
    resnet50 = network_of("resnet50").network
    assert speed_of(resnet50, 224, "tf32").images == 938
    assert speed_of(resnet50, 224, "tf32").mark == "second-hand"
    assert speed_of(resnet50, 224, "float32").mark == "derived"
    assert speed_of(resnet50, 64, "tf32") is None
    small = network_of("resnet18").network
    assert "timm" in speed_of(small, 224, "bfloat16").source
    other = replace(small, factory="qkd.models.resnet_cifar:resnet")
    assert speed_of(other, 224, "tf32") is None
    # 9.75e12 multiply-accumulates a second, three tenths of them, three passes of 4.09e9.
    assert assumed_speed(MACS["resnet50"]).images == pytest.approx(238.4, abs=0.1)
    assert assumed_speed(MACS["resnet50"]).mark == "assumed"
