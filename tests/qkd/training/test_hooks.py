"""What is called after each step: as part of a phase, of its checkpoint, and of its stages."""

from types import SimpleNamespace

import pytest
import torch
from msgspec.structs import replace

from baselines.freezing import IterativeFreezing
from qkd.imports import HOOKS, resolve
from qkd.phases import CROSS_ENTROPY, SELF_STUDY
from qkd.records.code import uses_user_code
from qkd.records.record import Store
from qkd.spec import Hook, Phase, Stage
from qkd.spec.history import grown, parents
from qkd.spec.value import digest, validated
from qkd.train import StageFailed, run_stage
from qkd.training.begin import student_at_start
from qkd.training.hooks import hooks_of
from tests.support import small

PATH = "baselines.freezing:IterativeFreezing"
# A recipe in which much oscillates within a few steps.
QUICK = {"threshold": 0.15, "final": 0.05, "momentum": 0.1}
FREEZING = Phase(
    name="freezing", student=(CROSS_ENTROPY,), after_step=(Hook(hook=PATH, options=QUICK),)
)
FASTER = {"learning_rate": 0.3}
WHOLE = small.stage((FREEZING, 20), **FASTER)


def frozen_in(record):
    """How many weights a record's last checkpoint says are frozen."""
    (state,) = small.loaded(record)["student"]["hooks"]
    return sum(int(one.sum()) for name, one in state.items() if name.endswith("frozen"))


def run(stage, store, runtime):
    run_stage(stage, store, runtime)
    store.refresh()
    return store.record(stage.history)


@pytest.fixture(scope="module")
def undisturbed(trained, runtime, tmp_path_factory):
    store = small.beginning(trained, tmp_path_factory.mktemp("whole"), *parents(WHOLE))
    return run(WHOLE, store, runtime)


def test_a_phase_without_hooks_is_what_it_was():
    assert replace(SELF_STUDY, after_step=()) == SELF_STUDY
    assert digest(replace(SELF_STUDY, after_step=())) == digest(SELF_STUDY)
    assert digest(FREEZING) != digest(replace(FREEZING, after_step=()))
    assert validated(FREEZING) == FREEZING


def test_hooks_change_what_is_trained_and_leave_their_state(
    undisturbed, trained, runtime, tmp_path
):
    assert frozen_in(undisturbed) > 0
    bare = small.stage((replace(FREEZING, after_step=()), 20), **FASTER)
    record = run(bare, small.beginning(trained, tmp_path, *parents(bare)), runtime)
    ends = [small.loaded(one)["student"] for one in (record, undisturbed)]
    assert "hooks" not in ends[0]
    name = "layer1.0.conv1.weight"
    assert not torch.equal(*(end["network"][name] for end in ends))


@pytest.mark.slow
@pytest.mark.parametrize("moment", [("step", 4), ("step", 13), ("replace", 18)])
def test_a_killed_stage_goes_on_with_them_bit_for_bit(
    moment, undisturbed, trained, runtime, tmp_path
):
    store = small.beginning(trained, tmp_path, *parents(WHOLE))
    saving = small.runtime(runtime.data, save_seconds=0.0)
    small.killed(WHOLE, store, saving, moment)
    record = store.record(WHOLE.history)
    assert not record.result_file.exists()
    store.refresh()
    record = run(WHOLE, store, saving)
    small.assert_same_end(record, undisturbed)
    assert small.lines(record) == small.lines(undisturbed)


@pytest.mark.parametrize("cuts", [(3, 17), (13, 7)])
def test_where_a_phase_is_cut_changes_no_number(cuts, undisturbed, trained, runtime, tmp_path):
    store = small.beginning(trained, tmp_path, *parents(WHOLE))
    done = 0
    for length in cuts:
        done += length
        record = run(small.stage((FREEZING, done), steps=length, **FASTER), store, runtime)
    small.assert_same_end(record, undisturbed)


@pytest.mark.parametrize(
    ("phase", "frozen"),
    [(FREEZING, [True]), (replace(FREEZING, name="again"), [False]), (SELF_STUDY, [])],
)
def test_a_phase_goes_on_with_its_hooks_and_a_new_one_begins_afresh(phase, frozen, undisturbed):
    later = grown(WHOLE.history, phase, 5, None)
    side = student_at_start(
        Stage(history=later, steps=5),
        Store(undisturbed.path.parent),
        SimpleNamespace(shape=(1, 16, 16)),
        torch.device("cpu"),
    )
    found = [any(bool(one.any()) for one in hook.frozen().values()) for hook in side.hooks]
    assert found == frozen


def test_a_hook_is_named_as_a_loss_is():
    assert resolve(PATH, HOOKS) is IterativeFreezing
    odd = Phase(name="a", student=(CROSS_ENTROPY,), after_step=(Hook(hook="os:getcwd"),))
    with pytest.raises(ValueError, match="lies outside baselines"):
        hooks_of(odd, None)
    own = Phase(name="a", student=(CROSS_ENTROPY,), after_step=(Hook(hook="mine:Hook"),))
    assert uses_user_code(small.history((own, 3)))
    assert not uses_user_code(WHOLE.history)


def test_a_hook_that_refuses_the_student_stops_the_stage_at_its_begin(trained, runtime, tmp_path):
    hook = Hook(hook=PATH, options={"max_bits": 1})
    stage = small.stage((replace(FREEZING, after_step=(hook,)), 5))
    store = small.beginning(trained, tmp_path, *parents(stage))
    with pytest.raises(StageFailed, match="of 1 bits or fewer: there are none"):
        run_stage(stage, store, runtime)
