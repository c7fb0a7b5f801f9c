"""What `make speed` is made of. No time is asserted here: ratios are the command's own business."""

import json
from itertools import pairwise

import msgspec
import pytest
import torch
from torch import nn

from benchmarks.matrix import Matrix
from benchmarks.plan import plan
from benchmarks.settings import SettingsError
from benchmarks.speed import portable, side_by_side
from benchmarks.speed.figures import Figure, Machine, MachineSpeed, Point, judged
from benchmarks.speed.growth import _cells
from benchmarks.speed.machine import machine_of
from benchmarks.speed.portable import portable_steps
from benchmarks.speed.records import REFERENCE, _of_launch, _of_stages, walls_by_training
from benchmarks.speed.steps import CASES, LAPTOP, Case, kept_bytes, lean, quantized, step_of
from benchmarks.speed.telling import asked, told
from benchmarks.speed.timing import WARM_UP, Times, in_turn
from qkd.quantizers.interval import IntervalQuantizer
from qkd.records.launches import FILE, Launch, launches, note
from qkd.records.record import STAGES, Store
from qkd.records.schema import Accuracy, HeldOut, Proof, Result
from qkd.spec.value import decode, encode, validated
from qkd.training.portable import obstacles
from qkd.training.runtime import Runtime, cores
from slurm.planning.workers import workers_of

CPU = torch.device("cpu")
OBSTACLE = next(obstacles(on_cpu=True, environment={}), "")
COMMITTED = (
    ("ablation", None, "laptop"),
    ("rivals-today", None, "laptop"),
    ("lengths", 1600, "cifar10"),
    ("lengths", 400, "cifar10"),
)
SMALL = LAPTOP._replace(shape=(4, 1, 16, 16))


def test_the_two_are_timed_in_turn():
    order = []
    times = in_turn(lambda: order.append("base"), lambda: order.append("other"), rounds=5)
    assert order == ["base", "other"] * (WARM_UP + 5)
    assert len(times.base) == len(times.other) == 5


def test_a_figure_is_the_median_of_the_rounds_ratios_with_their_middle_half():
    # Ratios 1.0, 1.1, 1.2, 1.3, 1.9: the middle half of five lies between the second and fourth.
    times = Times([1.0, 2.0, 1.0, 2.0, 1.0], [1.0, 2.2, 1.2, 2.6, 1.9])
    figure = times.figure("group", "name", goal=1.15)
    assert (figure.ratio, figure.low, figure.high) == pytest.approx((1.2, 1.1, 1.3))
    assert figure.met is False
    assert times.figure("group", "name", goal=1.2).met is True
    assert times.figure("group", "name").met is None


def test_a_goal_may_be_a_floor():
    figure = Figure(group="g", name="n", ratio=30, low=29, high=31, goal=20, better="higher")
    assert judged(figure).met is True
    assert judged(msgspec.structs.replace(figure, ratio=19)).met is False


class Flat(Case):
    def batch(self, device):
        return torch.zeros(self.shape[:2]), torch.zeros(self.shape[0], dtype=torch.int64)


def test_kept_bytes_by_hand():
    # Of 64 rows stay the first layer's output, 64 x 5, for the second, and the log-probabilities,
    # 64 x 2, for the loss, which is a few bytes itself; the logits go.
    network = nn.Sequential(nn.Linear(3, 5, bias=False), nn.Linear(5, 2, bias=False))
    kept = kept_bytes(network, Flat("by hand", lambda: network, (64, 3, 1, 1), 2), CPU)
    assert 0 <= kept - 4 * 64 * (5 + 2) <= 64


def test_lean_keeps_what_float_training_does():
    kept = kept_bytes(SMALL.make(), SMALL, CPU)
    whole = kept_bytes(quantized(SMALL, CPU), SMALL, CPU)
    made_anew = kept_bytes(lean(quantized(SMALL, CPU)), SMALL, CPU)
    assert made_anew < 1.05 * kept < 1.3 * kept < whole


