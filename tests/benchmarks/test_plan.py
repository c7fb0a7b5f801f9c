import subprocess
import sys
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

import qkd.spec.value
from benchmarks import ablation, cifar
from benchmarks.matrix import select
from benchmarks.plan import cost, plan
from qkd.spec import Stage
from qkd.spec.history import parents
from qkd.spec.value import digest

CELLS = {scale: list(ablation.matrix(scale, (0, 1)).cells()) for scale in ("smoke", "paper")}
WHOLE = {scale: plan(cells) for scale, cells in CELLS.items()}
SEVEN = "method=qkd,ss+cs,ss+tu,cs+tu,cs,kd,qat"


@pytest.fixture(params=["smoke", "paper"])
def scale(request):
    return request.param


def test_every_cells_last_state_is_in_the_plan(scale):
    whole = WHOLE[scale]
    assert [cell for cell, _ in whole.cell_stages] == CELLS[scale]
    for cell, key in whole.cell_stages:
        assert whole.stages[key].stage.history == cell.history


def test_a_stage_is_an_end_where_a_cell_ends_in_it(scale):
    cells, made = CELLS[scale], WHOLE[scale]
    ends = {cell.history.digest for cell in cells if not cell.skipped}
    assert {key for key, planned in made.stages.items() if planned.is_end} == ends
    assert 0 < len(ends) < len(made.stages)
    # Of the whole matrix, whichever cells are wanted.
    assert all(planned == made.stages[key] for key, planned in made.of(cells[:1]).stages.items())


def test_parents_come_before_their_children(scale):
    seen = set()
    for key, planned in WHOLE[scale].stages.items():
        assert planned.digest == key == planned.stage.history.digest
        assert set(planned.parents) <= seen
        assert planned.parents == tuple(h.digest for h in parents(planned.stage))
        seen.add(key)


def test_no_stretch_of_a_path_is_trained_twice(scale):
    covered = set()
    for planned in WHOLE[scale].stages.values():
        history = planned.stage.history
        beginning = history.steps - planned.stage.steps
        here = (history.digest, history.steps)
        assert here not in covered
        covered.add(here)
        assert beginning >= 0
    joined = {c.method.name: c.history.digest for c in CELLS[scale] if c.seed == 0}
    # Plain QAT's 200 and QKD's first 30: one stage of 30, then 170 more.
    qat = WHOLE[scale].stages[joined["qat"]]
    assert qat.stage.steps * 200 == 170 * qat.stage.history.steps


def test_the_stages_along_a_cells_path_add_up_to_its_steps(scale):
    stages = WHOLE[scale].stages
    for cell, key in WHOLE[scale].cell_stages:
        steps, here = 0, stages[key]
        while True:
            steps += here.stage.steps
            if here.stage.steps == here.stage.history.steps:
                break
            here = stages[here.parents[0]]
        assert steps == cell.history.steps


def test_the_seven_methods_of_the_ablation_are_twelve_stages_a_seed():
    cells = select(CELLS["paper"], f"{SEVEN} seed=0")
    parts = [
        [(p.phase.name, round(p.steps / 460)) for p in s.stage.history.parts]
        for s in plan(cells).stages.values()
    ]
    ss, cs, tu = "self-study", "co-study", "tutoring"
    assert sorted(parts) == sorted(
        [
            [("pre-training", 200)],
            [("pre-training", 200)],
            [(ss, 30)],
            [(ss, 30), (cs, 100)],
            [(ss, 30), (cs, 100), (tu, 70)],
            [(ss, 30), (cs, 170)],
            [(ss, 30), (tu, 170)],
            [(ss, 200)],
            [(cs, 130)],
            [(cs, 130), (tu, 70)],
            [(cs, 200)],
            [(tu, 200)],
        ]
    )


def test_sharing_saves_a_quarter_of_the_ablation():
    cells = select(CELLS["paper"], f"{SEVEN} seed=0")
    shared = plan(cells)
    starts = sum(s.macs for s in shared.stages.values() if not s.parents)
    # In epochs, student s and teacher t: seven times 3 * 200 s, and 3 t for each epoch of
    # co-study, 1 t for each of tutoring:  370 (qkd) + 510 (ss+cs) + 170 (ss+tu) + 460 (cs+tu)
    # + 600 (cs) + 200 (kd) + 0 (qat).
    pair = cells[0].pair
    s, t = pair.student_macs, pair.teacher_macs
    images = 460 * 128
    assert shared.unshared_macs - starts == (4200 * s + 2310 * t) * images
    assert (shared.macs - starts) / (shared.unshared_macs - starts) == pytest.approx(
        0.727, abs=5e-4
    )


