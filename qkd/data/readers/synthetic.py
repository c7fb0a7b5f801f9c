"""Small made-up images, FOR TESTS ONLY: they say nothing about any method."""

from pathlib import Path

import numpy as np

from qkd.data.images import Images, Split

CLASSES = 10
SIDE = 16  # pixels
CELL = 4  # pixels: a class is a pattern of 4x4 cells, bright or dark
BRIGHT = 96  # of 255, above the noise
NOISE = 255 - BRIGHT
TRAIN_PER_CLASS = 64
TEST_PER_CLASS = 16


def read(folder: Path) -> Split:  # noqa: ARG001 (every reader takes a folder)
    """640 + 160 images (N, 1, 16, 16) of 10 classes, always the same; ``folder`` is not looked at.

    FOR TESTS ONLY. Each class is a pattern of bright cells under noise, so that a small network
    learns above chance within seconds.
    """
    # Integers only: they are the same on every machine, which rounded normal draws need not be.
    generator = np.random.Generator(np.random.PCG64(1911_12491))
    cells = generator.integers(0, 2, (CLASSES, SIDE // CELL, SIDE // CELL), dtype=np.uint8)
    patterns = BRIGHT * cells.repeat(CELL, axis=1).repeat(CELL, axis=2)

    def labelled(per_class: int) -> Images:
        labels = np.arange(CLASSES, dtype=np.int64).repeat(per_class)
        noise = generator.integers(0, NOISE, (len(labels), SIDE, SIDE), np.uint8, endpoint=True)
        return Images((patterns[labels] + noise)[:, np.newaxis], labels)

    return Split(train=labelled(TRAIN_PER_CLASS), test=labelled(TEST_PER_CLASS))
