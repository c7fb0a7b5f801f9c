import math
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from msgspec.structs import replace

from qkd.data.batches import TrainingBatches
from qkd.data.cache import load
from qkd.data.standard import SYNTHETIC
from qkd.phases import CO_STUDY, SELF_STUDY, TUTORING
from qkd.records.record import Store
from qkd.spec import Learner, Network, Stage
from qkd.spec.history import grown, parents
from qkd.train import run_stage
from qkd.training.begin import build, student_at_start, teacher_at_start
from qkd.training.folding import fold
from qkd.training.loop import Stopped
from qkd.training.step import train_step
from tests.support import small

CPU = torch.device("cpu")
SELF_STUDIED = small.history(*small.SELF_STUDIED)
CO_STUDIED = small.history(*small.CO_STUDIED)
TUTORED = small.history(*small.TUTORED)
STARTS = (small.PAIR.student_start, small.PAIR.teacher_start)


def stopped_after(steps):
    calls = iter([False] * (steps - 1) + [True])
    return lambda: next(calls)


def run(stage, store, runtime, **arguments):
    run_stage(stage, store, runtime, **arguments)
    store.refresh()
    return store.record(stage.history)


@pytest.mark.parametrize(
    ("before_cut", "whole", "cuts"),
    [
        ((), (SELF_STUDY, 20), (3, 17)),
        ((), (SELF_STUDY, 20), (1, 9, 10)),
        (small.SELF_STUDIED, (CO_STUDY, 20), (13, 7)),
        (small.CO_STUDIED, (TUTORING, 10), (4, 6)),
    ],
)
def test_where_a_phase_is_cut_changes_no_number(
    *, before_cut, whole, cuts, trained, runtime, tmp_path
):
    phase, steps = whole
    undisturbed = trained.record(small.history(*before_cut, whole))
    first = small.stage(*before_cut, whole)
    store = small.beginning(trained, tmp_path, *parents(first))
    lines, done = [], 0
    for length in cuts:
        done += length
        stage = small.stage(*before_cut, (phase, done), steps=length)
        record = run(stage, store, runtime)
        lines += small.lines(record)
        assert record.read_json(record.result_file)["trained_steps"] == length
    assert done == steps
    small.assert_same_end(record, undisturbed)
    assert lines == small.lines(undisturbed)
    assert small.scores(record) == small.scores(undisturbed)


def test_the_teacher_learns_in_co_study(trained):
    end = small.loaded(trained.record(CO_STUDIED))
    start = small.loaded(trained.record(small.PAIR.teacher_start))["student"]["network"]
    taught = end["teacher"]["network"]
    assert list(taught) == list(start)
    assert not torch.equal(taught["conv1.weight"], start["conv1.weight"])
    assert end["step"] == 40


def test_tutoring_begins_with_the_co_studied_teacher_and_leaves_it_frozen(trained, runtime):
    stage = small.stage(*small.TUTORED)
    teacher = teacher_at_start(stage, trained, CPU)
    state = {name: value.clone() for name, value in teacher.network.state_dict().items()}
    assert small.same(state, frozen(small.loaded(trained.record(CO_STUDIED))["teacher"]["network"]))
    student = teacher_at_start(small.stage(*small.CO_STUDIED), trained, CPU)  # one that learns
    images = TrainingBatches(SYNTHETIC, load(SYNTHETIC, Path(runtime.data)).train, 0, 16, CPU)
    for step in range(3):
        train_step(
            replace_terms(student, stage),
            teacher,
            *images.batch(step),
            recipe=small.RECIPE,
            seed=0,
            step=step,
        )
    assert small.same(dict(teacher.network.state_dict()), state)
    assert not teacher.network.training
    assert all(p.grad is None for p in teacher.network.parameters())
    assert small.loaded(trained.record(TUTORED))["teacher"] is None


def frozen(state):
    """What becomes of a teacher's state when it is frozen: its batch norms are folded."""
    network = build(small.TEACHER, 0, "teacher-weights", CPU)
    network.load_state_dict(state)
    return dict(fold(network).state_dict())


def replace_terms(side, stage):
    side.terms = stage.history.parts[-1].phase.student
    return side


def test_a_stage_writes_into_no_record_but_its_own(trained, runtime, tmp_path):
    store = small.beginning(trained, tmp_path, *STARTS)
    for stage in small.stages()[2:]:
        others = {p: small.hashes(p) for p in tmp_path.iterdir()}
        run(stage, store, runtime)
        assert {p: small.hashes(p) for p in others} == others
        assert len(list(tmp_path.iterdir())) == len(others) + 1
    small.assert_same_end(store.record(TUTORED), trained.record(TUTORED))