def test_a_step_costs_three_passes_of_what_it_trains_and_one_of_a_frozen_teacher():
    history = next(c.history for c in CELLS["smoke"] if c.method.name == "qkd")  # 3 + 10 + 7 of 32
    macs = {digest(history.student.network): 1000, digest(history.teacher.network): 10}
    assert cost(history, 7, macs) == 32 * 7 * (3000 + 10)
    assert cost(history, 17, macs) == 32 * (7 * 3010 + 10 * 3030)
    assert cost(history, 20, macs) == 32 * (7 * 3010 + 10 * 3030 + 3 * 3000)


@given(st.data())
def test_a_wanted_subset_needs_no_stage_that_the_whole_does_not_have(data):
    cells, whole = CELLS["smoke"], WHOLE["smoke"]
    wanted = data.draw(st.lists(st.sampled_from(cells), min_size=1, unique_by=id))
    part = plan(cells, wanted)
    assert list(part.stages) == [key for key in whole.stages if key in part.stages]
    assert all(whole.stages[key] == planned for key, planned in part.stages.items())
    assert part.cell_stages == [(cell, cell.history.digest) for cell in wanted]
    for planned in part.stages.values():
        assert set(planned.parents) <= set(part.stages)
    assert part.macs <= part.unshared_macs


@given(st.permutations(CELLS["smoke"]))
def test_the_order_of_the_cells_changes_no_stage(cells):
    assert dict(plan(cells).stages) == WHOLE["smoke"].stages


@pytest.mark.parametrize("wanted", [SEVEN, "seed=1", "method=fp"])
def test_the_plan_of_some_cells_is_a_part_of_the_whole_one(wanted):
    chosen = select(CELLS["paper"], wanted)
    part = WHOLE["paper"].of(chosen)
    assert part == plan(CELLS["paper"], chosen)
    macs = _macs(CELLS["paper"])
    alone = {}
    for cell in chosen:
        for history in (cell.history, *_starts(cell.history)):
            alone[history.digest] = cost(history, history.steps, macs)
    assert part.unshared_macs == sum(alone.values())


def _starts(history):
    learners = [learner for learner in (history.student, history.teacher) if learner]
    return [learner.start for learner in learners if learner.start]


def _macs(cells):
    pair = cells[0].pair
    return {digest(pair.student): pair.student_macs, digest(pair.teacher): pair.teacher_macs}


def test_each_history_of_a_large_plan_is_digested_once(monkeypatch):
    """Of the CIFAR matrix with more and more seeds: what the number of calls shows is that of any
    machine. A seed more is no more work than the seed before, and a stage two forms or fewer."""
    written = Counter()
    write = qkd.spec.value._canonical_text

    def counting(value):
        written[type(value).__name__] += 1
        return write(value)

    monkeypatch.setattr(qkd.spec.value, "_canonical_text", counting)
    plan(cifar.matrix("paper", (0,)).cells())  # the networks, which all that follows shares
    forms, stages = [], []
    for seeds in (1, 2, 3):
        written.clear()
        planned = plan(cifar.matrix("paper", tuple(range(seeds))).cells())
        cells = {id(cell.history) for cell, _ in planned.cell_stages}
        assert written["History"] <= len(planned.stages) + len(cells)
        forms.append(written.total())
        stages.append(len(planned.stages))
    first, second = forms[1] - forms[0], forms[2] - forms[1]
    assert first == second
    assert second <= 2 * (stages[2] - stages[1])


def test_skipped_cells_are_not_planned():
    cells = [c._replace(skipped="r" if c.method.name != "qat" else "") for c in CELLS["smoke"]]
    planned = plan(cells)
    assert {cell.method.name for cell, _ in planned.cell_stages} == {"qat"}
    assert len(planned.stages) == 1 + 2  # the student's pre-training, and two seeds


def test_a_stage_of_the_plan_survives_its_file():
    for planned in WHOLE["smoke"].stages.values():
        stage = planned.stage
        assert Stage(history=stage.history, steps=stage.steps) == stage


def test_planning_needs_neither_torch_nor_numpy():
    code = (
        "import sys\nfrom benchmarks import ablation, plan\n"
        "cells = list(ablation.matrix('paper', (0,)).cells())\nassert plan.plan(cells).stages\n"
        "print([name for name in ('torch', 'numpy') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