def test_what_a_hook_keeps_is_counted(monkeypatch):
    # A lean layer that keeps its rounded tensors after all must not look lean.
    def keeping(*rounded):
        return torch.autograd.graph.saved_tensors_hooks(lambda t: t, lambda t: t)

    made_anew = kept_bytes(lean(quantized(SMALL, CPU)), SMALL, CPU)
    monkeypatch.setattr("qkd.quantizers.layers.rounding_again", keeping)
    assert kept_bytes(lean(quantized(SMALL, CPU)), SMALL, CPU) > 1.3 * made_anew


def test_a_measured_step_trains():
    step = step_of(quantized(SMALL, CPU), SMALL, CPU)
    before = [p.detach().clone() for p in step.student.network.parameters()]
    step()
    moved = [not torch.equal(a, b) for a, b in zip(before, step.student.network.parameters())]  # noqa: B905
    assert sum(moved) > 0.7 * len(moved)  # a bias before a batch norm, say, has no gradient


@pytest.mark.parametrize("case", [case.name for case in CASES])
def test_every_measured_network_is_quantized_to_four_bits(case):
    case = next(one for one in CASES if one.name == case)
    case = case._replace(shape=(2, *case.shape[1:3], case.shape[3]))
    network = quantized(case, CPU)
    bits = [m.bits for m in network.modules() if isinstance(m, IntervalQuantizer)]
    assert bits.count(4) > 0.8 * len(bits)


@pytest.mark.slow
def test_processes_side_by_side_are_counted(monkeypatch):
    monkeypatch.setattr(side_by_side, "SECONDS", 0.5)
    assert side_by_side._throughput(2, 1, "cpu") > 0


@pytest.mark.slow
@pytest.mark.skipif(OBSTACLE != "", reason=OBSTACLE)
def test_the_price_of_portable_is_that_of_two_processes_in_turn():
    name = f"{LAPTOP.name}, float"
    (figure,) = portable_steps((name,), rounds=2)
    assert figure.ratio > 0
    assert figure.note.startswith("AVX2 against ")
    with portable.Stepping(name, {}) as step:
        step._process.kill()
        with pytest.raises(RuntimeError, match="ended, or hangs"):
            step()


def test_the_best_arrangement_is_that_of_the_highest_throughput(monkeypatch):
    monkeypatch.setattr(side_by_side, "arrangements", lambda device: [(1, 1), (1, 2), (2, 1)])
    figures = [Figure(group=side_by_side.GROUP, name="n", ratio=r) for r in (1.0, 1.2, 1.9)]
    assert side_by_side.best_of(figures, CPU) == 2
    assert side_by_side.best_of(figures[:2], CPU) == 1
    assert side_by_side.best_of([], CPU) == 0


def test_a_group_that_fails_is_skipped_with_its_reason_and_keeps_what_it_gave():
    def measure():
        yield Figure(group="g", name="first", ratio=1.0)
        raise RuntimeError("no compiler")

    skipped = {}
    found = told("compiled", measure, skipped)
    assert [figure.name for figure in found] == ["first"]
    assert skipped == {"compiled": "RuntimeError: no compiler"}


def test_only_some_groups_are_measured_where_they_are_asked_for():
    groups, skipped = {"one step": list, "another step": list, "photos": list}, {}
    assert asked(groups, "", skipped) == groups
    assert not skipped
    assert list(asked(groups, "one, photos", skipped)) == ["one step", "photos"]
    assert list(skipped) == ["another step"]
    with pytest.raises(SettingsError, match="'films'"):
        asked(groups, "films", skipped)


def test_sharing_never_costs_more_and_saves_more_the_more_methods_there_are():
    points = {(p.axis, int(p.value)): p.ratio for p in _cells()}
    counts = sorted(count for axis, count in points if axis == "cells, shared")
    for count in counts:
        assert points["cells, shared", count] <= points["cells, each alone", count] * (1 + 1e-12)
    saved = [points["cells, each alone", n] - points["cells, shared", n] for n in counts]
    assert all(later >= earlier - 1e-9 for earlier, later in pairwise(saved))
    assert saved[-1] > 0


def result(**fields):
    accuracy = Accuracy(correct1=1, images=2, top1=50.0)
    return Result(
        steps=1, student=accuracy, held_out=HeldOut(top1=None), images_per_second=1.0, **fields
    )


