"""A stage by several ranks is the stage by one, as far as it can be."""

import json
import subprocess

import pytest
import torch
from msgspec.structs import replace

from qkd.phases import CO_STUDY, SELF_STUDY, TUTORING
from qkd.records.lock import Hold
from qkd.records.record import Store
from qkd.spec import Learner, Network, Stage
from qkd.spec.history import parents
from qkd.train import run_stage
from qkd.training import begin, distributed
from qkd.training.loop import Training
from tests.support import ranks, small

OWN = """
from torch import nn

def plain(width: int, p: float = 0.0, norm: bool = False) -> nn.Module:
    kept = nn.BatchNorm2d(width) if norm else nn.Identity()
    return nn.Sequential(
        nn.Conv2d(1, width, 3, stride=2), kept, nn.ReLU(), nn.Conv2d(width, width, 3, stride=2),
        nn.ReLU(), nn.Dropout(p), nn.Flatten(), nn.Linear(9 * width, 10),
    )
"""


def learner(width, quantization=None, **arguments):
    network = Network(name="p", factory="plain_net:plain", arguments={"width": width, **arguments})
    return Learner(network=network, quantization=quantization)


def whole_run(log_every=1, **arguments):
    """Self-study, co-study and tutoring of networks that begin at random; a line for each step."""
    found = []
    for count in (1, 2, 3):
        parts = ((SELF_STUDY, 4), (CO_STUDY, 4), (TUTORING, 4))[:count]
        history = replace(
            small.history(*parts, log_every=log_every),
            student=learner(4, small.W2A2, **arguments),
            teacher=learner(6, **arguments) if count > 1 else None,
        )
        found.append(Stage(history=history, steps=4))
    return found


@pytest.fixture
def own(runtime, user_file):
    """The runtime of networks of one's own."""
    return replace(runtime, matrix_file=str(user_file("plain_net.py", OWN)))


def run(stages, root, runtime):
    """Trains stages one after the other; returns what this rank was told of its progress."""
    told = []
    for stage in stages:
        run_stage(stage, Store(root), runtime, told.append)
    return len(told)


def by_ranks(stages, root, runtime, world=2):
    ends = ranks.together(run, stages, root, runtime, world=world)
    assert all(end.exit_code == 0 and end.raised == "" for end in ends), ends
    assert [bool(end.returned) for end in ends] == [True, *[False] * (world - 1)]
    return [Store(root).record(stage.history) for stage in stages]


def by_one(stages, root, runtime):
    run(stages, root, runtime)
    return [Store(root).record(stage.history) for stage in stages]


def assert_close(ones, others, but=()):
    """Two runs' losses, intervals, weights and momentum, to float32's rounding."""
    for one, other in zip(ones, others, strict=True):
        for a, b in zip(small.written(one), small.written(other), strict=True):
            assert a["losses"] == pytest.approx(b["losses"], rel=1e-5)
            assert a["intervals"] == pytest.approx(b["intervals"], rel=1e-5)
            assert a["student"]["images"] == b["student"]["images"] == 64
        ends = [small.loaded(record) for record in (one, other)]
        for side in ("student", "teacher"):
            a, b = (end[side] for end in ends)
            assert (a is None) == (b is None)
            if a is None:
                continue
            for name in a["network"].keys() - set(but):
                wanted = b["network"][name]
                torch.testing.assert_close(
                    a["network"][name], wanted, rtol=1e-4, atol=1e-6, msg=f"{side} {name}"
                )
            for of, wanted in zip(*(s["optimiser"]["state"].values() for s in (a, b)), strict=True):
                torch.testing.assert_close(
                    of["momentum_buffer"], wanted["momentum_buffer"], rtol=1e-3, atol=1e-5
                )


@pytest.mark.slow
def test_two_ranks_train_all_three_phases_to_the_weights_of_one(own, tmp_path):
    stages = whole_run()
    together = by_ranks(stages, tmp_path / "two", own)
    alone = by_one(stages, tmp_path / "one", own)
    assert_close(together, alone)
    for record in together:
        assert sorted(f.name for f in record.path.iterdir()) == [
            "checkpoint.pt",
            "code.json",
            "env.json",
            "histograms.json",
            "log.txt",
            "metrics.jsonl",
            "result.json",
            "stage.json",
        ]
        environment = record.read_json(record.environment_file)
        assert (environment["ranks"], environment["parts"]) == (2, [2])
        assert record.read_json(record.result_file)["student"]["images"] == 160
        assert "integer" in record.read_json(record.result_file)
    teachers = [small.loaded(record)["teacher"] for record in together]
    assert [teacher is not None for teacher in teachers] == [False, True, False]


NORM = ("1.running_mean", "1.running_var", "1.num_batches_tracked")


@pytest.mark.slow
def test_two_ranks_are_two_micro_batches_with_dropout_and_batch_norms_too(own, tmp_path):
    # Each part has its own dropout and its own statistics; the running ones are rank 0's alone.
    stages = whole_run(p=0.5, norm=True)[:2]
    together = by_ranks(stages, tmp_path / "two", own)
    in_turn = by_one(stages, tmp_path / "one", replace(own, micro_batches=2))
    assert_close(together, in_turn, but=NORM)
    described = [run[0].read_json(run[0].environment_file) for run in (together, in_turn)]
    assert [e["parts"] for e in described] == [[2], [2]]
    assert [(e["ranks"], e["micro_batches"]) for e in described] == [(2, 1), (1, 2)]
    whole = by_one(stages[:1], tmp_path / "whole", own)[0]
    assert small.lines(whole)[0]["losses"] != small.lines(in_turn[0])[0]["losses"]


