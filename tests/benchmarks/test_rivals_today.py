"""The matrix of today's rivals: which cells, what it shares, and what it asks."""

import pytest

from baselines import today
from benchmarks import ablation, rivals, rivals_today
from benchmarks.plan import plan
from qkd.imports import HOOKS, LOSSES, QUANTIZERS, resolve
from qkd.spec import INTERVAL
from qkd.spec.value import validated

SCALES = ["smoke", "laptop", "paper"]
DISTILLED = ["apprentice", "kd-self", "qkd-self", "dkd", "dist", "qfd", "qfd-self"]
OSCILLATIONS = ["qat-dampened", "qat-frozen"]


@pytest.mark.parametrize("scale", SCALES)
def test_every_quantizer_under_qat_and_qkd_and_every_way_to_distil(scale):
    matrix = rivals_today.matrix(scale, (0, 1))
    assert validated(matrix) == matrix
    cells = list(matrix.cells())
    names = [cell.method.name for cell in cells if cell.seed == 0]
    quantized = [f"{t}-{q}" for q in today.QUANTIZERS for t in ("qat", "qkd")]
    assert sorted(names) == sorted(["qat", "qkd", *OSCILLATIONS, *quantized, *DISTILLED])
    assert len({cell.history.steps for cell in cells}) == 1
    for cell in cells:
        assert resolve(cell.history.student.quantization.quantizer, QUANTIZERS)
        for part in cell.history.parts:
            assert all(resolve(term.loss, LOSSES) for term in part.phase.student)
            assert all(resolve(one.hook, HOOKS) for one in part.phase.after_step)
    assert list(today.TITLES) == list(today.QUANTIZERS)


@pytest.mark.parametrize("scale", SCALES)
def test_the_ablations_stages_are_shared_and_apprentice_is_its_kd(scale):
    ours = plan(rivals_today.matrix(scale, (0, 1)).cells())
    base = {
        (cell.method.name, cell.seed): cell.history.digest
        for cell in ablation.matrix(scale, (0, 1)).cells()
    }
    ends = {(cell.method.name, cell.seed): end for cell, end in ours.cell_stages}
    for name, own in (("qat", "qat"), ("qkd", "qkd"), ("kd", "apprentice")):
        for seed in (0, 1):
            assert ends[own, seed] == base[name, seed]
    others = {cell.history.digest for cell in rivals.matrix(scale, (0, 1)).cells()}
    shared = {name for (name, _), end in ends.items() if end in others}
    assert shared == {"qat", "qkd"}


def test_the_students_own_float_self_teaches_and_labels_are_kept():
    cells = {c.method.name: c for c in rivals_today.matrix("laptop", (0,)).cells()}
    for name in ("kd-self", "qkd-self"):
        history, pair = cells[name].history, cells[name].pair
        assert history.teacher.network == pair.student
        assert history.teacher.start == pair.student_start
        assert history.teacher.quantization is None
        targets = [{t.target for t in part.phase.student} for part in history.parts]
        assert targets[-1] == {"labels", "peer"}
        assert history.student.quantization.quantizer == INTERVAL
        other = cells["apprentice" if name == "kd-self" else "qkd"].history
        assert [p.phase for p in history.parts] == [p.phase for p in other.parts]
    own, pairs = (cells[name].history for name in ("qfd-self", "qfd"))
    assert own.teacher == cells["kd-self"].history.teacher
    assert pairs.teacher == cells["apprentice"].history.teacher
    assert own.parts == pairs.parts


def test_the_fixed_contrasts_are_a_family_of_its_own():
    fixed = [(one.first, one.second) for one in rivals_today.contrasts() if one.fixed]
    assert fixed == [
        *((f"qkd-{name}", f"qat-{name}") for name in today.QUANTIZERS),
        *(("qkd", name) for name in DISTILLED),
    ]
    assert {one.predicted for one in rivals_today.contrasts()} == {0}
    explored = {(one.first, one.second) for one in rivals_today.contrasts() if not one.fixed}
    assert {("qat-frozen", "qat"), ("qat-dampened", "qat"), ("qfd", "apprentice")} <= explored
    assert ("qfd-self", "kd-self") in explored


@pytest.mark.parametrize("scale", SCALES)
def test_every_cell_has_held_out_images_by_which_batch_norms_are_measured_again(scale):
    """So that batch norms re-estimated after training need no cell of their own."""
    planned = plan(rivals_today.matrix(scale, (0,)).cells())
    for _, end in planned.cell_stages:
        history = planned.stages[end].stage.history
        assert planned.stages[end].is_end
        assert history.data.held_out >= history.recipe.batch


def test_the_laptop_run_costs_a_fifth_more_than_the_rivals_do():
    def training(matrix):
        stages = plan(matrix.cells()).stages.values()
        return sum(planned.macs for planned in stages if planned.parents)

    seeds = rivals_today.DEFAULT_SEEDS["laptop"]
    assert seeds == (0, 1, 2)
    ours, theirs = (module.matrix("laptop", seeds) for module in (rivals_today, rivals))
    assert training(ours) == pytest.approx(1.2 * training(theirs), rel=0.02)
