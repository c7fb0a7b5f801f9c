"""Stages on photos: the same loop, records and identity as on packed images."""

import hashlib
from functools import partial

import numpy as np
import pytest
import torch

from benchmarks.pairs import cifar_resnet, from_file, pretrained_pair
from qkd.data.cache import identify
from qkd.data.photos import decoding
from qkd.imports import FACTORIES, resolve
from qkd.phases import CO_STUDY, SELF_STUDY
from qkd.records.record import Store
from qkd.spec import NUMERICS, History, Learner, Recipe, Stage, Weights
from qkd.spec.history import grown
from qkd.train import StageFailed, run_stage
from qkd.training.loop import Stopped
from tests.support import small
from tests.support.jpegs import described, write_photos


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A tree in which one training and one test image are damaged."""
    root = write_photos(tmp_path_factory.mktemp("photos"), train=6)
    for name in ("train/n01/n01_1.JPEG", "val/n02/n02_0.JPEG"):
        (root / name).write_bytes(b"lost")
    return root


def stages(folder, **change):
    """Two pre-trainings, self-study and co-study of a few steps each."""
    data = identify(described(train_images=18, held_out=2, **change), folder)
    student, teacher = (
        cifar_resnet(8, width=width, channels=3, classes=3, size=16) for width in (4, 6)
    )
    pair = pretrained_pair(student, teacher, data, steps=5, log_every=5, batch=4)
    history = History(
        data=data,
        student=Learner(network=pair.student, start=pair.student_start, quantization=small.W2A2),
        recipe=Recipe(horizon=12, log_every=3, batch=4),
        seed=0,
        numerics=NUMERICS,
    )
    own = Learner(network=pair.teacher, start=pair.teacher_start)
    studied = grown(history, SELF_STUDY, 6, own)
    co_studied = grown(studied, CO_STUDY, 6, own)
    return [
        Stage(history=pair.student_start, steps=5),
        Stage(history=pair.teacher_start, steps=5),
        Stage(history=studied, steps=6),
        Stage(history=co_studied, steps=6),
    ]


def trained(folder, root, loaders=0, stop_after=None):
    """The records of all stages; with ``stop_after`` each stops after so many steps, again and
    again."""
    store, records = Store(root), []
    for stage in stages(folder, unreadable="skip"):
        runtime = small.runtime(folder, loaders=loaders)
        while True:
            steps = iter([False] * (stop_after or 10**6))
            try:
                run_stage(stage, store, runtime, should_stop=partial(next, steps, True))
                break
            except Stopped:
                continue
        store.refresh()
        records.append(store.record(stage.history))
    decoding.end_pool()
    return records


@pytest.fixture(scope="module")
def undisturbed(folder, tmp_path_factory):
    return trained(folder, tmp_path_factory.mktemp("undisturbed"))


def left_out(record):
    return record.read_json(record.result_file)["left_out"]


@pytest.mark.slow
@pytest.mark.parametrize(("loaders", "stop_after"), [(0, 1), (2, 2)])
def test_stages_that_were_stopped_end_as_undisturbed_ones(
    folder, undisturbed, tmp_path, loaders, stop_after
):
    for one, other in zip(trained(folder, tmp_path, loaders, stop_after), undisturbed, strict=True):
        small.assert_same_end(one, other)
        assert small.lines(one) == small.lines(other)
        assert small.scores(one) == small.scores(other)
        assert left_out(one) == left_out(other)
        assert one.read_json(one.environment_file)["loaders"] == loaders


def test_what_was_left_out_is_counted_in_the_record(undisturbed):
    for record in undisturbed:
        result = record.read_json(record.result_file)
        counted = result["left_out"]
        assert result["student"]["images"] == 6 - counted["test"] == 5
        assert set(counted["files"]) <= {"train/n01/n01_1.JPEG", "val/n02/n02_0.JPEG"}
        # An epoch of four steps has each image once: in six steps it is met once or twice.
        assert counted["training"] in (0, 1, 2)
    assert max(left_out(record)["training"] for record in undisturbed) >= 1
    proof = undisturbed[-1].read_json(undisturbed[-1].result_file)["integer"]
    assert proof["images"] == 5
    assert np.isfinite(proof["agreement"])


def test_so_is_what_the_test_of_ready_weights_left_out(folder, tmp_path):
    data = identify(described(train_images=18, unreadable="skip"), folder)
    network = cifar_resnet(8, width=4, channels=3, classes=3, size=16).network
    file = tmp_path / "ready.pt"
    torch.save(resolve(network.factory, FACTORIES)(**network.arguments).state_dict(), file)
    sha256 = hashlib.sha256(file.read_bytes()).hexdigest()
    history = from_file(network, data, Weights(source=f"file:{file}", sha256=sha256))
    store = Store(tmp_path / "stages")
    run_stage(Stage(history=history, steps=0), store, small.runtime(folder))
    store.refresh()
    counted = left_out(store.record(history))
    assert (counted["training"], counted["test"]) == (0, 1)
    assert list(counted["files"]) == ["val/n02/n02_0.JPEG"]


def test_files_are_not_left_out_of_a_part_of_a_batch(folder, tmp_path):
    stage, store = stages(folder, unreadable="skip")[0], Store(tmp_path)
    with pytest.raises(StageFailed, match="only one process with whole batches"):
        run_stage(stage, store, small.runtime(folder, micro_batches=2))


def test_or_the_stage_fails_and_its_record_names_the_file(folder, tmp_path):
    stage, store = stages(folder)[0], Store(tmp_path)
    with pytest.raises(StageFailed, match=r"DataError: .*\.JPEG cannot be decoded"):
        run_stage(stage, store, small.runtime(folder))
    record = store.record(stage.history)
    assert ".JPEG cannot be decoded" in record.read_json(record.failed_file)["message"]