@pytest.mark.slow
def test_four_parts_as_two_ranks_of_two_micro_batches_or_as_four_of_one_rank(own, tmp_path):
    stages = whole_run(p=0.5, norm=True)[:1]
    together = by_ranks(stages, tmp_path / "two", replace(own, micro_batches=2))
    in_turn = by_one(stages, tmp_path / "one", replace(own, micro_batches=4))
    assert_close(together, in_turn, but=NORM)


def sides(stage, root, runtime):
    """What a rank holds before the first step and after three, of which rank 0 told the rest."""
    store = Store(root)
    with distributed.joined(60.0, on_cuda=False):
        if not distributed.leads():
            begin.set_intervals = begin.checkpoint.load = None  # what it may not do: it is told
        record = store.record_to_write(stage.history)
        training = Training(stage, store, record, runtime, Hold(record.lock_file, ""))
        student = training.sides.student
        states = [state(student)]
        for _ in range(3):
            training._one_step()
        states.append(state(student))
    return states, {name: floor.item() for name, floor in student.floors.items()}


def state(side):
    return {name: value.tolist() for name, value in side.network.state_dict().items()}


def test_both_ranks_begin_with_the_same_intervals_and_stay_the_same(trained, runtime, tmp_path):
    stage = small.stage(*small.SELF_STUDIED)
    store = small.beginning(trained, tmp_path, *parents(stage))
    (ours, floors), (theirs, their_floors) = (
        end.returned for end in ranks.together(sides, stage, store.root, runtime)
    )
    assert ours[0] == theirs[0]
    assert floors == their_floors
    begun = {name: value for name, value in ours[0].items() if name.endswith(".interval")}
    assert {name: pytest.approx(100 * floor) for name, floor in floors.items()} == begun
    assert len(set(begun.values())) > 10  # found, each for its own layer
    trainable = [name for name in ours[1] if "running" not in name]  # a batch norm's is its rank's
    assert all(ours[1][name] == theirs[1][name] for name in trainable)
    assert ours[1] != ours[0]


def test_a_batch_that_cannot_be_shared_is_refused_before_anything(runtime, tmp_path):
    stage = small.starts()[0]
    ends = ranks.together(run, [stage], tmp_path, runtime, world=3)
    assert {end.raised for end in ends} == {"ValueError"}
    assert all("a batch of 16 images cannot be shared equally: by 3 rank" in e.text for e in ends)
    with pytest.raises(ValueError, match="in 5 micro-batch"):
        run_stage(stage, Store(tmp_path), replace(runtime, micro_batches=5))
    assert list(tmp_path.iterdir()) == []


def test_batch_norms_over_all_ranks_need_cuda_and_are_another_history(runtime, tmp_path):
    stage = small.stage(*small.SELF_STUDIED, batch_norm="sync")
    assert stage.history.digest != small.stage(*small.SELF_STUDIED).history.digest
    assert small.stage(*small.SELF_STUDIED, batch_norm="local") == small.stage(*small.SELF_STUDIED)
    ends = ranks.together(run, [stage], tmp_path, runtime)
    assert {end.raised for end in ends} == {"ValueError"}
    assert "on CUDA only" in ends[0].text
    assert list(tmp_path.iterdir()) == []


def test_one_process_synchronises_with_nobody(trained, runtime, tmp_path):
    stage = small.stage(*small.SELF_STUDIED, batch_norm="sync")
    store = small.beginning(trained, tmp_path, *parents(stage))
    (record,) = by_one([stage], store.root, runtime)
    local = trained.record(small.history(*small.SELF_STUDIED))
    assert small.same(*(small.loaded(r)["student"] for r in (record, local)))


def test_a_world_of_one_is_no_world(trained, runtime, tmp_path, monkeypatch):
    stage = small.stage(*small.CO_STUDIED)
    store = small.beginning(trained, tmp_path, *parents(stage))
    for name, value in ranks.variables(0, 1, 1).items():
        monkeypatch.setenv(name, value)
    (record,) = by_one([stage], store.root, runtime)
    small.assert_same_end(record, trained.record(stage.history))


@pytest.mark.slow
def test_torchrun_trains_a_stage_and_one_rank_speaks(trained, runtime, tmp_path):
    stage = small.stage(*small.SELF_STUDIED)
    stages = tmp_path / "results" / "stages"
    stages.mkdir(parents=True)
    small.beginning(trained, stages, *parents(stage))
    command = ranks.torchrun(
        trained.record(stage.history).stage_file, tmp_path / "results", runtime
    )
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    record = Store(stages).record(stage.history)
    assert "UserWarning" not in done.stderr
    said = done.stdout.splitlines()
    assert said[-1] == str(record.result_file)
    assert all(line.startswith("Progress(") for line in said[:-1])
    assert len(set(said)) == len(said)
    assert json.loads(record.environment_file.read_text())["ranks"] == 2
