"""Ready weights become a record like that of a pre-training, which others start from."""

from pathlib import Path

import pytest
import torch
from msgspec import ValidationError
from msgspec.structs import replace

from benchmarks.matrix import Grid, Label, Matrix
from benchmarks.pairs import cifar_resnet, from_file, pretrained_pair
from benchmarks.plan import plan
from qkd.data.standard import CIFAR10
from qkd.imports import FACTORIES, resolve
from qkd.phases import CO_STUDY, SELF_STUDY, TUTORING, qkd
from qkd.records.record import State, Store
from qkd.spec import Bits, Learner, Method, Part, Stage, Weights
from qkd.spec.history import before, parents, teacher_before
from qkd.spec.value import decode, encode, validated
from qkd.train import StageFailed, run_stage
from qkd.weights.files import sha256_of
from tests.support import small
from tests.support.launching import launch, report

READY = Path(__file__).parents[4] / "shared" / "data" / "cifar10_resnet"
WEIGHTS = Weights(source="file:ready.pt", sha256="0" * 64)


def written(folder, network, name="ready.pt"):
    """A file of random weights of the network."""
    torch.manual_seed(3)
    module = resolve(network.factory, FACTORIES)(**network.arguments)
    torch.save(module.state_dict(), folder / name)
    weights = Weights(source=f"file:{folder / name}")
    return replace(weights, sha256=sha256_of(weights, folder)), module


def history(weights=WEIGHTS, **changes):
    return replace(from_file(small.PAIR.student, small.PAIR.data, weights), **changes)


def test_the_content_names_the_state_and_the_path_does_not():
    assert replace(WEIGHTS, source="file:/other/place.th") != WEIGHTS
    assert history(replace(WEIGHTS, source="file:/other/place.th")).digest == history().digest
    others = [
        history(replace(WEIGHTS, sha256="1" * 64)),
        history(replace(WEIGHTS, entry="state_dict")),
        history(replace(WEIGHTS, rename={"module.": ""})),
        replace(history(), student=Learner(network=small.PAIR.student)),
    ]
    assert len({history().digest, *(other.digest for other in others)}) == 5


def test_ready_weights_have_no_other_start_and_no_bits_and_come_in_by_a_history_of_their_own():
    for more in ({"start": small.PAIR.student_start}, {"quantization": small.W2A2}):
        with pytest.raises(ValueError, match="no other start"):
            Learner(network=small.PAIR.student, weights=WEIGHTS, **more)
    with pytest.raises(ValueError, match="a history of no parts, which others start from"):
        history(parts=(Part(phase=SELF_STUDY, steps=1),))
    teacher = Learner(network=small.PAIR.teacher, weights=WEIGHTS)
    with pytest.raises(ValueError, match="a history of no parts"):
        replace(small.history((SELF_STUDY, 1), (TUTORING, 1)), teacher=teacher)


@pytest.mark.parametrize("source", ["ready.pt", "http://x/y.pt", "file:", ""])
def test_a_source_is_a_file(source):
    with pytest.raises(ValidationError, match="source"):
        validated(Weights(source=source))


def test_a_stage_of_no_steps_takes_in_ready_weights_and_does_nothing_else():
    stage = Stage(history=history(), steps=0)
    assert stage.label == "ready-weights"
    assert decode(encode(stage), Stage) == validated(stage)
    assert parents(stage) == ()
    for steps, value in ((1, history()), (0, small.history((SELF_STUDY, 3))), (0, small.history())):
        with pytest.raises(ValueError, match="within one phase"):
            Stage(history=value, steps=steps)


def started(**changes):
    student = Learner(network=small.PAIR.student, start=history(), quantization=small.W2A2)
    return replace(small.history((SELF_STUDY, 2)), student=student, **changes)


def test_others_start_from_it_as_from_a_pre_training():
    assert before(Stage(history=started(), steps=2)) == history()
    teacher = Learner(network=small.PAIR.student, start=history())
    taught = started(parts=(Part(phase=CO_STUDY, steps=2),), teacher=teacher)
    assert teacher_before(Stage(history=taught, steps=2)) == history()
    assert parents(Stage(history=taught, steps=2)) == (history(),)


def test_the_batches_are_those_of_any_other_start():
    # How a student began must not decide which images it sees: seeds stay comparable.
    assert started().draws == small.history((SELF_STUDY, 2)).draws


def matrix(weights, name="resnet8-width4"):
    pair = pretrained_pair(
        cifar_resnet(8, width=4, channels=1, classes=10, size=16),
        cifar_resnet(8, width=6, channels=1, classes=10, size=16),
        small.PAIR.data,
        steps=12,
        log_every=6,
        batch=16,
        weights={name: weights},
    )
    methods = (qkd(), Method(name="fp", shares=(), quantizer=None))
    grid = Grid(
        pair=pair,
        bits=(Bits(weight=2, activation=2),),
        methods=methods,
        seeds=(0,),
        recipe=replace(small.RECIPE, horizon=20),
    )
    return Matrix(name="ready", scale="smoke", label=Label(title="Ready"), grids=(grid,))


