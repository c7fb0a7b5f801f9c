import json
import shutil

import pytest
import torch
from msgspec.structs import replace

from qkd.phases import SELF_STUDY
from qkd.records.lock import Lock, Locked, LockLost
from qkd.records.record import State
from qkd.spec.history import before, parents
from qkd.train import StageFailed, run_stage
from qkd.training import checkpoint
from qkd.training.begin import ParentMissing
from qkd.training.loop import Stopped
from tests.support import small

STARTS = (small.PAIR.student_start, small.PAIR.teacher_start)


def run(stage, store, runtime, **arguments):
    run_stage(stage, store, runtime, **arguments)
    store.refresh()
    return store.record(stage.history)


def test_a_loss_that_is_not_finite_is_a_failure_that_says_so(trained, runtime, tmp_path):
    stage = small.stage((SELF_STUDY, 10), learning_rate=1e30)
    store = small.beginning(trained, tmp_path, *parents(stage))
    eager = small.runtime(runtime.data, save_seconds=0.0)
    with pytest.raises(StageFailed, match=r"NotFinite: .* lower the learning rate"):
        run(stage, store, eager)
    store.refresh()
    record = store.record(stage.history)
    assert record.state() == State.FAILED
    failure = record.read_json(record.failed_file)
    assert failure["error"] == "NotFinite"
    assert "student" in failure["message"]
    assert "Traceback" in failure["trace"]
    assert not record.result_file.exists()
    assert not record.lock_file.exists()
    if record.checkpoint_file.exists():
        state = small.loaded(record)["student"]["network"]
        assert all(bool(value.isfinite().all()) for value in state.values())


@pytest.mark.parametrize(
    ("quantization", "recipe", "message"),
    [
        (
            small.W2A2,
            {"learning_rate": 3e38, "weight_decay": 1e10},
            r"NotFinite: .* of the student is not finite after step 1",
        ),
        (
            None,
            {"learning_rate": 1e30},
            r"NotFinite: student: the loss on images that were not trained on became nan",
        ),
    ],
)
def test_a_last_step_that_ruins_the_weights_is_a_failure_too(
    *, quantization, recipe, message, trained, runtime, tmp_path
):
    # The loss of that one step is finite; what the weights have become is not.
    stage = small.stage((SELF_STUDY, 1), **recipe)
    student = replace(stage.history.student, quantization=quantization)
    stage = replace(stage, history=replace(stage.history, student=student))
    store = small.beginning(trained, tmp_path, *parents(stage))
    with pytest.raises(StageFailed, match=message):
        run(stage, store, runtime)
    store.refresh()
    assert store.record(stage.history).state() == State.FAILED


def test_a_missing_parent_is_named_and_is_no_failure(trained, runtime, tmp_path):
    stage = small.stage(*small.CO_STUDIED)
    store = small.beginning(trained, tmp_path, *STARTS)
    with pytest.raises(ParentMissing, match=rf"{before(stage).digest} is missing: this stage"):
        run(stage, store, runtime)
    store.refresh()
    record = store.record(stage.history)
    assert record.state() == State.MISSING
    assert not record.lock_file.exists()


def test_a_parent_whose_checkpoint_was_removed_is_named(trained, runtime, tmp_path):
    stage = small.stage(*small.SELF_STUDIED)
    store = small.beginning(trained, tmp_path, *parents(stage))
    store.record(before(stage)).checkpoint_file.unlink()
    with pytest.raises(ParentMissing, match="was removed: train it again"):
        run(stage, store, runtime)