def test_tutoring_without_co_study_uses_the_pre_trained_teacher(trained, runtime, tmp_path):
    stage = small.stage(*small.SELF_STUDIED, (TUTORING, 5))
    store = small.beginning(trained, tmp_path, *parents(stage))
    teacher = small.loaded(store.record(small.PAIR.teacher_start))["student"]["network"]
    loaded = teacher_at_start(stage, store, CPU).network.state_dict()
    assert small.same(dict(loaded), frozen(teacher))
    assert "teacher" not in small.written(run(stage, store, runtime))[-1]


def test_tutoring_by_the_original_teacher_takes_its_start_and_the_students_momentum(
    trained, runtime, tmp_path
):
    original = replace(TUTORING, name="tutoring-start", teacher_state="start")
    stage = small.stage(*small.CO_STUDIED, (original, 5))
    store = small.beginning(trained, tmp_path, *parents(stage))
    start = small.loaded(store.record(small.PAIR.teacher_start))["student"]["network"]
    assert small.same(dict(teacher_at_start(stage, store, CPU).network.state_dict()), frozen(start))
    before = small.loaded(store.record(CO_STUDIED))["student"]["optimiser"]["state"]
    images = TrainingBatches(SYNTHETIC, load(SYNTHETIC, Path(runtime.data)).train, 0, 16, CPU)
    student = student_at_start(stage, store, images, CPU)
    assert small.same(student.optimiser.state_dict()["state"], before)
    record = run(stage, store, runtime)
    usual = small.beginning(trained, tmp_path / "usual", CO_STUDIED)
    other = run(small.stage(*small.CO_STUDIED, (TUTORING, 5)), usual, runtime)
    first, second = (small.loaded(one)["student"]["network"] for one in (record, other))
    assert not small.same(first, second)


def test_plain_kd_may_have_the_teacher_that_a_co_study_left(trained, runtime, tmp_path):
    teacher = Learner(network=small.PAIR.teacher, start=CO_STUDIED, side="teacher")
    stage = Stage(history=grown(small.history(), TUTORING, 5, teacher), steps=5)
    store = small.beginning(trained, tmp_path, *parents(stage))
    left = small.loaded(store.record(CO_STUDIED))["teacher"]["network"]
    assert small.same(dict(teacher_at_start(stage, store, CPU).network.state_dict()), frozen(left))
    student = small.loaded(run(stage, store, runtime))["student"]["network"]
    usual = small.stage((TUTORING, 5))
    plain = small.beginning(trained, tmp_path / "usual", *parents(usual))
    assert not small.same(student, small.loaded(run(usual, plain, runtime))["student"]["network"])


def test_a_ramp_counts_from_the_begin_of_its_phase_wherever_it_is_cut(trained, runtime, tmp_path):
    kl = replace(CO_STUDY.teacher[1], ramp=8)
    ramped = replace(CO_STUDY, name="co-study-ramp", teacher=(CO_STUDY.teacher[0], kl))
    whole = small.stage(*small.SELF_STUDIED, (ramped, 10))
    once = run(whole, small.beginning(trained, tmp_path, *parents(whole)), runtime)
    first = small.stage(*small.SELF_STUDIED, (ramped, 3))
    store = small.beginning(trained, tmp_path / "cut", *parents(first))
    run(first, store, runtime)
    twice = run(small.stage(*small.SELF_STUDIED, (ramped, 10), steps=7), store, runtime)
    small.assert_same_end(once, twice)
    usual = small.stage(*small.SELF_STUDIED, (CO_STUDY, 10))
    plain = run(usual, small.beginning(trained, tmp_path / "usual", *parents(usual)), runtime)
    teachers = [small.loaded(one)["teacher"]["network"] for one in (once, plain)]
    assert not small.same(*teachers)


def test_a_record_holds_its_fixed_set_of_files(trained):
    for record in trained.records():
        is_quantized = record.stage().history.student.quantization is not None
        assert sorted(f.name for f in record.path.iterdir()) == [
            "checkpoint.pt",
            "env.json",
            *["histograms.json"] * is_quantized,
            "log.txt",
            "metrics.jsonl",
            "result.json",
            "stage.json",
        ]
        result = record.read_json(record.result_file)
        sha256 = small.hashes(record.path)["checkpoint.pt"]
        assert result["checkpoint_sha256"] == sha256
        assert result["checkpoint_bytes"] == record.checkpoint_file.stat().st_size
        assert record.stage().history.digest == record.digest
        environment = record.read_json(record.environment_file)
        assert environment["torch"] == torch.__version__
        assert environment["threads"] == 1


def test_every_image_is_evaluated_once_and_every_number_is_finite(trained):
    for record in trained.records():
        result = record.read_json(record.result_file)
        sides = [result["student"], *([result["teacher"]] if "teacher" in result else [])]
        for line in small.written(record):
            assert line["student"]["images"] == 64
            assert all(math.isfinite(v) for v in line["losses"].values())
        for side in sides:
            assert side["images"] == 160
            assert 0 <= side["correct1"] <= side["correct5"] <= 160
            assert side["top1"] == 100 * side["correct1"] / 160