def test_a_plan_takes_the_weights_in_once_and_first():
    planned = plan(matrix(WEIGHTS).cells())
    stages = [p.stage for p in planned.stages.values()]
    assert sorted(s.label for s in stages) == [
        "co-study",
        "pre-training",
        "ready-weights",
        "self-study",
        "tutoring",
    ]
    assert stages[0].label == "ready-weights"
    assert [cell.history == stages[0].history for cell, _ in planned.cell_stages] == [True, False]
    assert planned.stages[stages[0].history.digest].macs == 0


def test_the_record_holds_the_weights_and_what_they_are_worth(tmp_path, runtime):
    weights, module = written(tmp_path, small.PAIR.student)
    first = history(weights)
    store = Store(tmp_path / "stages")
    run_stage(Stage(history=first, steps=0), store, runtime)
    store.refresh()
    record = store.record(first)
    assert record.state() == State.DONE
    assert record.path.name.startswith("resnet8-width4-fp-ready-weights-s0-")
    state = small.loaded(record)["student"]["network"]
    assert small.same(dict(state), dict(module.state_dict()))
    result = record.read_json(record.result_file)
    assert (result["steps"], result["seconds"]) == (0, 0.0)
    assert result["student"]["images"] == 160
    assert record.metrics() == []
    # The file is read once: what starts from it needs only the record.
    Path(weights.source.removeprefix("file:")).unlink()
    stage = Stage(
        history=replace(started(), student=replace(started().student, start=first)), steps=2
    )
    run_stage(stage, store, runtime)
    run_stage(Stage(history=first, steps=0), store, runtime)


def test_a_file_that_does_not_fit_fails_its_stage_with_the_reason(tmp_path, runtime):
    weights, _ = written(tmp_path, small.PAIR.teacher)
    store = Store(tmp_path / "stages")
    with pytest.raises(StageFailed, match=r"BadWeights: .*ready\.pt does not fit ResNet"):
        run_stage(Stage(history=history(weights), steps=0), store, runtime)


MINE = """
from benchmarks.matrix import Matrix
from qkd.spec.value import decode

def matrix(scale, seeds):
    return decode(TEXT, Matrix)
"""


def matrix_file(folder, name, value):
    file = folder / f"{name}.py"
    file.write_text(MINE.replace("TEXT", repr(encode(value))))
    return str(file)


def test_weights_that_do_not_fit_stop_a_launch_before_anything_is_trained(tmp_path, data):
    weights, _ = written(tmp_path, small.PAIR.teacher)
    file = matrix_file(tmp_path, "misfit", matrix(weights))
    code, output = launch("run", tmp_path / "results", data, MATRIX=file)
    assert code == 2
    assert "the network resnet8-width4: " in output
    assert "does not fit ResNet: of another shape: conv1.weight" in output
    assert not (tmp_path / "results" / "stages").exists()
    gone = matrix_file(tmp_path, "gone", matrix(Weights(source="file:nowhere.pt")))
    code, output = launch("plan", tmp_path / "results", data, MATRIX=gone)
    assert code == 2
    assert "nowhere.pt cannot be read" in output


@pytest.mark.slow
def test_a_launch_identifies_the_file_and_the_report_says_how_the_network_began(tmp_path, data):
    weights, _ = written(tmp_path, small.PAIR.student)
    value = matrix(replace(weights, sha256=""))
    results, page = tmp_path / "results", tmp_path / "page" / "index.html"
    code, output = launch("run", results, data, MATRIX=matrix_file(tmp_path, "ready", value))
    assert code == 0, output
    report(results, page)
    text = page.read_text()
    assert f"from the ready weights ready.pt (sha256 {weights.sha256[:12]})" in text
    rows = [
        line for line in (page.parent / "cells.csv").read_text().splitlines() if "ready" in line
    ]
    assert len(rows) == 2
    assert all(",done," in row for row in rows)


@pytest.mark.slow
@pytest.mark.skipif(not READY.is_dir(), reason="no ready checkpoints on this machine")
@pytest.mark.parametrize(("depth", "top1"), [(20, 91.73), (32, 92.63), (44, 93.10), (56, 93.39)])
def test_ready_networks_keep_their_measured_accuracy(depth, top1, tmp_path, real_cifar10):
    (file,) = READY.glob(f"resnet{depth}-*.th")
    weights = Weights(source=f"file:{file}", entry="state_dict", rename={"module.": ""})
    weights = replace(weights, sha256=sha256_of(weights, tmp_path))
    network = cifar_resnet(depth, width=16, channels=3, classes=10, size=32).network
    first = from_file(network, CIFAR10, weights)
    store = Store(tmp_path)
    run_stage(Stage(history=first, steps=0), store, small.runtime(real_cifar10))
    store.refresh()
    record = store.record(first)
    assert record.read_json(record.result_file)["student"]["top1"] == top1
