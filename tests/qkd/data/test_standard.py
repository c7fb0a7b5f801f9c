import subprocess
import sys

import numpy as np
import pytest

from qkd.data.images import content_digest, validated
from qkd.data.readers import synthetic
from qkd.data.standard import CIFAR10, CIFAR100, FASHION_MNIST, SYNTHETIC
from qkd.spec.value import validated as valid


def test_the_standard_sets_are_valid_values():
    for data in (CIFAR10, CIFAR100, FASHION_MNIST, SYNTHETIC):
        assert valid(data) == data
        assert len(data.digest) == 64


def test_the_synthetic_set_is_what_its_value_says(tmp_path):
    split = validated(synthetic.read(tmp_path), SYNTHETIC.classes, "synthetic")
    assert content_digest(split) == SYNTHETIC.digest
    assert split.train.images.shape == (SYNTHETIC.train_images, 1, 16, 16)
    assert split.test.images.shape == (160, 1, 16, 16)
    assert np.bincount(split.train.labels).tolist() == [64] * 10
    pixels = split.train.images / 255
    assert pixels.mean() == pytest.approx(SYNTHETIC.mean[0], abs=5e-5)
    assert pixels.std() == pytest.approx(SYNTHETIC.std[0], abs=5e-5)
    assert list(tmp_path.iterdir()) == []


def test_the_synthetic_classes_can_be_told_apart(tmp_path):
    train, test = synthetic.read(tmp_path)
    means = np.stack([train.images[train.labels == label].mean(axis=0) for label in range(10)])
    distances = ((test.images[:, np.newaxis] - means) ** 2).sum(axis=(2, 3, 4))
    assert (distances.argmin(axis=1) == test.labels).mean() > 0.9


@pytest.mark.parametrize(
    ("module", "absent"),
    [
        ("qkd.data.standard", ("torch", "numpy")),
        ("qkd.data.cache", ("torch",)),
        ("qkd.data.readers.fashion_mnist", ("torch", "torchvision")),
        ("qkd.data.readers.synthetic", ("torch",)),
        ("qkd.data.readers.cifar", ("torch", "torchvision")),
        ("qkd.data.readers.folder", ("torch",)),
    ],
)
def test_torch_is_imported_only_for_batches(module, absent):
    code = f"import sys, {module}; print([m for m in {absent} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
