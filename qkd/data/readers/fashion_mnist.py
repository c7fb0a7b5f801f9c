"""Fashion-MNIST (Xiao et al. 2017): 60,000 + 10,000 grey images of 28x28 pixels, 10 classes."""

import gzip
import math
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from qkd.data.fetch import (
    FILES,
    PACKAGE_FOLDER,
    TEST_IMAGES,
    TEST_LABELS,
    TRAIN_IMAGES,
    TRAIN_LABELS,
    fetch_fashion_mnist,
)
from qkd.data.images import DataError, Images, Split

UNSIGNED_BYTES = 8  # the only IDX element type that Fashion-MNIST uses


def read(folder: Path) -> Split:
    """The images in the files' own order, fetched if they are nowhere.

    Looked for in ``folder/fashion-mnist``, ``folder/FashionMNIST/raw`` (as torchvision leaves
    them), ``folder`` and where Debian's package installs them, gzipped or not. Images are uint8
    (N, 1, 28, 28). Raises DataError that names the file if one is damaged, or says what was tried
    if none can be fetched.
    """
    place = locate(folder) or fetch_fashion_mnist(folder)
    return Split(
        train=_labelled(place, TRAIN_IMAGES, TRAIN_LABELS),
        test=_labelled(place, TEST_IMAGES, TEST_LABELS),
    )


def locate(folder: Path) -> Path | None:
    """The first folder that holds all four files, or None."""
    places = [folder / "fashion-mnist", folder / "FashionMNIST" / "raw", folder, PACKAGE_FOLDER]
    for place in places:
        if all(_file(place, name) for name in FILES):
            return place
    return None


def read_idx(path: Path, dimensions: int) -> NDArray[np.uint8]:
    """The array of an IDX file of unsigned bytes, gzipped where its name ends in ``.gz``.

    Raises DataError that names the file if it is cut short, too long, or not such a file.
    """
    try:
        content = path.read_bytes()
        if path.suffix == ".gz":
            content = gzip.decompress(content)
    except (OSError, EOFError, zlib.error) as error:
        raise _damaged(path, f"cannot be read ({error})") from error
    header = 4 + 4 * dimensions
    if len(content) < header or content[:4] != bytes([0, 0, UNSIGNED_BYTES, dimensions]):
        raise _damaged(path, f"is not an IDX file of unsigned bytes in {dimensions} dimensions")
    shape = np.frombuffer(content[4:header], dtype=">u4").tolist()
    missing = math.prod(shape) - (len(content) - header)
    if missing:
        state = f"is cut short by {missing}" if missing > 0 else f"is too long by {-missing}"
        raise _damaged(path, f"{state} bytes for its shape {tuple(shape)}")
    return np.frombuffer(content, dtype=np.uint8, offset=header).reshape(shape)


def _labelled(place: Path, images: str, labels: str) -> Images:
    image_file, label_file = _file(place, images), _file(place, labels)
    if image_file is None or label_file is None:
        raise DataError(f"{place} lost a file of Fashion-MNIST while it was read: run again")
    pixels, classes = read_idx(image_file, dimensions=3), read_idx(label_file, dimensions=1)
    if len(pixels) != len(classes):
        raise _damaged(label_file, f"has {len(classes)} labels for {len(pixels)} images")
    return Images(pixels[:, np.newaxis], classes.astype(np.int64))


def _file(place: Path, name: str) -> Path | None:
    return next((path for path in (place / f"{name}.gz", place / name) if path.is_file()), None)


def _damaged(path: Path, what: str) -> DataError:
    remedy = "delete it and run again: it will be fetched anew"
    if path.parent == PACKAGE_FOLDER:
        remedy = "mend it with: sudo apt-get install --reinstall dataset-fashion-mnist"
    return DataError(f"{path} {what}: {remedy}")