def test_a_line_of_metrics_every_fifth_step_with_both_sides_in_co_study(trained):
    lines = small.written(trained.record(CO_STUDIED))
    assert [line["step"] for line in lines] == [25, 30, 35, 40]
    for line in lines:
        assert line["phase"] == "co-study"
        assert sorted(line["losses"]) == [
            "student_cross_entropy",
            "student_distillation",
            "teacher_cross_entropy",
            "teacher_distillation",
        ]
        # The last step of the line, counted from 0; the recipe's horizon is 60.
        rate = 0.01 * (1 + math.cos(math.pi * (line["step"] - 1) / 60)) / 2
        assert line["learning_rate"] == pytest.approx(rate, rel=1e-12)
        assert line["teacher_learning_rate"] == line["learning_rate"]
        assert len(line["intervals"]) == 15
        assert all(value > 0 for value in line["intervals"].values())


def test_the_best_so_far_is_the_first_best_of_all_lines_since_the_start(trained):
    lines = [
        line
        for h in (SELF_STUDIED, CO_STUDIED, TUTORED)
        for line in small.written(trained.record(h))
    ]
    record = trained.record(TUTORED)
    best = record.read_json(record.result_file)["held_out"]
    tops = [line["student"]["top1"] for line in lines]
    assert best["top1"] == max(tops)
    assert best["step"] == lines[tops.index(max(tops))]["step"]
    assert best["last"] == tops[-1]


def test_a_done_stage_returns_at_once(trained, tmp_path):
    record = trained.record(SELF_STUDIED)
    before_it = small.hashes(record.path)
    nowhere = small.runtime(tmp_path / "no" / "data")
    run_stage(small.stage(*small.SELF_STUDIED), trained, nowhere)
    assert small.hashes(record.path) == before_it


@pytest.mark.parametrize("precision", ["float32", "tf32", "bfloat16"])
def test_another_seed_and_precision_give_other_numbers_but_the_same_twice(
    precision, trained, runtime, tmp_path
):
    stage = small.stage((CO_STUDY, 5), precision=precision)
    other = replace(stage, history=replace(stage.history, seed=1))
    folders = [tmp_path / "a", tmp_path / "b"]
    for folder in folders:
        folder.mkdir()
    stores = [small.beginning(trained, folder, *parents(stage)) for folder in folders]
    records = [run(stage, store, runtime) for store in stores]
    small.assert_same_end(*records)
    elsewhere = run(other, stores[0], runtime)
    ends = [small.loaded(record)["student"]["network"] for record in (records[0], elsewhere)]
    assert not torch.equal(ends[0]["conv1.weight"], ends[1]["conv1.weight"])
    assert ends[0]["conv1.weight"].dtype == torch.float32


OWN = """
from torch import nn

def dropping(p: float) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, stride=2), nn.ReLU(), nn.Conv2d(4, 4, 1), nn.ReLU(), nn.Dropout(p),
        nn.Flatten(), nn.Linear(196, 10),
    )
"""


def test_dropout_goes_on_where_a_stopped_stage_left_it(runtime, tmp_path, user_file):
    file = user_file("dropping_network.py", OWN)
    network = Network(name="d", factory="dropping_network:dropping", arguments={"p": 0.5})
    student = Learner(network=network, quantization=small.W2A2)
    history = replace(small.history((SELF_STUDY, 6)), student=student)
    own = small.runtime(runtime.data, matrix_file=str(file))
    stage = replace(small.stage((SELF_STUDY, 6)), history=history)
    whole = run(stage, Store(tmp_path / "a"), own)
    with pytest.raises(Stopped, match="saved at step 2"):
        run(stage, Store(tmp_path / "b"), own, should_stop=stopped_after(2))
    torch.manual_seed(123)
    small.assert_same_end(run(stage, Store(tmp_path / "b"), own), whole)


@pytest.mark.slow
def test_a_stage_runs_by_itself_from_its_file(trained, runtime, tmp_path):
    stage = small.stage(*small.SELF_STUDIED)
    stages = tmp_path / "results" / "stages"
    stages.mkdir(parents=True)
    small.beginning(trained, stages, *parents(stage))
    command = [
        sys.executable,
        "-m",
        "qkd.train",
        str(trained.record(SELF_STUDIED).stage_file),
        "--results",
        str(tmp_path / "results"),
        "--data",
        runtime.data,
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    record = Store(stages).record(SELF_STUDIED)
    assert done.stdout.splitlines()[-1] == str(record.result_file)
    assert done.stderr == ""
    small.assert_same_end(record, trained.record(SELF_STUDIED))
