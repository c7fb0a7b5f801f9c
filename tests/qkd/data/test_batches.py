import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from qkd.data.batches import TrainingBatches, evaluation_batches, held_out, held_out_indices
from qkd.data.images import DataError, Images
from qkd.data.readers import synthetic
from qkd.data.standard import FASHION_MNIST, SYNTHETIC
from qkd.spec import Data
from qkd.spec.history import seed_of

CPU = torch.device("cpu")


def described(count=23, held=4, channels=2, pad=1, flip=True):
    return Data(
        name="numbered",
        reader="nowhere:read",
        train_images=count,
        classes=count,
        mean=(0.4, 0.6)[:channels],
        std=(0.2, 0.3)[:channels],
        held_out=held,
        pad=pad,
        flip=flip,
    )


def numbered(count=23, channels=2, height=4, width=3):
    """Images without equals; a label is the number of its image, so that it names it."""
    images = np.random.default_rng(count).integers(1, 256, (count, channels, height, width))
    return Images(images.astype(np.uint8), np.arange(count))


def batches_of(data, seed=0, batch=5):
    return TrainingBatches(data, numbered(data.train_images, len(data.mean)), seed, batch, CPU)


def normalised(image, data):
    mean, std = np.array(data.mean), np.array(data.std)
    return (image / 255 - mean[:, None, None]) / std[:, None, None]


descriptions = st.builds(
    described, channels=st.integers(1, 2), pad=st.integers(0, 3), flip=st.booleans()
)


