"""Data that are not what a matrix says are refused before anything is trained."""

import numpy as np
import pytest
from msgspec.structs import replace

from qkd.data.images import Images, Split
from qkd.data.standard import SYNTHETIC
from slurm.planning.images import require_fit

DATA = replace(SYNTHETIC, classes=4, train_images=8, held_out=2, mean=(0.5,), std=(0.25,))


def split_of(labels=(0, 1, 2, 3, 0, 1, 2, 3), channels=1):
    images = np.zeros((len(labels), channels, 4, 4), np.uint8)
    part = Images(images, np.array(labels, np.int64))
    return Split(part, part)


def test_data_that_are_what_they_are_said_to_be_fit():
    require_fit(DATA, split_of(), [6])
    require_fit(replace(DATA, mean=(0.0,), std=(1.0,)), split_of(), [])
    require_fit(DATA, split_of(channels=3), [6])  # one number for all channels


@pytest.mark.parametrize(
    ("changes", "split", "batch", "says"),
    [
        ({"mean": (127.5,)}, split_of(), 2, r"mean=\(127.5,\) is not of pixels from 0 to 1"),
        ({"std": (64.0,)}, split_of(), 2, r"std=\(64.0,\) is not of pixels from 0 to 1: divide"),
        ({"mean": (-0.5,)}, split_of(), 2, r"mean=\(-0.5,\) is not of pixels"),
        ({"mean": (0.5,) * 2}, split_of(channels=3), 2, "has 2 numbers, its images 3 channels"),
        ({"classes": 5}, split_of(), 2, r"5 classes are declared, and 4 have .*label 4 has none"),
        ({}, split_of((0, 1, 3) * 3), 2, r"4 classes are declared, and 3 have .*label 2 has none"),
        ({}, split_of(), 7, "a batch of 7 is more than the 6 images that are trained on"),
    ],
)
def test_what_does_not_fit_is_said_in_a_line(changes, split, batch, says):
    with pytest.raises(ValueError, match=says) as error:
        require_fit(replace(DATA, **changes), split, [2, batch])
    assert str(error.value).startswith("synthetic: ")
    assert "\n" not in str(error.value)
