import gzip
import os
import struct
from pathlib import Path

import numpy as np
import pytest

from qkd.data.fetch import FILES, PACKAGE_FOLDER
from qkd.data.images import DataError, content_digest
from qkd.data.readers import fashion_mnist
from qkd.data.readers.fashion_mnist import locate, read, read_idx
from qkd.data.standard import FASHION_MNIST


def idx(array):
    header = bytes([0, 0, 8, array.ndim])
    return header + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


CONTENTS = {
    name: idx(np.arange(count * pixels, dtype=np.uint8).reshape(shape))
    for name, count, pixels, shape in zip(
        FILES, (3, 3, 2, 2), (4, 1, 4, 1), ((3, 2, 2), (3,), (2, 2, 2), (2,)), strict=True
    )
}


@pytest.fixture(autouse=True)
def _no_other_source(monkeypatch, tmp_path):
    """Neither an installed package nor the network may answer for a file that is missing here."""

    def nothing_to_fetch(folder):
        raise DataError(f"nothing in {folder}")

    monkeypatch.setattr(fashion_mnist, "PACKAGE_FOLDER", tmp_path / "not-installed")
    monkeypatch.setattr(fashion_mnist, "fetch_fashion_mnist", nothing_to_fetch)


def written(place, gzipped=True):
    place.mkdir(parents=True, exist_ok=True)
    for name, content in CONTENTS.items():
        if gzipped:
            (place / f"{name}.gz").write_bytes(gzip.compress(content))
        else:
            (place / name).write_bytes(content)
    return place


@pytest.mark.parametrize("gzipped", [True, False])
@pytest.mark.parametrize("place", ["fashion-mnist", "FashionMNIST/raw", ".", "not-installed"])
def test_files_are_found_in_every_usual_place(tmp_path, place, gzipped):
    written(tmp_path / place, gzipped)
    train, test = read(tmp_path)
    np.testing.assert_array_equal(train.images.ravel(), np.arange(12))
    np.testing.assert_array_equal(test.images.ravel(), np.arange(8))
    assert train.images.shape == (3, 1, 2, 2)
    assert (train.images.dtype, train.labels.dtype) == (np.uint8, np.int64)
    assert (train.labels.tolist(), test.labels.tolist()) == ([0, 1, 2], [0, 1])


def test_a_place_that_lacks_a_file_is_passed_over(tmp_path):
    incomplete = written(tmp_path / "fashion-mnist")
    (incomplete / f"{FILES[3]}.gz").unlink()
    assert locate(tmp_path) is None
    whole = written(tmp_path / "FashionMNIST" / "raw")
    assert locate(tmp_path) == whole


def test_what_is_nowhere_is_fetched_and_read(tmp_path, monkeypatch):
    monkeypatch.setattr(fashion_mnist, "fetch_fashion_mnist", lambda f: written(f / "fetched"))
    assert len(read(tmp_path).train.labels) == 3


DAMAGES = {
    "cut short": (lambda content: content[:-1], "is cut short by 1 bytes for its shape (3, 2, 2)"),
    "too long": (lambda content: content + b"ab", "is too long by 2 bytes"),
    "only a magic": (lambda content: content[:4], "is not an IDX file"),
    "empty": (lambda content: b"", "is not an IDX file"),
    "labels for images": (lambda content: CONTENTS[FILES[1]], "is not an IDX file"),
    "floats": (lambda content: b"\0\0\x0d" + content[3:], "is not an IDX file"),
    "a web page": (lambda content: b"<html>sign in to this network</html>", "is not an IDX file"),
}


@pytest.mark.parametrize("gzipped", [True, False])
@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_file_is_named_with_what_to_do(tmp_path, damage, gzipped):
    change, message = DAMAGES[damage]
    place = written(tmp_path / "fashion-mnist", gzipped)
    file = place / (f"{FILES[0]}.gz" if gzipped else FILES[0])
    content = change(CONTENTS[FILES[0]])
    file.write_bytes(gzip.compress(content) if gzipped else content)
    with pytest.raises(DataError) as caught:
        read(tmp_path)
    assert str(caught.value).startswith(f"{file} {message}")
    assert "delete it and run again" in str(caught.value)


@pytest.mark.parametrize(
    "change",
    [
        lambda packed: packed[:-9],
        lambda packed: b"<html>",
        lambda packed: packed[:12] + b"\xff\xff\xff" + packed[15:],
    ],
)
def test_a_file_that_cannot_be_unpacked_is_named(tmp_path, change):
    file = written(tmp_path / "fashion-mnist") / f"{FILES[2]}.gz"
    file.write_bytes(change(file.read_bytes()))
    with pytest.raises(DataError) as caught:
        read(tmp_path)
    assert f"{file} cannot be read" in str(caught.value)


def test_too_few_labels_are_an_error_that_names_their_file(tmp_path):
    file = written(tmp_path / "fashion-mnist") / f"{FILES[1]}.gz"
    file.write_bytes(gzip.compress(idx(np.zeros(2, np.uint8))))
    with pytest.raises(DataError) as caught:
        read(tmp_path)
    assert f"{file} has 2 labels for 3 images" in str(caught.value)


def test_a_damaged_file_of_the_installed_package_is_mended_by_apt(tmp_path):
    file = written(tmp_path / "not-installed") / f"{FILES[0]}.gz"
    file.write_bytes(b"")
    with pytest.raises(DataError, match="apt-get install --reinstall"):
        read(tmp_path)


def test_an_idx_file_of_one_dimension_is_read(tmp_path):
    (tmp_path / "labels").write_bytes(idx(np.array([4, 2], np.uint8)))
    assert read_idx(tmp_path / "labels", dimensions=1).tolist() == [4, 2]


def test_the_real_images_have_the_digest_of_the_standard_set(monkeypatch):
    monkeypatch.setattr(fashion_mnist, "PACKAGE_FOLDER", PACKAGE_FOLDER)
    folder = Path(os.environ.get("DATA", "data"))
    if locate(folder) is None:
        pytest.skip(f"Fashion-MNIST is neither in {folder} nor in {PACKAGE_FOLDER}")
    split = read(folder)
    assert content_digest(split) == FASHION_MNIST.digest
    assert split.train.images.shape == (60_000, 1, 28, 28)
    assert split.test.images.shape == (10_000, 1, 28, 28)
    pixels = split.train.images / 255
    assert pixels.mean() == pytest.approx(FASHION_MNIST.mean[0], abs=5e-5)
    assert pixels.std() == pytest.approx(FASHION_MNIST.std[0], abs=5e-5)
