import gc
import multiprocessing
import os
import re
import signal
import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from qkd.data.batches import evaluation_batches, held_out, trained_indices, training_batches
from qkd.data.cache import load
from qkd.data.images import DataError
from qkd.data.photos import decoding
from qkd.data.photos.batches import DRAWS
from qkd.data.photos.crops import evaluation_crop, training_crop
from qkd.data.photos.decoding import decode
from qkd.spec.history import seed_of
from tests.support.jpegs import described, write_photos
from tests.support.launching import ROOT

CPU = torch.device("cpu")
BATCH = 4  # of 10 images that are trained on: two steps an epoch


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    return write_photos(tmp_path_factory.mktemp("photos"))


@pytest.fixture(autouse=True)
def _no_processes_are_left():
    yield
    decoding.end_pool()
    assert not multiprocessing.active_children()


def batches_of(tree, seed=0, loaders=0, **change):
    data = described(**change)
    return training_batches(data, load(data, tree, loaders).train, seed, BATCH, CPU)


def same(one, other):
    return all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


def normalised(pixels, data):
    mean, std = (np.array(v)[:, None, None] for v in (data.mean, data.std))
    return (pixels.numpy() / 255 - mean) / std


@settings(max_examples=20)
@given(st.integers(0, 2**31 - 1), st.integers(0, 9), st.booleans())
def test_a_batch_equals_the_slow_way_of_an_image_at_a_time(tree, seed, step, flip):
    data = described(flip=flip)
    train = load(data, tree).train
    images, labels = training_batches(data, train, seed, BATCH, CPU).batch(step)
    assert images.dtype == torch.float32
    assert labels.dtype == torch.int64

    kept = train.part(trained_indices(data))
    epoch, position = divmod(step, 2)
    generator = torch.Generator().manual_seed(seed_of(seed, "order", epoch))
    order = torch.randperm(10, generator=generator).tolist()[BATCH * position :][:BATCH]
    generator = torch.Generator().manual_seed(seed_of(seed, "augment", step))
    draws = torch.rand((BATCH, DRAWS), dtype=torch.float64, generator=generator).numpy()
    for b, number in enumerate(order):
        own = draws[b].copy()
        own[-1] = own[-1] if flip else 0.9
        (path,) = kept.paths(np.array([number]))
        crop = training_crop(decode(path), own, data.photos)
        assert labels[b] == kept.labels[number]
        np.testing.assert_allclose(images[b], normalised(crop, data), atol=2e-6)


def test_resumed_equals_undisturbed_byte_for_byte(tree):
    batches = batches_of(tree)
    undisturbed = [batches.batch(step) for step in range(7)]
    for begin in range(7):
        resumed = batches_of(tree)
        for step in range(begin, 7):
            assert same(resumed.batch(step), undisturbed[step])
    for step in (3, 3, 0, 6, 5):  # and in any order
        assert same(batches.batch(step), undisturbed[step])


@pytest.mark.slow
@pytest.mark.parametrize("loaders", [1, 2])
def test_any_number_of_processes_gives_the_same_bytes_also_in_turn_with_evaluation(tree, loaders):
    data = described()
    alone, split = batches_of(tree), load(data, tree, loaders)
    together = training_batches(data, split.train, 0, BATCH, CPU)
    tests = list(evaluation_batches(load(data, tree).test, data, CPU, 4))
    for step in (0, 1, 2):
        assert same(together.batch(step), alone.batch(step))
    for found, expected in zip(evaluation_batches(split.test, data, CPU, 4), tests, strict=True):
        assert same(found, expected)
    half_looked_at = evaluation_batches(split.test, data, CPU, 1)
    next(half_looked_at)
    for step in (3, 4, 9):
        assert same(together.batch(step), alone.batch(step))
    with pytest.raises(RuntimeError, match="another stream of photos has begun"):
        next(half_looked_at)


