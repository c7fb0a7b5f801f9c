"""Batch norms measured again: by hand, and without a trace in the network that was trained."""

import copy
import math

import numpy as np
import pytest
import torch
from msgspec.structs import replace
from torch import nn

from qkd.data.batches import TrainingBatches, evaluation_batches
from qkd.data.images import Images
from qkd.measures.batch_norms import parts_of, reestimated
from qkd.measures.evaluate import evaluate
from qkd.records.record import Store
from qkd.records.schema import Result
from qkd.spec import Data
from qkd.train import run_stage
from tests.support import small

DATA = Data(
    name="grey",
    reader="qkd.data.synthetic:read",
    train_images=8,
    classes=2,
    mean=(0.0,),
    std=(1.0,),
)
LEVELS = np.array([0, 51, 102, 255, 204, 153, 51, 204], np.uint8)


class Bright(nn.Module):
    """Class 1 where a pixel is above the mean that its batch norm knows."""

    def __init__(self):
        super().__init__()
        self.norm = nn.BatchNorm2d(1)
        with torch.no_grad():
            self.norm.running_mean.fill_(10.0)

    def forward(self, images):
        value = self.norm(images).flatten(1)
        return torch.cat([-value, value], dim=1)


def images(levels, labels):
    return Images(np.asarray(levels, np.uint8).reshape(-1, 1, 1, 1), np.asarray(labels, np.int64))


TEST = images([0, 100, 150, 250], [0, 0, 1, 1])


class Trained:
    """Batches of four levels, by their steps; ``asked`` has the steps that were looked at."""

    def __init__(self):
        self.asked = []

    def levels(self, step):
        return np.roll(LEVELS, step)[:4] / 255 + step / 100

    def batch(self, step):
        self.asked.append(step)
        pixels = torch.tensor(self.levels(step), dtype=torch.float32).reshape(-1, 1, 1, 1)
        return pixels, torch.zeros(4, dtype=torch.int64)


def state(network):
    return copy.deepcopy(network.state_dict()), network.training, network.norm.momentum


@pytest.mark.parametrize(("steps", "last"), [(50, range(30, 50)), (3, range(3))])
def test_the_statistics_are_the_mean_over_the_last_batches(steps, last):
    network, batches = Bright().train(), Trained()
    before = state(network)
    found = reestimated(network, batches, steps, TEST, DATA)
    assert batches.asked == list(last)
    mean = np.mean([batches.levels(step).mean() for step in last])
    variance = np.mean([batches.levels(step).var(ddof=1) for step in last])
    values = (np.array([0, 100, 150, 250]) / 255 - mean) / math.sqrt(variance + 1e-5)
    signs = np.array([-1, -1, 1, 1])
    loss = np.log1p(np.exp(-2 * signs * values)).mean()
    assert found.images == 4
    assert found.correct1 == int((signs * values > 0).sum())
    assert found.loss == pytest.approx(loss, rel=1e-5)
    # What was trained is as it was.
    after = state(network)
    assert after[1:] == before[1:]
    assert all(torch.equal(after[0][name], tensor) for name, tensor in before[0].items())


@pytest.mark.parametrize(("batch_norm", "parts"), [("local", 6), ("sync", 3)])
def test_batches_are_cut_as_the_batch_norms_of_training_saw_them(batch_norm, parts):
    recipe = replace(small.history(*small.TUTORED).recipe, batch_norm=batch_norm)
    assert parts_of(recipe, ranks=2, micro_batches=3) == parts
    batches = Trained()
    found = reestimated(Bright(), batches, 1, TEST, DATA, parts=2)
    halves = batches.levels(0).reshape(2, 2)
    values = np.array([0, 100, 150, 250]) / 255 - halves.mean()
    values /= math.sqrt(halves.var(axis=1, ddof=1).mean() + 1e-5)
    loss = np.log1p(np.exp(-2 * np.array([-1, -1, 1, 1]) * values)).mean()
    assert found.loss == pytest.approx(loss, rel=1e-5)


def test_without_a_batch_norm_or_training_there_is_no_diagnostic():
    plain = nn.Sequential(nn.Flatten(), nn.Linear(1, 2))
    assert reestimated(plain, Trained(), 4, TEST, DATA) is None
    assert reestimated(Bright(), Trained(), 0, TEST, DATA) is None


def test_what_cannot_be_measured_loses_no_record():
    class Broken(Bright):
        def forward(self, images):
            raise RuntimeError("a user's network")

    assert reestimated(Broken(), Trained(), 4, TEST, DATA) is None
    lost = Bright()
    with torch.no_grad():
        lost.norm.weight.fill_(math.nan)
    assert reestimated(lost, Trained(), 4, TEST, DATA) is None


def test_of_statistics_that_were_followed_to_the_end_it_changes_nothing():
    """By the batches that training saw, augmented as it saw them."""
    data = replace(DATA, train_images=64, classes=2, pad=2, flip=True)
    rng = np.random.default_rng(0)
    levels = rng.integers(100, 255, (64, 1, 6, 6)).astype(np.uint8)
    drawn = Images(levels, np.zeros(64, np.int64))
    batches = TrainingBatches(data, drawn, 0, 16, torch.device("cpu"))
    network = Bright()
    network.norm.reset_running_stats()
    network.norm.momentum = None
    with torch.no_grad():
        for step in range(20):
            network.norm(batches.batch(step)[0])
    test = Images(levels, np.arange(64) % 2)
    kept = evaluate(network.eval(), evaluation_batches(test, data, torch.device("cpu")))
    found = reestimated(network, batches, 20, test, data)
    assert found.loss == pytest.approx(kept.loss, rel=1e-6)
    whole = torch.tensor(levels / 255, dtype=torch.float32)
    assert abs(float(whole.mean() - network.norm.running_mean)) > 0.1  # the border's


def result_of(store, history):
    record = store.record(history)
    return record.read(record.result_file, Result)


def test_a_stage_in_which_a_cell_ends_has_it_and_no_other_number_moves(trained, runtime, tmp_path):
    last = result_of(trained, small.history(*small.TUTORED))
    assert last.reestimated_training.images == last.student.images
    assert last.reestimated_training.correct is None
    stage = small.starts()[0]
    store = Store(tmp_path)
    run_stage(stage, store, replace(runtime, unproven=(stage.history.digest,)))
    store.refresh()
    without, having = result_of(store, stage.history), result_of(trained, stage.history)
    assert without.reestimated_training is None
    assert having.reestimated_training is not None
    assert without.student == having.student
    assert without.weights_sha256 == having.weights_sha256
    assert without.held_out == having.held_out
