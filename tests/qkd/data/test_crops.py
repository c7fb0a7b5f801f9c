import math
import os
import platform
import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from scipy.stats import ks_2samp
from torchvision import transforms
from torchvision.transforms.v2 import functional

from qkd.data.photos.crops import DRAWS, Box, evaluation_crop, random_box, training_crop
from qkd.spec import Photos
from tests.support.jpegs import photo

PHOTOS = Photos(size=32, resize=40)
draws_of_an_image = st.lists(st.floats(0, 1, exclude_max=True), min_size=DRAWS, max_size=DRAWS).map(
    np.array
)


def pixels(image):
    return torch.from_numpy(np.array(image)).permute(2, 0, 1)


@given(st.integers(1, 300), st.integers(1, 300), draws_of_an_image)
def test_a_crop_lies_within_the_image_and_its_bounds(height, width, draws):
    top, left, tall, wide = random_box(height, width, draws, PHOTOS)
    assert 0 <= top <= top + tall <= height
    assert 0 <= left <= left + wide <= width
    assert tall >= 1
    assert wide >= 1
    if min(height, width) >= 100 and 3 / 4 < height / width < 4 / 3:  # the first try or a later one
        assert 0.07 < tall * wide / (height * width) <= 1
        assert 0.73 < wide / tall < 1.37


@pytest.mark.parametrize(("height", "width"), [(1, 90), (90, 1), (2, 300), (7, 200)])
def test_what_no_crop_fits_is_cut_as_torchvision_cuts_it(height, width):
    image = torch.empty(3, height, width)
    photos = Photos(area=(0.9, 1.0))
    expected = transforms.RandomResizedCrop.get_params(image, [0.9, 1.0], list(photos.ratio))
    assert random_box(height, width, np.full(DRAWS, 0.5), photos) == expected


def test_a_crop_by_hand():
    # Half the area of 100 x 200 at ratio 1: a square of 100 pixels; 0.5 of the 101 places, 0 of 1.
    draws = np.full(DRAWS, 0.5)
    assert random_box(100, 200, draws, Photos(area=(0.25, 0.75))) == Box(0, 50, 100, 100)
    # Of 0.1 to 0.5 the first try: 0.1 of the area at ratio 1 is a square of 45 pixels (44.7).
    draws[0], draws[-3], draws[-2] = 0.0, 0.0, 0.999
    assert random_box(100, 200, draws, Photos(area=(0.1, 0.5))) == Box(0, 155, 45, 45)


def test_crops_are_distributed_like_torchvisions():
    generator = np.random.default_rng(0)
    ours = np.array(
        [random_box(300, 400, generator.random(DRAWS), PHOTOS) for _ in range(2000)], float
    )
    torch.manual_seed(0)
    image = torch.empty(3, 300, 400)
    theirs = np.array(
        [
            transforms.RandomResizedCrop.get_params(image, list(PHOTOS.area), list(PHOTOS.ratio))
            for _ in range(2000)
        ],
        float,
    )
    for of in (
        lambda b: b[:, 0],
        lambda b: b[:, 1],
        lambda b: b[:, 2] * b[:, 3],
        lambda b: np.log(b[:, 3] / b[:, 2]),
    ):
        assert ks_2samp(of(ours), of(theirs)).pvalue > 0.01


def test_a_training_crop_is_what_pil_makes_of_the_same_box():
    image = photo(1, 90, 120)
    draws = np.random.default_rng(1).random(DRAWS)
    for mirrored in (False, True):
        draws[-1] = 0.2 if mirrored else 0.7
        top, left, tall, wide = random_box(90, 120, draws, PHOTOS)
        cut = image.crop((left, top, left + wide, top + tall))
        expected = cut.resize((32, 32), Image.Resampling.BILINEAR)
        if mirrored:
            expected = expected.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        found = training_crop(pixels(image), draws, PHOTOS)
        assert found.dtype == torch.uint8
        assert (found.int() - pixels(expected).int()).abs().max() <= 1


