"""Ranks that stop, fail, hang or are killed."""

import os
import re
import signal
import subprocess
import time

import pytest
from msgspec.structs import replace

from qkd.phases import CO_STUDY, CROSS_ENTROPY, SELF_STUDY
from qkd.records.record import State, Store
from qkd.spec import Stage, Term
from qkd.spec.history import parents
from qkd.train import run_stage
from qkd.training import distributed
from tests.support import ranks, small

STAGE = small.stage(*small.SELF_STUDIED, (CO_STUDY, 8))


@pytest.fixture
def begun(trained, tmp_path):
    """A function: a store with nothing but the parents of the stage."""
    return lambda: small.beginning(trained, tmp_path, *parents(STAGE))


@pytest.fixture
def eager(runtime):
    """Saves after every step."""
    return small.runtime(runtime.data, save_seconds=0.0, rank_seconds=90.0)


def run(stage, root, runtime, rank=None, at=0, act=None):
    """Trains; at its ``at``-th step one rank does something else."""
    steps = iter(range(1, 10_000))

    def should_stop():
        if distributed.place().rank == rank and next(steps) == at:
            return act()
        return False

    run_stage(stage, Store(root), runtime, should_stop=should_stop)


def stop():
    return True


def fail():
    raise KeyError("mine")


def be_killed():
    os.kill(os.getpid(), signal.SIGKILL)


def hang():
    time.sleep(40)
    return False


def finished(store, runtime, world):
    """The stage, gone on with and done by so many ranks."""
    ends = ranks.together(run, STAGE, store.root, runtime, world=world)
    assert {(end.exit_code, end.raised) for end in ends} == {(0, "")}, ends
    store.refresh()
    return store.record(STAGE.history)


@pytest.fixture(scope="module")
def undisturbed(trained, runtime, tmp_path_factory):
    """The record of two ranks that nothing disturbed."""
    store = small.beginning(trained, tmp_path_factory.mktemp("undisturbed"), *parents(STAGE))
    return finished(store, runtime, 2)


@pytest.mark.slow
@pytest.mark.parametrize("rank", [0, 1])
def test_all_stop_where_one_is_asked_to_and_go_on_to_the_same_end(
    rank, undisturbed, begun, runtime
):
    store = begun()
    ends = ranks.together(run, STAGE, store.root, runtime, rank, 4, stop)
    record = store.record(STAGE.history)
    said = ("Stopped", f"{record.path.name} saved at step 24")
    assert [(end.raised, end.text) for end in ends] == [said, said]
    assert record.state() == State.MISSING
    assert not record.lock_file.exists()
    assert small.loaded(record)["step"] == 24
    small.assert_same_end(finished(store, runtime, 2), undisturbed)
    assert small.lines(record) == small.lines(undisturbed)
    assert small.scores(record) == small.scores(undisturbed)


@pytest.mark.slow
@pytest.mark.parametrize(("first", "then", "parts"), [(2, 1, [2, 1]), (1, 4, [1, 4])])
def test_another_number_of_ranks_goes_on_and_the_record_says_so(first, then, parts, begun, runtime):
    store = begun()
    ends = ranks.together(run, STAGE, store.root, runtime, 0, 6, stop, world=first)
    assert {end.raised for end in ends} == {"Stopped"}
    record = finished(store, runtime, then)
    environment = record.read_json(record.environment_file)
    assert (environment["ranks"], environment["parts"]) == (then, parts)
    assert [line["step"] for line in small.written(record)] == [25]
    assert small.loaded(record)["step"] == 28


@pytest.mark.parametrize("rank", [0, 1])
def test_an_exception_of_one_rank_fails_the_stage_for_all_and_is_named(rank, begun, runtime):
    store = begun()
    ends = ranks.together(run, STAGE, store.root, runtime, rank, 3, fail)
    assert [end.raised for end in ends] == ["StageFailed", "StageFailed"]
    assert all(f"KeyError: rank {rank}: 'mine'" in end.text for end in ends)
    record = store.record(STAGE.history)
    assert record.state() == State.FAILED
    failure = record.read_json(record.failed_file)
    assert (failure["error"], failure["message"]) == ("KeyError", f"rank {rank}: 'mine'")
    assert "raise KeyError" in failure["trace"]
    assert not record.lock_file.exists()
    assert not [f.name for f in record.path.iterdir() if f.name.startswith(".")]


FAILING = """
import os
from torch.nn import functional

calls = []

def failing(logits, labels):
    calls.append(1)
    if len(calls) == 3 and os.environ["RANK"] == "1":
        raise ArithmeticError("in the middle of a step")
    return functional.cross_entropy(logits, labels)
"""


def test_an_exception_within_a_step_does_not_leave_the_others_waiting(
    trained, runtime, tmp_path, user_file
):
    # Rank 0 has begun to average gradients that will never come.
    file = user_file("failing_loss.py", FAILING)
    phase = replace(SELF_STUDY, student=(CROSS_ENTROPY, Term(loss="failing_loss:failing")))
    stage = Stage(history=small.history((phase, 5)), steps=5)
    store = small.beginning(trained, tmp_path, *parents(stage))
    ends = ranks.together(run, stage, store.root, replace(runtime, matrix_file=str(file)))
    assert [end.raised for end in ends] == ["StageFailed", "StageFailed"]
    record = store.record(stage.history)
    failure = record.read_json(record.failed_file)
    assert failure["message"] == "rank 1: in the middle of a step"
    assert "failing_loss.py" in failure["trace"]


