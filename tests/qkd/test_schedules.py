"""The learning rates over a run: one cosine, or one between two restarts."""

import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from benchmarks import ablation
from benchmarks.matrix import history_of
from qkd.phases import CO_STUDY, SELF_STUDY, TUTORING, qkd
from qkd.schedules import cosine, learning_rate_factor
from qkd.spec import Recipe
from qkd.train import run_stage
from tests.support import small


def recipe(horizon, *restarts):
    return Recipe(horizon=horizon, log_every=1, restarts=restarts)


def test_without_restarts_it_is_one_cosine_over_the_horizon():
    for step in (0, 1, 50, 99, 100, 150):
        assert learning_rate_factor(step, recipe(100)) == cosine(step, 100)


def test_between_restarts_it_falls_from_one_to_zero_each_time():
    value = recipe(100, 20, 60)
    factors = [learning_rate_factor(step, value) for step in range(100)]
    assert [step for step, factor in enumerate(factors) if factor == 1.0] == [0, 20, 60]
    assert factors[10] == pytest.approx(0.5)
    assert factors[40] == pytest.approx(0.5)
    assert factors[70] == pytest.approx(0.5 * (1 + math.cos(math.pi / 4)))
    assert factors[19] == pytest.approx(0.5 * (1 + math.cos(0.95 * math.pi)))
    assert learning_rate_factor(100, value) == learning_rate_factor(130, value) == 0.0


@given(st.lists(st.integers(1, 199), unique=True, max_size=5).map(sorted))
def test_each_stretch_is_a_run_of_its_own(restarts):
    value = recipe(200, *restarts)
    for begin, end in itertools.pairwise((0, *restarts, 200)):
        alone = [cosine(step, end - begin) for step in range(end - begin)]
        assert [learning_rate_factor(step, value) for step in range(begin, end)] == alone


@pytest.mark.parametrize("restarts", [(20, 10), (10, 10), (100,), (101,)])
def test_restarts_ascend_and_lie_within_the_run(restarts):
    with pytest.raises(ValueError, match=r"must ascend, below horizon 100"):
        recipe(100, *restarts)


def test_a_method_by_phase_restarts_where_a_phase_begins():
    grid = ablation.matrix("laptop", (0,)).grids[0]
    by_phase = history_of(grid, grid.bits[0], replace(qkd(), schedule="phase"), 0)
    assert by_phase.recipe.restarts == (60, 260)
    assert by_phase.recipe.horizon == 400
    by_run = history_of(grid, grid.bits[0], qkd(), 0)
    assert by_run.recipe.restarts == ()
    assert by_phase.digest != by_run.digest


def test_a_method_names_its_initial_interval():
    grid = ablation.matrix("laptop", (0,)).grids[0]
    history = history_of(grid, grid.bits[0], replace(qkd(), initial_interval="minmax"), 0)
    assert history.student.quantization.initial_interval == "minmax"


@pytest.mark.slow
def test_the_metrics_show_the_rates_that_were_at_work(trained, runtime, tmp_path):
    parts = ((SELF_STUDY, 20), (CO_STUDY, 20), (TUTORING, 20))
    store = small.beginning(trained, tmp_path, small.PAIR.student_start, small.PAIR.teacher_start)
    for count in (1, 2, 3):
        stage = small.stage(*parts[:count], horizon=60, restarts=(20, 40))
        run_stage(stage, store, runtime)
        store.refresh()
        rates = [line["learning_rate"] for line in small.written(store.record(stage.history))]
        # A line every five steps, with the rate of the last of them.
        assert rates == pytest.approx([0.01 * cosine(step, 20) for step in (4, 9, 14, 19)])