@pytest.mark.slow
def test_a_process_that_dies_is_a_clear_error_and_the_next_start_is_well(tree):
    data = described()
    batches = training_batches(data, load(data, tree, 1).train, 0, BATCH, CPU)
    batches.batch(0)
    (process,) = decoding.pool_of(data.photos, 1, False).loader._iterator._workers
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    with pytest.raises(RuntimeError, match=r"a process that decodes images died .* Lower LOADERS"):
        all(batches.batch(step) for step in range(1, 9))
    again = training_batches(data, load(data, tree, 1).train, 0, BATCH, CPU)
    assert same(again.batch(5), batches_of(tree).batch(5))


def beginning_pool(tree, loaders):
    """A pool whose processes work, and they."""
    data = described()
    batches = training_batches(data, load(data, tree, loaders).train, 0, BATCH, CPU)
    batches.batch(0)
    pool = decoding.pool_of(data.photos, loaders, False)
    return pool, batches, pool.loader._iterator._workers


@pytest.mark.slow
def test_another_pool_ends_the_processes_of_the_one_before_whoever_still_holds_it(tree):
    pool, batches, processes = beginning_pool(tree, 2)
    assert all(process.is_alive() for process in processes)
    other, *_ = beginning_pool(tree, 1)
    assert other is not pool
    assert not any(process.is_alive() for process in processes)
    assert same(batches.batch(1), batches_of(tree).batch(1))


@pytest.mark.slow
def test_a_pool_that_is_garbage_takes_its_processes_along(tree):
    pool, batches, processes = beginning_pool(tree, 1)
    decoding._pools.clear()
    pool.itself = pool  # what a traceback can do: torch's own ending comes too late in a cycle
    del pool, batches
    gc.collect()
    for process in processes:
        process.join(30)
        assert not process.is_alive()


FINISHES = """
import os, sys, signal, torch
from pathlib import Path
from tests.support.jpegs import described
from qkd.data.photos import decoding
from qkd.data.batches import training_batches
from qkd.data.cache import load

if __name__ == "__main__":
    data, tree = described(), Path(sys.argv[1])
    batches = training_batches(data, load(data, tree, 1).train, 0, 4, torch.device("cpu"))
    batches.batch(0)
    (process,) = decoding.pool_of(data.photos, 1, False).loader._iterator._workers
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR2):
        os.kill(process.pid, number)
    for step in range(1, 9):
        batches.batch(step)
    print(process.pid)
"""