@given(st.integers(0, 2**31 - 1), st.integers(0, 40), descriptions, st.integers(1, 9))
@settings(deadline=None, max_examples=50)
def test_a_batch_equals_the_slow_way_of_an_image_at_a_time(seed, step, data, size):
    channels, pad = len(data.mean), data.pad
    train = numbered(channels=channels)
    images, labels = TrainingBatches(data, train, seed, size, CPU).batch(step)
    assert images.dtype == torch.float32
    assert labels.dtype == torch.int64
    assert images.shape == (size, channels, 4, 3)

    kept = [i for i in range(23) if i not in held_out_indices(data)]
    epoch, position = divmod(step, len(kept) // size)
    generator = torch.Generator().manual_seed(seed_of(seed, "order", epoch))
    order = torch.randperm(len(kept), generator=generator).tolist()
    generator = torch.Generator().manual_seed(seed_of(seed, "augment", step))
    top, left = torch.randint(2 * pad + 1, (2, size), generator=generator).tolist()
    mirrored = torch.randint(2, (size,), generator=generator).tolist()
    for b in range(size):
        number = kept[order[position * size + b]]
        padded = np.pad(train.images[number], ((0, 0), (pad, pad), (pad, pad)))
        crop = padded[:, top[b] : top[b] + 4, left[b] : left[b] + 3]
        if data.flip and mirrored[b]:
            crop = crop[:, :, ::-1]
        assert labels[b] == number
        np.testing.assert_allclose(images[b], normalised(crop, data), rtol=1e-5, atol=1e-6)


@given(st.integers(0, 2**31 - 1), st.lists(st.integers(0, 30), max_size=6), st.integers(0, 30))
@settings(deadline=None)
def test_a_batch_depends_on_seed_and_step_whatever_was_asked_before(seed, before, step):
    asked = batches_of(described(), seed)
    for other in before:
        asked.batch(other)
    images, labels = asked.batch(step)
    fresh_images, fresh_labels = batches_of(described(), seed).batch(step)
    assert torch.equal(images, fresh_images)
    assert torch.equal(labels, fresh_labels)


@given(st.integers(0, 1000), st.integers(0, 5), st.integers(1, 19), st.integers(0, 6))
@settings(deadline=None)
def test_an_epoch_shows_no_image_twice_and_never_one_held_out(seed, epoch, batch, held):
    data = described(held=held)
    batches = batches_of(data, seed, min(batch, 23 - held))
    steps = range(epoch * batches.steps_per_epoch, (epoch + 1) * batches.steps_per_epoch)
    shown = torch.cat([batches.batch(step)[1] for step in steps]).tolist()
    assert len(set(shown)) == len(shown)
    assert not set(shown) & set(held_out(data, numbered()).labels.tolist())
    assert batches.steps_per_epoch == data.epoch_steps(min(batch, 23 - held))


def test_an_epoch_shows_every_image_where_batches_divide_it():
    data = described(held=3)
    batches = batches_of(data, batch=4)
    shown = torch.cat([batches.batch(step)[1] for step in range(batches.steps_per_epoch)])
    assert sorted([*shown.tolist(), *held_out_indices(data).tolist()]) == list(range(23))


def test_epochs_seeds_and_steps_differ():
    batches, other = batches_of(described(), seed=1), batches_of(described(), seed=2)
    labels = [tuple(batches.batch(step)[1].tolist()) for step in range(9)]
    assert len(set(labels)) == 9
    assert not torch.equal(batches.batch(0)[0], other.batch(0)[0])


def test_the_same_image_is_cropped_otherwise_in_another_epoch():
    batches = batches_of(described(count=2, held=1), batch=1)
    crops = {batches.batch(step)[0].numpy().tobytes() for step in range(100)}
    assert len(crops) == 18, "nine crops, each mirrored or not"


def test_without_border_and_mirror_an_image_stays_as_it_is():
    data = described(pad=0, flip=False)
    images, labels = batches_of(data).batch(7)
    for image, label in zip(images, labels.tolist(), strict=True):
        np.testing.assert_allclose(image, normalised(numbered().images[label], data), rtol=1e-5)


def test_a_batch_is_new_memory_each_time():
    batches = batches_of(described(pad=0, flip=False))
    first = batches.batch(0)[0]
    kept = first.clone()
    first.zero_()
    assert torch.equal(batches.batch(0)[0], kept)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")
def test_a_gpu_gets_the_same_bits():
    cuda = torch.device("cuda")
    on_gpu = TrainingBatches(described(), numbered(), 0, 5, cuda)
    on_cpu = batches_of(described())
    for step in range(9):
        for there, here in zip(on_gpu.batch(step), on_cpu.batch(step), strict=True):
            assert torch.equal(there.cpu(), here)


def test_held_out_images_are_the_same_whatever_else_changes():
    data = described(count=100, held=10)
    changed = replace(data, pad=0, flip=False, mean=(0.1, 0.1), digest="0" * 64)
    assert held_out_indices(data).tolist() == held_out_indices(changed).tolist()


@given(st.integers(1, 300), st.data())
@settings(deadline=None)
def test_more_held_out_includes_fewer(count, draw):
    more = draw.draw(st.integers(0, count))
    fewer = draw.draw(st.integers(0, more))
    large = held_out_indices(described(count=count, held=more)).tolist()
    assert len(set(large)) == more
    assert large == sorted(large)
    assert set(held_out_indices(described(count=count, held=fewer)).tolist()) <= set(large)


def test_held_out_images_come_with_their_labels():
    data, train = described(), numbered()
    held = held_out(data, train)
    np.testing.assert_array_equal(held.labels, held_out_indices(data))
    np.testing.assert_array_equal(held.images, train.images[held.labels])


@given(st.integers(1, 12), st.integers(1, 14))
@settings(deadline=None)
def test_evaluation_shows_every_image_once_in_order_and_as_it_is(count, batch):
    data, images = described(), numbered(count)
    parts = list(evaluation_batches(images, data, CPU, batch))
    assert all(len(labels) == batch for _, labels in parts[:-1])
    assert torch.cat([labels for _, labels in parts]).tolist() == list(range(count))
    seen = torch.cat([part for part, _ in parts])
    assert seen.dtype == torch.float32
    for image, original in zip(seen, images.images, strict=True):
        np.testing.assert_allclose(image, normalised(original, data), rtol=1e-5, atol=1e-6)


def test_memory_mapped_images_are_taken(tmp_path):
    data, train = described(), numbered()
    np.save(tmp_path / "images.npy", train.images)
    mapped = Images(np.load(tmp_path / "images.npy", mmap_mode="r"), train.labels)
    assert torch.equal(
        TrainingBatches(data, mapped, 0, 5, CPU).batch(3)[0], batches_of(data).batch(3)[0]
    )
    assert sum(len(labels) for _, labels in evaluation_batches(mapped, data, CPU, 10)) == 23


def test_part_of_the_training_images_is_an_error():
    for call in (held_out, lambda data, train: TrainingBatches(data, train, 0, 5, CPU)):
        with pytest.raises(DataError, match="22 training images given for numbered, which has 23"):
            call(described(), numbered(22))


def test_a_batch_larger_than_the_images_is_an_error():
    with pytest.raises(ValueError, match="a batch of 20 is more than the 19 images"):
        batches_of(described(), batch=20)


def test_a_negative_step_is_an_error():
    with pytest.raises(ValueError, match="step -1 is negative"):
        batches_of(described()).batch(-1)


def test_seeds_of_streams_are_what_they_were():
    assert seed_of(0, "order", 0) == 3_955_691_223_199_900_983
    assert seed_of(3, "augment", 1000) == 3_086_385_706_456_566_487


@given(st.integers(0, 2**31 - 1), st.text(max_size=9), st.integers(0, 10**9))
@settings(deadline=None)
def test_seeds_of_streams_have_63_bits(seed, stream, index):
    assert 0 <= seed_of(seed, stream, index) < 2**63


def test_held_out_images_are_what_they_were():
    assert held_out_indices(FASHION_MNIST)[:5].tolist() == [49, 95, 103, 229, 257]
    assert held_out_indices(SYNTHETIC)[:5].tolist() == [5, 12, 19, 26, 36]


def test_the_first_batch_is_what_it_was(tmp_path):
    train = synthetic.read(tmp_path).train
    images, labels = TrainingBatches(SYNTHETIC, train, 0, 8, CPU).batch(0)
    assert labels.tolist() == [9, 9, 3, 7, 4, 7, 2, 7]
    assert images.sum().item() == pytest.approx(-633.744, abs=1e-2)


@given(st.integers(0, 2**31 - 1), st.integers(0, 40), descriptions, st.integers(1, 4))
@settings(deadline=None, max_examples=20)
def test_the_shares_of_a_batch_are_the_batch(seed, step, data, ranks):
    batches = TrainingBatches(data, numbered(channels=len(data.mean)), seed, 2 * ranks, CPU)
    whole = batches.batch(step)
    shares = [batches.batch(step, slice(2 * rank, 2 * rank + 2)) for rank in range(ranks)]
    for place, tensor in enumerate(whole):
        assert torch.equal(torch.cat([share[place] for share in shares]), tensor)
