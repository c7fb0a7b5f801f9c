import os
from pathlib import Path

import pytest

from qkd.records.record import State
from qkd.spec.history import parents
from qkd.train import StageFailed, run_stage
from qkd.training.loop import Stopped
from tests.support import small

STAGES = {
    "pre-training": small.starts()[0],
    "self-study": small.stage(*small.SELF_STUDIED),
    "co-study": small.stage(*small.CO_STUDIED),
    "tutoring": small.stage(*small.TUTORED),
}


@pytest.fixture
def at_every_step(runtime):
    """Saves after every step."""
    return small.runtime(runtime.data, save_seconds=0.0)


@pytest.fixture
def begun(trained, tmp_path):
    """A function: a store with nothing but the parents of a stage."""
    return lambda stage: small.beginning(trained, tmp_path, *parents(stage))


def assert_undisturbed(stage, store, trained):
    """The stage's record is that of the run that nothing disturbed."""
    record, undisturbed = store.record(stage.history), trained.record(stage.history)
    small.assert_same_end(record, undisturbed)
    assert small.lines(record) == small.lines(undisturbed)
    assert small.scores(record) == small.scores(undisturbed)
    if stage.history.student.quantization is not None:
        both = (record.histograms_file.read_bytes(), undisturbed.histograms_file.read_bytes())
        assert both[0] == both[1]
    files = [{file.name for file in r.path.iterdir()} for r in (record, undisturbed)]
    assert files[0] - {"log.txt"} == files[1] - {"log.txt"}


# Of a co-study of 20 steps that saves at each: stage.json, env.json and histograms.json are the
# first three files, then a checkpoint a step (and every fifth step a line of metrics before it), at
# last the final checkpoint, histograms.json and result.json: 26 renames.
KILLS = [
    ("co-study", [("replace", 2), ("replace", 3), ("replace", 13)]),
    ("pre-training", [("step", 1), ("step", 4)]),
    ("self-study", [("step", 3), ("step", 5), ("fsync", 9)]),
    ("co-study", [("step", 1), ("step", 7), ("step", 12)]),
    ("co-study", [("fsync", 1), ("fsync", 3), ("fsync", 8), ("fsync", 6)]),
    ("co-study", [("replace", 24)]),
    ("co-study", [("replace", 25)]),
    ("co-study", [("replace", 26)]),
    ("tutoring", [("fsync", 7), ("step", 6)]),
]


@pytest.mark.parametrize(
    ("name", "moments"),
    [KILLS[0], *(pytest.param(*kill, marks=pytest.mark.slow) for kill in KILLS[1:])],
    ids=lambda value: value if isinstance(value, str) else "+".join(f"{w}{n}" for w, n in value),
)
def test_a_killed_stage_ends_as_if_it_had_not_been(name, moments, begun, trained, at_every_step):
    stage = STAGES[name]
    store = begun(stage)
    for moment in moments:
        small.killed(stage, store, at_every_step, moment)
        assert not store.record(stage.history).result_file.exists()
        store.refresh()
    run_stage(stage, store, at_every_step)
    assert_undisturbed(stage, store, trained)


def test_a_stage_killed_during_its_proof_says_at_once_that_its_steps_were_done(
    begun, at_every_step
):
    """Else a launch would take them for its own, and promise too early an end."""
    stage = STAGES["self-study"]
    store = begun(stage)
    small.killed(stage, store, at_every_step, ("replace", 25))
    store.refresh()
    told = []
    run_stage(stage, store, at_every_step, on_progress=told.append)
    (only,) = told
    assert (only.first, only.step, only.steps) == (20, 20, 20)
    assert only.images_per_second is None


@pytest.mark.slow
def test_a_stage_killed_before_any_save_begins_again(begun, trained, runtime):
    stage = STAGES["co-study"]
    store = begun(stage)
    small.killed(stage, store, runtime, ("step", 13))
    record = store.record(stage.history)
    assert not record.checkpoint_file.exists()
    assert len(small.written(record)) == 2  # lines of steps 25 and 30, which no checkpoint knows of
    run_stage(stage, store, runtime)
    assert_undisturbed(stage, store, trained)


def test_a_kill_leaves_a_stale_lock_and_a_missing_record(begun, at_every_step):
    stage = STAGES["self-study"]
    store = begun(stage)
    small.killed(stage, store, at_every_step, ("fsync", 7))
    store.refresh()
    record = store.record(stage.history)
    assert record.lock_file.exists()
    assert record.state() == State.MISSING
    parts = [f.name for f in record.path.glob(".checkpoint*")]
    assert len(parts) == 1
    run_stage(stage, store, at_every_step)
    assert not [f for f in record.path.iterdir() if f.name.startswith(".")]
    assert not record.lock_file.exists()


@pytest.mark.parametrize("name", ["self-study", "co-study", "tutoring"])
def test_a_stage_that_is_stopped_again_and_again_ends_the_same(name, begun, trained, runtime):
    stage = STAGES[name]
    store = begun(stage)
    for _ in range(50):
        steps = iter((False, False, False, True))
        try:
            run_stage(stage, store, runtime, should_stop=lambda steps=steps: next(steps))
            break
        except Stopped:
            assert store.record(stage.history).state() == State.MISSING
    assert_undisturbed(stage, store, trained)


def failing_from(call, monkeypatch, target, name):
    """From its n-th call on a function finds the disk full."""
    original, calls = getattr(target, name), iter(range(1, call))

    def full(*arguments):
        if next(calls, None) is None:
            raise OSError(28, "No space left on device")
        return original(*arguments)

    monkeypatch.setattr(target, name, full)


@pytest.mark.parametrize("call", [3, 10])
@pytest.mark.parametrize(("target", "name"), [(os, "fsync"), (Path, "replace")])
def test_a_full_disk_keeps_the_last_checkpoint(
    *, call, target, name, begun, trained, at_every_step, monkeypatch
):
    stage = STAGES["co-study"]
    store = begun(stage)
    with monkeypatch.context() as patch:
        failing_from(call, patch, target, name)
        with pytest.raises(StageFailed, match="No space left"):
            run_stage(stage, store, at_every_step)
    record = store.record(stage.history)
    assert not [f.name for f in record.path.iterdir() if f.name.startswith(".")]
    assert record.state() == State.MISSING
    if call > 4:
        assert small.loaded(record)["step"] >= 20
    run_stage(stage, store, at_every_step)
    assert_undisturbed(stage, store, trained)