LAUNCH = Launch(
    matrix="ablation",
    scale="laptop",
    time="2026-01-02T03:04:05Z",
    workers=2,
    stages=3,
    wall_seconds=66.0,
    training_seconds=100.0,
    proof_seconds=20.0,
)


def test_a_launch_is_noted_and_read_back_past_damaged_lines(tmp_path):
    assert launches(tmp_path) == ([], [])
    note(tmp_path, LAUNCH)
    with (tmp_path / FILE).open("a") as file:
        file.write('{"matrix": 3}\n{"half')
        file.write("\n")
    note(tmp_path, msgspec.structs.replace(LAUNCH, stages=5))
    found, problems = launches(tmp_path)
    assert [launch.stages for launch in found] == [3, 5]
    assert [problem.split(",")[1] for problem in problems] == [" line 2", " line 3"]


def test_a_launchs_overhead_by_hand():
    figure = _of_launch(LAUNCH)  # 66 / (120 / 2)
    assert figure.ratio == pytest.approx(1.10)
    assert figure.met is True


def test_a_stages_overhead_by_hand_leaves_short_ones_out():
    proof = Proof(
        agreement=1.0, agreement_float32=1.0, top1=50.0, top1_reference=50.0, images=2, seconds=6.0
    )
    results = [
        result(wall_seconds=100.0, seconds=90.0, integer=proof),
        result(wall_seconds=59.0, seconds=1.0),
        result(seconds=90.0),
        None,
    ]
    (figure,) = _of_stages(results)
    assert figure.ratio == pytest.approx(0.04)


def test_the_committed_records_tell_what_of_a_stage_is_training(tmp_path):
    figures = list(walls_by_training(tmp_path))
    assert [figure.goal for figure in figures] == [1.12, 1.12, 1.05, 1.15]
    for figure, (name, steps, place) in zip(figures, COMMITTED, strict=True):
        wanted = digests(REFERENCE / place, name)
        wall = training = 0.0
        for record in Store(REFERENCE / place / STAGES).records():
            history = record.stage().history
            of_them = history.digest in wanted and steps in (None, history.recipe.horizon)
            if of_them and history.student.quantization:
                found = record.read(record.result_file, Result)
                wall, training = wall + found.wall_seconds, training + found.seconds
        assert figure.ratio == pytest.approx(wall / training)
        assert "quantized stages, trained by commit" in figure.note


def digests(place, name):
    matrix = decode((place / "matrices" / f"{name}-laptop.json").read_bytes(), Matrix)
    return {key for key, planned in plan(matrix.cells()).stages.items() if planned.parents}


def test_what_was_measured_is_read_back():
    machine = Machine(
        name="toy", processor="Toy", device="cpu", cores=2, threads=1, torch="2", date="2026-01-02"
    )
    figure = Figure(group="g", name="n", ratio=1.0, low=0.9, high=1.1)
    speed = MachineSpeed(
        machine=machine, figures=(figure,), growth=(Point(axis="width", value="8", ratio=1.0),)
    )
    assert decode(encode(speed), MachineSpeed) == speed
    assert json.loads(encode(speed))["figures"][0]["met"] is None


def test_a_launch_takes_the_number_of_workers_that_was_measured_best(tmp_path):
    (tmp_path / "speed").mkdir()
    (tmp_path / "speed" / "a.json").write_text("{}")  # damaged: as if it were not there
    machine = Machine(
        name="b", processor="GPU 7", device="cuda:0", cores=2, threads=1, torch="2", date=""
    )
    (tmp_path / "speed" / "b.json").write_bytes(
        encode(MachineSpeed(machine=machine, figures=(), workers=3))
    )
    assert workers_of(tmp_path, "GPU 7") == 3
    assert workers_of(tmp_path, "another") == workers_of(tmp_path / "none", "GPU 7") == 1


def test_what_is_said_of_this_machine_can_be_written():
    machine = machine_of(Runtime(), CPU)
    assert decode(encode(validated(machine)), Machine) == machine
    assert machine.cores == cores()
    assert machine.torch == str(torch.__version__)