@pytest.mark.slow
def test_what_is_signalled_to_all_stops_no_decoding_and_nothing_is_left_at_the_end(tree):
    done = subprocess.run(
        [sys.executable, "-c", FINISHES, str(tree)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    with pytest.raises(ProcessLookupError):
        os.kill(int(done.stdout), 0)


def test_every_image_that_is_trained_on_comes_once_in_an_epoch(tree, monkeypatch):
    data = described(train_images=12, held_out=0)
    batches = training_batches(data, load(data, tree).train, 3, BATCH, CPU)
    seen = []
    monkeypatch.setattr(decoding, "decode", lambda path: seen.append(path) or decode(path))
    for step in range(6):
        batches.batch(step)
    assert len(set(seen[:12])) == len(set(seen[12:])) == 12
    assert seen[:12] != seen[12:]


def test_held_out_images_are_not_trained_on(tree, monkeypatch):
    data = described(held_out=4)
    train = load(data, tree).train
    seen = set()
    monkeypatch.setattr(decoding, "decode", lambda path: seen.add(path) or decode(path))
    batches = training_batches(data, train, 0, BATCH, CPU)
    for step in range(8):
        batches.batch(step)
    held = held_out(data, train)
    assert len(seen) == 8
    assert not seen & set(held.paths(np.arange(4)))


@pytest.mark.parametrize(("rank", "ranks"), [(0, 1), (0, 2), (1, 2), (3, 4)])
def test_a_share_is_that_part_of_the_whole_batch_and_no_more_is_decoded(tree, rank, ranks):
    share = slice(rank * BATCH // ranks, (rank + 1) * BATCH // ranks)
    batches, whole = batches_of(tree), batches_of(tree)
    for step in (1, 2):
        expected = tuple(part[share] for part in whole.batch(step))
        assert same(batches.batch(step, share), expected)
    assert len(batches._request(5, share).paths) == BATCH // ranks


@pytest.mark.parametrize("batch", [1, 2, 4, 100])
def test_evaluation_has_every_image_once_and_in_order_whatever_the_batch(tree, batch):
    data = described()
    test = load(data, tree).test
    found = [torch.cat(parts) for parts in zip(*evaluation_batches(test, data, CPU, batch))]  # noqa: B905
    assert found[1].tolist() == test.labels.tolist()
    for image, path in zip(found[0], test.paths(np.arange(6)), strict=True):
        crop = evaluation_crop(decode(path), data.photos)
        np.testing.assert_allclose(image, normalised(crop, data), atol=2e-6)


def test_the_draws_of_the_network_stay_as_they_are(tree):
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    batches_of(tree).batch(0)
    assert torch.equal(torch.rand(3), expected)


@pytest.fixture
def damaged(tmp_path):
    root = write_photos(tmp_path / "damaged")
    for name in ("train/n01/n01_1.JPEG", "val/n02/n02_0.JPEG"):
        (root / name).write_bytes(b"lost")
    return root


def test_a_file_that_cannot_be_decoded_is_named(damaged):
    data = described()
    split = load(data, damaged)
    with pytest.raises(DataError, match=re.escape(f"{damaged}/val/n02/n02_0.JPEG cannot be")):
        list(evaluation_batches(split.test, data, CPU))
    batches = training_batches(data, split.train, 0, BATCH, CPU)
    with pytest.raises(DataError, match=r"n01_1\.JPEG cannot be decoded .*skip"):
        all(batches.batch(step) for step in range(4))


def test_or_it_is_left_out_and_counted_once_a_step(damaged):
    data = described(held_out=0, unreadable="skip")
    split = load(data, damaged)
    batches = training_batches(data, split.train, 0, BATCH, CPU)
    sizes = [len(batches.batch(step)[1]) for step in (*range(6), 0, 1, 2)]
    assert sum(sizes[:6]) == 22
    tested = sum(len(labels) for _, labels in evaluation_batches(split.test, data, CPU))
    assert tested == 5
    counted = split.test.left_out.counted(6 - tested)
    assert counted.training == 2
    assert counted.test == 1
    assert sorted(counted.files) == ["train/n01/n01_1.JPEG", "val/n02/n02_0.JPEG"]

    resumed = load(data, damaged).train.left_out
    resumed.restore(split.train.left_out.state())
    assert resumed.counted(1) == split.test.left_out.counted(1)


def test_a_batch_of_which_nothing_can_be_decoded_is_an_error(damaged):
    for file in (damaged / "train").glob("*/*"):
        file.write_bytes(b"lost")
    data = described(unreadable="skip")
    batches = training_batches(data, load(data, damaged).train, 0, BATCH, CPU)
    with pytest.raises(DataError, match=r"no file of step 2 can be decoded: .*JPEG"):
        batches.batch(2)


def test_a_file_that_vanished_is_an_error_even_where_broken_ones_are_left_out(damaged):
    data = described(unreadable="skip")
    test = load(data, damaged).test
    (damaged / "val" / "n03" / "n03_1.JPEG").unlink()
    with pytest.raises(OSError, match=r"n03_1\.JPEG"):
        list(evaluation_batches(test, data, CPU))


def test_a_step_before_the_first_is_an_error(tree):
    with pytest.raises(ValueError, match="step -1 is negative"):
        batches_of(tree).batch(-1)


def test_fewer_images_than_a_batch_are_an_error(tree):
    data = described()
    with pytest.raises(ValueError, match="a batch of 11 is more than the 10 images"):
        training_batches(data, load(data, tree).train, 0, 11, CPU)
    with pytest.raises(DataError, match="pass them all"):
        training_batches(replace(data, train_images=13), load(data, tree).train, 0, 4, CPU)
