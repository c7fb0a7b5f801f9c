import os

import numpy as np
import pytest
import torch
from msgspec.structs import replace

from qkd.data.batches import evaluation_batches, training_batches
from qkd.data.cache import identify, load
from qkd.data.images import DataError
from qkd.data.readers import imagenet, tiny_imagenet
from tests.support.jpegs import described, write_photos
from tests.support.tiny import write_tiny

DATA = replace(described(), reader="qkd.data.readers.tiny_imagenet:read")


@pytest.fixture
def tiny(tmp_path):
    return write_tiny(tmp_path / "tiny-imagenet-200")


def test_labels_count_the_sorted_wnids_and_the_annotations_tell_those_of_val(tiny):
    split = load(DATA, tiny.parent)
    names = [name.decode().split("/")[1] for name in split.train.names.tolist()]
    assert names == [f"n0{label}" for label in split.train.labels]
    assert split.train.labels.tolist() == [0] * 4 + [1] * 4 + [2] * 4
    found = dict(zip(split.test.names.tolist(), split.test.labels.tolist(), strict=True))
    lines = (tiny / "val" / "val_annotations.txt").read_text().splitlines()
    rows = [line.split("\t") for line in lines]
    assert found == {
        os.fsencode(f"val/images/{row[0]}"): ("n00", "n01", "n02").index(row[1]) for row in rows
    }
    assert identify(DATA, tiny).digest == identify(DATA, tiny.parent).digest


def test_they_are_batches_of_64_pixels(tiny):
    data = replace(DATA, photos=replace(DATA.photos, size=64, resize=64))
    split = load(data, tiny)
    images, labels = training_batches(data, split.train, 0, 5, torch.device("cpu")).batch(0)
    assert images.shape == (5, 3, 64, 64)
    assert labels.shape == (5,)
    (evaluated,) = evaluation_batches(split.test, data, torch.device("cpu"))
    assert evaluated[0].shape == (6, 3, 64, 64)


def test_another_annotation_is_other_data(tiny):
    before = identify(DATA, tiny).digest
    file = tiny / "val" / "val_annotations.txt"
    file.write_text("".join(reversed(file.read_text().replace("n01", "n03").splitlines(True))))
    with pytest.raises(DataError, match=r"val_annotations\.txt, line 2: 'n03' is no class"):
        load(DATA, tiny)
    text = file.read_text().replace("n02", "n0X").replace("n00", "n02").replace("n0X", "n00")
    file.write_text(text.replace("n03", "n01"))
    assert identify(DATA, tiny).digest != before


@pytest.mark.parametrize(
    ("file", "change", "message"),
    [
        ("wnids.txt", lambda text: text + "n00\n", r"wnids\.txt is empty or names a class twice"),
        ("wnids.txt", lambda _: "", r"wnids\.txt is empty"),
        ("wnids.txt", lambda text: text + "../n01\n", r"names '\.\./n01', which is no class"),
        ("wnids.txt", lambda text: text + "n07\n", r"n07/images cannot be listed"),
        (
            "val/val_annotations.txt",
            lambda text: text.replace("\t", " "),
            r"line 1: '' is no class of wnids\.txt",
        ),
        (
            "val/val_annotations.txt",
            lambda text: text + "val_9.JPEG\tn00\n",
            r"line 7: 'val_9\.JPEG' is not in val/images",
        ),
        (
            "val/val_annotations.txt",
            lambda text: text + "val_0.JPEG\tn00\n",
            r"line 7: 'val_0\.JPEG' is not in val/images, or is named twice",
        ),
        (
            "val/val_annotations.txt",
            lambda text: text.partition("\n")[2],
            r"does not name val_0\.JPEG",
        ),
        (
            "val/val_annotations.txt",
            lambda text: text.replace("n01", "n02"),
            r"has no image of n01",
        ),
    ],
)
def test_lists_that_do_not_fit_are_an_error_that_names_the_line(tiny, file, change, message):
    place = tiny / file
    place.write_text(change(place.read_text()))
    with pytest.raises(DataError, match=message):
        load(DATA, tiny)


def test_where_there_is_nothing_the_message_says_what_is_looked_for(tmp_path):
    with pytest.raises(DataError, match=r"there is no wnids\.txt in"):
        load(DATA, tmp_path)


def test_few_are_the_first_of_the_first_classes(tmp_path):
    few = tiny_imagenet.read_few(write_tiny(tmp_path, classes=11, train=2, val=1))
    assert few.classes == tuple(f"n{number:02d}" for number in range(10))
    assert few.train.labels.tolist() == [label for label in range(10) for _ in range(2)]
    assert sorted(few.test.labels.tolist()) == list(range(10))


@pytest.fixture
def hundred(tmp_path, monkeypatch):
    """Ten classes for a hundred, of which four training images are taken."""
    monkeypatch.setattr(imagenet, "HUNDRED", 10)
    monkeypatch.setattr(imagenet, "SMALLEST", 4)
    return write_photos(tmp_path, train=5, val=2, wnids=[f"n{n:02d}" for n in range(10)])


def test_of_a_hundred_classes_as_many_images_are_taken_of_each(hundred):
    found = imagenet.read_hundred(hundred)
    assert found.train.labels.tolist() == [label for label in range(10) for _ in range(4)]
    assert not [name for name in found.train.names.tolist() if name.endswith(b"_4.JPEG")]
    assert np.bincount(found.test.labels).tolist() == [2] * 10


def test_too_few_of_them_or_other_classes_are_an_error(hundred):
    for name in ("n03_0.JPEG", "n03_1.JPEG"):
        (hundred / "train" / "n03" / name).unlink()
    with pytest.raises(DataError, match=r"class 'n03' in .* has 3 training images, not 4"):
        imagenet.read_hundred(hundred)
    imagenet.HUNDRED = 11  # as the fixture, which puts it back
    with pytest.raises(DataError, match="has 10 classes: a folder of ImageNet-100 has those 11"):
        imagenet.read_hundred(hundred)
