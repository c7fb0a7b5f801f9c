"""Trees of JPEG files for tests: made ones, and the real photos where they are at hand."""

import numpy as np
import pytest
from PIL import Image

from qkd.spec import Data, Photos
from tests.support.trees import SHARED

REAL = SHARED / "imagenette_mini"
needs_photos = pytest.mark.skipif(not REAL.is_dir(), reason="no real photos beside this checkout")
WNIDS = ("n01", "n02", "n03")


def photo(seed, height=40, width=56, channels=3):
    """A smooth made-up picture, uint8, as JPEG keeps it well."""
    generator = np.random.Generator(np.random.PCG64(seed))
    coarse = generator.integers(0, 256, (5, 7, channels), np.uint8)
    image = Image.fromarray(coarse if channels == 3 else coarse[..., 0])
    return image.resize((width, height), Image.Resampling.BICUBIC)


def write_photos(root, train=4, val=2, wnids=WNIDS):
    """``root/{train,val}/<wnid>/<wnid>_<number>.JPEG``, so many of each class, of varied sizes."""
    for part, count in (("train", train), ("val", val)):
        for label, wnid in enumerate(wnids):
            folder = root / part / wnid
            folder.mkdir(parents=True)
            for number in range(count):
                seed = 1000 * label + 10 * number + (part == "val")
                image = photo(seed, 30 + 5 * number, 60 - 7 * (label % 5))
                image.save(folder / f"{wnid}_{number}.JPEG", quality=90)
    return root


def described(train_images=12, classes=3, held_out=2, flip=True, **photos):
    """Those files as a data set, of 16 pixels."""
    return Data(
        name="photos",
        reader="qkd.data.imagenet:read",
        train_images=train_images,
        classes=classes,
        mean=(0.485, 0.456, 0.406),
        std=(0.229, 0.224, 0.225),
        held_out=held_out,
        pad=0,
        flip=flip,
        photos=Photos(**{"size": 16, "resize": 20, **photos}),
    )
