"""Batch norms measured again: by hand, and without a trace in the network that was trained."""

import copy
import math

import numpy as np
import pytest
import torch
from msgspec.structs import replace
from torch import nn

from qkd.data.images import Images
from qkd.measures.batch_norms import ORDER_SEED, reestimated
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


TRAINING = images(LEVELS, LEVELS > 127)
TEST = images([0, 100, 150, 250], [0, 0, 1, 1])


def state(network):
    return copy.deepcopy(network.state_dict()), network.training, network.norm.momentum


@pytest.mark.parametrize("batch", [4, 3, 100])
def test_the_statistics_are_the_mean_over_whole_batches(batch):
    network = Bright().train()
    before = state(network)
    found = reestimated(network, TRAINING, TEST, DATA, batch)
    order = np.random.Generator(np.random.PCG64(ORDER_SEED)).permutation(8)
    whole = order[: 8 // batch * batch] if batch <= 8 else order
    parts = np.split(LEVELS[whole] / 255, range(batch, len(whole), batch))
    mean = np.mean([part.mean() for part in parts])
    variance = np.mean([part.var(ddof=1) for part in parts])
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


def test_without_a_batch_norm_or_images_there_is_no_diagnostic():
    plain = nn.Sequential(nn.Flatten(), nn.Linear(1, 2))
    assert reestimated(plain, TRAINING, TEST, DATA, 4) is None
    for levels in ([], [5]):
        few = images(levels, np.zeros(len(levels)))
        assert reestimated(Bright(), few, TEST, DATA, 4) is None


def test_what_cannot_be_measured_loses_no_record():
    class Broken(Bright):
        def forward(self, images):
            raise RuntimeError("a user's network")

    assert reestimated(Broken(), TRAINING, TEST, DATA, 4) is None
    lost = Bright()
    with torch.no_grad():
        lost.norm.weight.fill_(math.nan)
    assert reestimated(lost, TRAINING, TEST, DATA, 4) is None


def result_of(store, history):
    record = store.record(history)
    return record.read(record.result_file, Result)


def test_a_stage_in_which_a_cell_ends_has_it_and_no_other_number_moves(trained, runtime, tmp_path):
    last = result_of(trained, small.history(*small.TUTORED))
    assert last.reestimated.images == last.student.images
    assert last.reestimated.correct is None
    stage = small.starts()[0]
    store = Store(tmp_path)
    run_stage(stage, store, replace(runtime, unproven=(stage.history.digest,)))
    store.refresh()
    without, having = result_of(store, stage.history), result_of(trained, stage.history)
    assert without.reestimated is None
    assert having.reestimated is not None
    assert without.student == having.student
    assert without.weights_sha256 == having.weights_sha256
    assert without.held_out == having.held_out
