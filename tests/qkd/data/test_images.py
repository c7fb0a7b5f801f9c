import hashlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from qkd.data.images import (
    DataError,
    Images,
    Split,
    canonical,
    content_digest,
    ordered_digest,
    validated,
)


@st.composite
def some_images(draw):
    """Few distinct values, so that equal labels and equal images are common."""
    shape = draw(st.tuples(st.integers(1, 6), st.integers(1, 2), st.integers(1, 2), st.just(2)))
    images = draw(arrays.arrays(np.uint8, shape, elements=st.sampled_from([0, 1, 255])))
    return Images(images, draw(arrays.arrays(np.int64, shape[:1], elements=st.integers(0, 2))))


def shuffled(images, seed):
    order = np.random.default_rng(seed).permutation(len(images.labels))
    return Images(images.images[order], images.labels[order])


def pairs(images):
    return [
        (label, image.tobytes())
        for label, image in zip(images.labels.tolist(), images.images, strict=True)
    ]


def two(count=2, height=3):
    return Images(np.zeros((count, 1, height, 3), np.uint8), np.arange(count, dtype=np.int64) % 2)


@given(some_images())
@settings(deadline=None)
def test_canonical_order_is_by_label_then_bytes(images):
    assert pairs(canonical(images)) == sorted(pairs(images))


@given(some_images(), some_images(), st.integers(0, 9))
@settings(deadline=None)
def test_digest_does_not_depend_on_the_order_of_the_images(train, test, seed):
    digest = content_digest(Split(train, test))
    assert digest == content_digest(Split(shuffled(train, seed), shuffled(test, seed)))
    assert digest == ordered_digest(Split(canonical(train), canonical(test)))


@given(some_images(), st.data())
@settings(deadline=None)
def test_digest_depends_on_every_pixel_and_label(images, data):
    before = content_digest(Split(images, images))
    changed = Images(images.images.copy(), images.labels.copy())
    array = data.draw(st.sampled_from(changed))
    array.flat[data.draw(st.integers(0, array.size - 1))] ^= 2
    assert content_digest(Split(images, changed)) != before
    assert content_digest(Split(changed, images)) != before


def test_digest_depends_on_the_shape():
    labels = np.zeros(1, np.int64)
    tall = Images(np.zeros((1, 1, 4, 1), np.uint8), labels)
    wide = Images(np.zeros((1, 1, 1, 4), np.uint8), labels)
    assert content_digest(Split(tall, tall)) != content_digest(Split(wide, wide))


def test_digest_is_the_sha256_of_shapes_images_and_labels():
    train = Images(np.array([[[[7]]], [[[5]]]], np.uint8), np.array([1, 0]))
    test = Images(np.array([[[[9]]]], np.uint8), np.array([2]))
    content = (
        b"(2, 1, 1, 1)\x05\x07" + bytes(8) + b"\x01" + bytes(7) + b"(1, 1, 1, 1)\x09\x02" + bytes(7)
    )
    assert content_digest(Split(train, test)) == hashlib.sha256(content).hexdigest()


def test_labels_of_any_integer_type_become_int64():
    images, labels = two()
    checked = validated(
        Split(Images(images, labels.astype(np.uint8)), two()), classes=2, source="here"
    )
    assert checked.train.labels.dtype == np.int64
    np.testing.assert_array_equal(checked.train.labels, labels)


@pytest.mark.parametrize(
    ("split", "message"),
    [
        (None, "here returned NoneType"),
        (Split(two(), None), "here, test: NoneType"),
        (Split(Images(two().images / 255.0, two().labels), two()), "here, train: images are float"),
        (Split(two(), Images(two().images[:, 0], two().labels)), "here, test: images are uint8 of"),
        (Split(two(), two(count=0)), "here, test: no images"),
        (Split(Images(two().images, two().labels[:1]), two()), "labels are int64 of shape (1,)"),
        (Split(Images(two().images, two().labels / 1.0), two()), "labels are float64 of shape"),
        (Split(Images(two().images, two().labels + 1), two()), "labels from 1 to 2, but 2 classes"),
        (Split(Images(two().images, two().labels - 1), two()), "labels from -1 to 0"),
        (Split(two(), two(height=4)), "here: training images of shape (1, 3, 3) and test images"),
    ],
)
def test_what_a_reader_must_not_return_is_an_error_that_says_where(split, message):
    with pytest.raises(DataError) as caught:
        validated(split, classes=2, source="here")
    assert message in str(caught.value)