def test_a_loss_that_is_not_finite_on_all_ranks_is_one_failure(trained, runtime, tmp_path):
    stage = small.stage((SELF_STUDY, 10), learning_rate=1e30)
    store = small.beginning(trained, tmp_path, *parents(stage))
    ends = ranks.together(run, stage, store.root, runtime)
    assert {end.raised for end in ends} == {"StageFailed"}
    record = store.record(stage.history)
    failure = record.read_json(record.failed_file)
    assert failure["error"] == "NotFinite"
    assert re.fullmatch("rank [01]: the loss term .* lower the learning rate.*", failure["message"])


def test_a_missing_parent_and_a_failed_stage_are_told_to_all(begun, runtime, tmp_path):
    ends = ranks.together(run, STAGE, tmp_path / "nothing", runtime)
    assert {end.raised for end in ends} == {"ParentMissing"}
    store = begun()
    record = store.record(STAGE.history)
    record.path.mkdir()
    record.fail("KeyError", "before")
    ends = ranks.together(run, STAGE, store.root, runtime)
    assert {end.raised for end in ends} == {"StageFailed"}
    assert all("failed before" in end.text for end in ends)


@pytest.mark.slow
@pytest.mark.parametrize("rank", [0, 1])
def test_a_killed_rank_is_noticed_and_the_stage_goes_on_from_its_last_save(
    rank, undisturbed, begun, eager
):
    store = begun()
    ends = ranks.together(run, STAGE, store.root, eager, rank, 6, be_killed)
    assert ends[rank].exit_code == -signal.SIGKILL
    survivor = ends[1 - rank]
    assert (survivor.raised, survivor.exit_code) == ("RankLost", 0)
    assert f"rank {1 - rank} lost another rank" in survivor.text
    assert "goes on from the last save" in survivor.text
    record = store.record(STAGE.history)
    assert not record.failed_file.exists()
    assert record.state() == State.MISSING
    assert small.loaded(record)["step"] in (25, 26)
    small.assert_same_end(finished(store, eager, 2), undisturbed)
    assert small.lines(record) == small.lines(undisturbed)


@pytest.mark.slow
def test_rank_0_killed_after_the_last_step_is_noticed_too(undisturbed, begun, runtime):
    # The others wait for its result, which is written and not yet in its place: after stage.json,
    # env.json, the histograms, the checkpoint and the histograms again the sixth rename.
    store = begun()
    moment = ("replace", 6)
    ends = ranks.together(small.run_and_be_killed, STAGE, store.root, runtime, moment)
    assert ends[0].exit_code == -signal.SIGKILL
    assert ends[1].raised == "RankLost"
    record = store.record(STAGE.history)
    assert record.state() == State.MISSING
    assert small.loaded(record)["step"] == 28
    small.assert_same_end(finished(store, runtime, 1), undisturbed)


@pytest.mark.slow
def test_a_rank_that_hangs_is_waited_for_no_longer_than_it_was_said(begun, eager):
    store = begun()
    began = time.monotonic()
    patience = replace(eager, rank_seconds=20.0)
    ends = ranks.together(run, STAGE, store.root, patience, 1, 3, hang)
    assert time.monotonic() - began < 120
    assert [end.raised for end in ends] == ["RankLost", "RankLost"]
    record = store.record(STAGE.history)
    assert record.state() == State.MISSING
    assert small.loaded(record)["step"] in (22, 23)


def test_a_failure_of_rank_0_after_the_last_step_is_everybodys(trained, runtime, tmp_path):
    # The weights are finite, and the test images' loss is not: rank 0 alone sees that.
    stage = small.stage((SELF_STUDY, 1), learning_rate=1e30)
    student = replace(stage.history.student, quantization=None)
    stage = replace(stage, history=replace(stage.history, student=student))
    store = small.beginning(trained, tmp_path, *parents(stage))
    ends = ranks.together(run, stage, store.root, runtime)
    assert [end.raised for end in ends] == ["StageFailed", "StageFailed"]
    assert all("NotFinite: rank 0: student: the loss on images" in end.text for end in ends)
    assert store.record(stage.history).state() == State.FAILED


@pytest.mark.slow
def test_sigterm_to_torchrun_saves_the_stage(trained, runtime, tmp_path):
    long = small.stage((SELF_STUDY, 60), log_every=1)
    stages = tmp_path / "results" / "stages"
    stages.mkdir(parents=True)
    store = small.beginning(trained, stages, *parents(long))
    record = store.record(long.history)
    record.open(long)
    command = ranks.torchrun(record.stage_file, tmp_path / "results", runtime)
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        while not record.metrics_file.exists() or len(small.written(record)) < 3:
            assert process.poll() is None, process.stdout.read()
            time.sleep(0.02)
        process.terminate()
        said = process.communicate(timeout=ranks.SECONDS)[0]
    assert process.returncode != 0
    assert "saved at step" in said
    assert record.state() == State.MISSING
    assert not record.lock_file.exists()
    assert 3 <= small.loaded(record)["step"] < 60
