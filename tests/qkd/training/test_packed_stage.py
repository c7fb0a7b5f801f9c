"""Stages on a tree of photos, and on shards and parquet files of it, have equal records."""

import pytest

from benchmarks.pairs import cifar_resnet, pretraining
from qkd.data.cache import identify
from qkd.records.record import Store
from qkd.spec import Stage
from qkd.train import run_stage
from tests.support import small
from tests.support.jpegs import described, write_photos
from tests.support.packed import write_parquet, write_shards


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    return write_photos(tmp_path_factory.mktemp("tree") / "mine", train=6)


def trained(folder, root):
    """The record of three steps on the photos in the folder."""
    data = identify(described(train_images=18), folder)
    network = cifar_resnet(8, width=4, channels=3, classes=3, size=16).network
    history = pretraining(network, data, steps=3, log_every=1, batch=4)
    store = Store(root)
    run_stage(Stage(history=history, steps=3), store, small.runtime(folder))
    store.refresh()
    return store.record(history)


@pytest.mark.parametrize("form", ["shards", "parquet"])
def test_the_three_forms_give_equal_records(form, tree, tmp_path):
    if form == "parquet":
        pytest.importorskip("pyarrow")
    packed = (write_parquet if form == "parquet" else write_shards)(tree, tmp_path / "packed")
    expected, found = trained(tree, tmp_path / "tree"), trained(packed, tmp_path / form)
    assert found.path.name == expected.path.name
    small.assert_same_end(found, expected)
    assert small.lines(found) == small.lines(expected)
    assert len(small.lines(found)) == 3
    assert small.scores(found) == small.scores(expected)