@pytest.mark.parametrize(("height", "width"), [(90, 120), (131, 77), (40, 40), (20, 33)])
def test_an_evaluation_crop_is_what_torchvision_makes_of_a_pil_image(height, width):
    image = photo(2, height, width)
    reference = transforms.Compose([transforms.Resize(40), transforms.CenterCrop(32)])
    found = evaluation_crop(pixels(image), PHOTOS)
    assert found.shape == (3, 32, 32)
    assert (found.int() - pixels(reference(image)).int()).abs().max() <= 1


def test_mirroring_is_half_of_the_draws():
    draws = np.full(DRAWS, 0.5)
    whole = Photos(size=8, resize=8, area=(1.0, 1.0), ratio=(1.0, 1.0))
    image = pixels(photo(3, 8, 8))
    assert torch.equal(training_crop(image, draws, whole), image)
    draws[-1] = math.nextafter(0.5, 0)
    assert torch.equal(training_crop(image, draws, whole), image.flip(-1))


@pytest.mark.parametrize("mirrored", [0.25, 0.75])
@pytest.mark.parametrize(("height", "width"), [(90, 120), (131, 77), (20, 33)])
def test_a_crop_has_the_same_numbers_of_an_image_in_any_layout_and_is_channels_last(
    height, width, mirrored
):
    image, draws = pixels(photo(4, height, width)), np.random.default_rng(3).random(DRAWS)
    draws[-1] = mirrored
    for crop in (
        lambda of: training_crop(of, draws, PHOTOS),
        lambda of: evaluation_crop(of, PHOTOS),
    ):
        cut = crop(image)
        assert torch.equal(cut, crop(image.contiguous()))
        assert cut.stride(0) == 1  # as decoding gives it, and a batch has it


CROPS = """
import hashlib
import numpy as np
import torch
from qkd.data.photos.crops import DRAWS, evaluation_crop, training_crop
from qkd.spec import Photos

sha, generator = hashlib.sha256(), np.random.Generator(np.random.PCG64(0))
for height, width in ((90, 120), (131, 77), (300, 200)):
    image = torch.from_numpy(generator.integers(0, 256, (3, height, width), np.uint8))
    for cut in (
        training_crop(image, generator.random(DRAWS), Photos(size=32, resize=40)),
        evaluation_crop(image, Photos(size=32, resize=40)),
    ):
        sha.update(cut.contiguous().numpy().tobytes())
print(torch.backends.cpu.get_cpu_capability(), sha.hexdigest())
"""


@pytest.mark.skipif(
    platform.machine() != "x86_64", reason="torch's kernels by capability are x86's"
)
def test_crops_do_not_depend_on_the_processors_instructions():
    found = {}
    for capability in ("default", "avx2"):
        done = subprocess.run(
            [sys.executable, "-c", CROPS],
            env={**os.environ, "ATEN_CPU_CAPABILITY": capability},
            capture_output=True,
            text=True,
            check=True,
        )
        taken, digest = done.stdout.split()
        found[taken] = digest
    assert "DEFAULT" in found
    assert len(set(found.values())) == 1


@pytest.mark.parametrize(("height", "width"), [(90, 120), (131, 77), (40, 40), (20, 33)])
def test_they_are_torchvisions_where_it_resizes_bytes(height, width):
    if torch.backends.cpu.get_cpu_capability() not in ("AVX2", "AVX512"):
        pytest.skip("torchvision resizes floats here")
    image = pixels(photo(2, height, width))
    draws = np.random.default_rng(2).random(DRAWS)
    draws[-1] = 1.0
    box = random_box(height, width, draws, PHOTOS)
    expected = functional.resized_crop(image, *box, size=[32, 32], antialias=True)
    assert torch.equal(training_crop(image, draws, PHOTOS), expected)
    resized = functional.resize(image, [40], antialias=True)
    expected = functional.center_crop(resized, [32, 32])
    assert torch.equal(evaluation_crop(image, PHOTOS), expected)
