"""Where a photo is cut, and how it is brought to size (uint8 throughout)."""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import interpolate
from torchvision.transforms.v2 import functional

from qkd.spec import Photos

TRIES = 10
DRAWS = 2 * TRIES + 3  # of an image: area and ratio of each try, row, column, mirrored


class Box(NamedTuple):
    """A part of an image, in pixels."""

    top: int
    left: int
    height: int
    width: int


def random_box(height: int, width: int, draws: NDArray[np.float64], photos: Photos) -> Box:
    """Where a random crop of an image lies, by ``draws`` from [0, 1).

    Area and ratio (on a logarithmic scale) are drawn until the crop fits, ten times at most; then
    the middle is taken, as wide or high as the ratio lets it be. Inception's crop (Szegedy et al.
    2014, arXiv 1409.4842), as torchvision's RandomResizedCrop makes it.
    """
    (smallest, largest), (low, high) = photos.area, photos.ratio
    for attempt in range(TRIES):
        area = height * width * (smallest + (largest - smallest) * draws[2 * attempt])
        ratio = math.exp(math.log(low) + math.log(high / low) * draws[2 * attempt + 1])
        wide, tall = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
        if 0 < wide <= width and 0 < tall <= height:
            top = int((height - tall + 1) * draws[2 * TRIES])
            left = int((width - wide + 1) * draws[2 * TRIES + 1])
            return Box(top, left, tall, wide)
    wide, tall = width, height
    if width / height < low:
        tall = round(width / low)
    elif width / height > high:
        wide = round(height * high)
    return Box((height - tall) // 2, (width - wide) // 2, tall, wide)


def training_crop(image: Tensor, draws: NDArray[np.float64], photos: Photos) -> Tensor:
    """A random crop of uint8 (3, H, W), at size and perhaps mirrored: uint8 (3, size, size)."""
    box = random_box(image.shape[1], image.shape[2], draws, photos)
    cut = _resized(functional.crop(image, *box), photos.size, photos.size)
    return cut.flip(-1) if draws[-1] < 0.5 else cut


def evaluation_crop(image: Tensor, photos: Photos) -> Tensor:
    """The middle of uint8 (3, H, W), its shorter side brought to size: uint8 (3, size, size)."""
    height, width = image.shape[1:]
    shorter = min(height, width)
    resized = _resized(image, *(int(photos.resize * side / shorter) for side in (height, width)))
    middle: Tensor = functional.center_crop(resized, [photos.size, photos.size])
    return middle


def _resized(image: Tensor, height: int, width: int) -> Tensor:
    """Uint8 (3, H, W) at another size, by torch's kernel for bytes: the same numbers on every
    processor. torchvision's resize is the same where there is AVX2, and rounds floats elsewhere.
    """
    size = (height, width)
    # A cut is neither layout; as channels last, which decoding gives and a batch has, it is resized
    # and copied into the batch in half the time, to the same numbers.
    laid_out = image.permute(1, 2, 0).contiguous()[None].permute(0, 3, 1, 2)
    return interpolate(laid_out, size, mode="bilinear", align_corners=False, antialias=True)[0]