def damaged(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def truncated(path):
    path.write_bytes(path.read_bytes()[:-100])


def foreign(path):
    content = torch.load(path, weights_only=True)
    torch.save({**content, "digest": "0" * 16}, path)


def a_bit_flipped(path):
    """In a weight: the archive stays in order, and torch reads it without a word."""
    weight = torch.load(path, weights_only=True)["student"]["network"]["conv1.weight"]
    data = bytearray(path.read_bytes())
    data[bytes(data).index(weight.numpy().tobytes())] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize("damage", [damaged, truncated, foreign])
@pytest.mark.parametrize("whose", ["student", "teacher"])
def test_a_parents_checkpoint_that_was_changed_is_refused(
    damage, whose, trained, runtime, tmp_path
):
    stage = small.stage(*small.CO_STUDIED)
    store = small.beginning(trained, tmp_path, *parents(stage))
    parent = store.record(parents(stage)[whose == "teacher"])
    damage(parent.checkpoint_file)
    message = rf"{parent.path.name}.*cannot be used: its sha256 is not .*Remove the folder"
    with pytest.raises(StageFailed, match=message):
        run(stage, store, runtime)


def stopped_after(steps):
    calls = iter([False] * (steps - 1) + [True])
    return lambda: next(calls)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (truncated, "cannot be used"),
        (foreign, "it belongs to '0000"),
        (a_bit_flipped, "in it is damaged"),
    ],
)
def test_an_own_checkpoint_that_cannot_be_read_is_refused(
    damage, message, trained, runtime, tmp_path
):
    stage = small.stage(*small.SELF_STUDIED)
    store = small.beginning(trained, tmp_path, *parents(stage))
    with pytest.raises(Stopped, match="saved at step 7"):
        run(stage, store, runtime, should_stop=stopped_after(7))
    store.refresh()
    record = store.record(stage.history)
    damage(record.checkpoint_file)
    with pytest.raises(StageFailed, match=f"BadCheckpoint: .*{message}.*Remove the folder"):
        run(stage, store, runtime)
    assert record.state() == State.FAILED


def test_metrics_that_lost_lines_are_noticed(trained, runtime, tmp_path):
    stage = small.stage(*small.SELF_STUDIED)
    store = small.beginning(trained, tmp_path, *parents(stage))
    with pytest.raises(Stopped, match="saved at step 12"):
        run(stage, store, runtime, should_stop=stopped_after(12))
    store.refresh()
    store.record(stage.history).metrics_file.write_bytes(b"{}\n")
    with pytest.raises(StageFailed, match="has lost lines: 3 bytes"):
        run(stage, store, runtime)


def test_a_checkpoint_executes_nothing(tmp_path):
    class Evil:
        def __reduce__(self):
            return (shutil.rmtree, ("/nowhere",))

    path = tmp_path / "checkpoint.pt"
    torch.save({"version": 1, "digest": "d", "x": Evil()}, path)
    with pytest.raises(checkpoint.BadCheckpoint, match="cannot be used"):
        checkpoint.load(path, "d")


def test_a_stage_that_another_process_trains_is_left_alone(trained, runtime, tmp_path):
    stage = small.stage(*small.SELF_STUDIED)
    store = small.beginning(trained, tmp_path, *parents(stage))
    record = store.record(stage.history)
    record.path.mkdir()
    with Lock(record.lock_file, job="7"):
        with pytest.raises(Locked, match="job 7"):
            run_stage(stage, store, runtime)
        assert [f.name for f in record.path.iterdir()] == ["lock"]


def test_a_worker_that_lost_its_lock_saves_nothing_more(trained, runtime, tmp_path):
    stage = small.stage(*small.SELF_STUDIED)
    store = small.beginning(trained, tmp_path, *parents(stage))
    record = store.record(stage.history)
    steps = iter(range(100))
    another = {"token": "another", "pid": 1, "host": "h"}

    def lose():
        if next(steps) == 5:
            record.lock_file.write_text(json.dumps(another))
        return False

    eager = small.runtime(runtime.data, save_seconds=0.0)
    with pytest.raises(LockLost, match="taken over by pid 1 on h"):
        run_stage(stage, store, eager, should_stop=lose)
    assert small.loaded(record)["step"] == 5
    assert not record.failed_file.exists()
    assert json.loads(record.lock_file.read_text()) == another
