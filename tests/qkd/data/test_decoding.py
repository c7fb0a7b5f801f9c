import io
import os

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision import transforms
from torchvision.datasets import ImageFolder

from qkd.data.cache import load
from qkd.data.photos.decoding import Decoder, NoImage, Request, decode
from qkd.spec import Photos
from tests.support.jpegs import REAL, described, needs_photos, photo


def as_image_folder(path):
    """The pixels that torchvision's ImageFolder and PIL give: uint8 (3, H, W)."""
    with Image.open(path) as image:
        return torch.from_numpy(np.array(image.convert("RGB"))).permute(2, 0, 1)


def grey(path):
    photo(1, channels=1).save(path, "JPEG", quality=95)


def cmyk(path):
    photo(2).convert("CMYK").save(path, "JPEG", quality=95)


def turned(path):
    exif = Image.Exif()
    exif[0x0112] = 6  # orientation: to be turned by 90 degrees, which ImageFolder leaves
    photo(3).save(path, "JPEG", quality=95, exif=exif)


def progressive(path):
    photo(4).save(path, "JPEG", quality=95, progressive=True)


def whole_colours(path):
    photo(5).save(path, "JPEG", quality=95, subsampling=0)


def png_in_disguise(path):
    photo(6).save(path, "PNG")


def palette(path):
    photo(7).convert("P").save(path, "PNG")


def with_alpha(path):
    photo(8).convert("RGBA").save(path, "PNG")


@pytest.mark.parametrize(
    "write",
    [grey, cmyk, turned, progressive, whole_colours, png_in_disguise, palette, with_alpha],
    ids=lambda write: write.__name__,
)
def test_every_kind_of_file_is_what_torchvisions_image_folder_makes_of_it(tmp_path, write):
    path = tmp_path / "photo.JPEG"
    write(path)
    found, expected = decode(os.fsencode(path)), as_image_folder(path)
    assert found.shape == expected.shape
    # Two builds of one decoder may round apart; what is inverted or turned differs by far more.
    assert (found.int() - expected.int()).abs().max() <= 3
    assert torch.equal(found, expected) or write is not png_in_disguise


@needs_photos
def test_real_photos_are_decoded_as_pil_does_it():
    paths = sorted((REAL / "val").glob("*/*"))[::50]
    assert len({decode(os.fsencode(path)).shape for path in paths}) >= 1
    for path in paths:
        difference = decode(os.fsencode(path)).int() - as_image_folder(path).int()
        assert difference.abs().max() <= 3, path


@needs_photos
def test_a_real_evaluation_batch_is_that_of_torchvisions_pipeline(tmp_path):
    (tmp_path / "imagenet").symlink_to(REAL)
    data = described(train_images=600, classes=10, size=64, resize=72)
    test = load(data, tmp_path).test
    chosen = np.arange(0, 500, 50)
    found = Decoder(data.photos)[Request(test.paths(chosen), test.labels[chosen])]
    reference = ImageFolder(
        REAL / "val",
        transforms.Compose(
            [transforms.Resize(72), transforms.CenterCrop(64), transforms.PILToTensor()]
        ),
    )
    for number, index in enumerate(chosen):
        image, label = reference[index]
        assert found.labels[number] == label
        assert (found.pixels[number].int() - image.int()).abs().max() <= 4


def cut_short(path):
    whole = io.BytesIO()
    photo(9).save(whole, "JPEG")
    path.write_bytes(whole.getvalue()[: len(whole.getvalue()) // 2])


BROKEN = {
    "empty": lambda path: path.write_bytes(b""),
    "text": lambda path: path.write_bytes(b"not found\n"),
    "cut short": cut_short,
    "16 bits": lambda path: Image.fromarray(np.ones((4, 4), np.uint16)).save(path, "PNG"),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_what_is_no_image_is_said_to_be_none(tmp_path, kind):
    path = tmp_path / "photo.JPEG"
    BROKEN[kind](path)
    with pytest.raises(NoImage):
        decode(os.fsencode(path))


def test_a_file_that_is_gone_is_no_broken_image(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"gone\.JPEG"):
        Decoder(Photos())[Request([os.fsencode(tmp_path / "gone.JPEG")], np.array([0]))]


def test_a_batch_goes_without_what_cannot_be_decoded(tmp_path):
    paths = [tmp_path / f"{number}.JPEG" for number in range(4)]
    for path in paths:
        photo(10).save(path)
    cut_short(paths[1])
    paths[2].write_bytes(b"")
    request = Request([os.fsencode(path) for path in paths], np.array([5, 6, 7, 8]))
    found = Decoder(Photos(size=8, resize=8))[request]
    assert found.labels.tolist() == [5, 8]
    assert found.pixels.shape == (2, 3, 8, 8)
    assert torch.equal(found.pixels[0], found.pixels[1])
    assert sorted(found.unreadable) == [str(paths[1]), str(paths[2])]
    assert found.unreadable[str(paths[2])] == "the file is empty"
