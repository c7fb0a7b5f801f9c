"""Reading photos for training, in each form that ImageNet has, against torchvision's ImageFolder, a
DataLoader and PIL."""

import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from itertools import count
from pathlib import Path
from typing import cast

import numpy as np
import torch
from msgspec.structs import replace
from torch.utils.data import DataLoader
from torchvision import transforms
from torchvision.datasets import ImageFolder

from benchmarks.speed.figures import Figure
from benchmarks.speed.timing import ROUNDS, in_turn
from qkd.data import as_shards
from qkd.data.cache import load
from qkd.data.photos.batches import PhotoBatches
from qkd.data.photos.files import FileSplit, Listed, Listing, digest_of
from qkd.data.readers import imagenet
from qkd.data.standard import IMAGENET_FEW
from qkd.spec import Photos

GROUP = "photos"
TREE = "tree of files"
GOAL = 1.7
BATCH = 64
PER_FILE, ROW_GROUP = 256, 100  # photos of a parquet file, and of a part of it that is read at once
DATA = replace(IMAGENET_FEW, photos=Photos())  # in ImageNet's own size
CPU = torch.device("cpu")

Write = Callable[[Listing, Path], object]


def photo_figures(folder: Path, rounds: int = ROUNDS) -> Iterator[Figure]:
    """How many times as many images a second as ImageFolder's, from each form of some photos of the
    ImageNet in ``folder``: decoded, cut at random, turned, normalised, all in this process.

    Raises DataError where there are none, ImportError at the parquet files where pyarrow is not
    installed, RuntimeError where the forms are not one set.
    """
    found = imagenet.read_few(folder)
    digest = digest_of(found)
    with tempfile.TemporaryDirectory() as temporary:
        tree = Path(temporary) / TREE
        for name, write in FORMS.items():
            place = Path(temporary) / name
            write(found, place)
            if digest_of(imagenet.read(place)) != digest:
                raise RuntimeError(f"{name} of photos are not the set that they were made from")
            times = in_turn(_ours(place), _image_folder(tree / "train"), rounds)
            note = f"times as many images a second as ImageFolder, {len(found.train.labels)} photos"
            yield times.figure(GROUP, name, GOAL, note, better="higher")


def _ours(folder: Path) -> Callable[[], object]:
    """What reads the next batch as training does."""
    split = cast(FileSplit, load(DATA, folder))
    batches = PhotoBatches(DATA, split.train, 0, BATCH, CPU)
    return partial(_next, batches, count())


def _next(batches: PhotoBatches, steps: Iterator[int]) -> object:
    return batches.batch(next(steps))


def _image_folder(train: Path) -> Callable[[], object]:
    """The same by torchvision as its own example does it."""
    augment = transforms.Compose(
        [
            transforms.RandomResizedCrop(Photos().size),
            transforms.RandomHorizontalFlip(),
            transforms.ToTensor(),
            transforms.Normalize(DATA.mean, DATA.std),
        ]
    )
    loader = DataLoader(ImageFolder(str(train), augment), BATCH, shuffle=True, drop_last=True)
    return partial(next, (batch for _ in count() for batch in loader))


def _write_tree(found: Listing, target: Path) -> None:
    for part, files in _parts(found):
        for name, _, photo in as_shards.photos_of(found, files):
            place = target / part / name
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(photo)


def _write_parquet(found: Listing, target: Path) -> None:
    """As the Hugging Face copy of ImageNet has them, in an order that tells nothing."""
    import pyarrow
    from pyarrow import parquet

    target.mkdir()
    kind = pyarrow.struct([("bytes", pyarrow.binary()), ("path", pyarrow.string())])
    for part, files in _parts(found):
        order = np.random.default_rng(0).permutation(len(files.labels))
        for number, begin in enumerate(range(0, len(order), PER_FILE)):
            some = files.at(order[begin : begin + PER_FILE])
            images = [
                {"bytes": photo, "path": name}
                for name, _, photo in as_shards.photos_of(found, some)
            ]
            columns = {"image": pyarrow.array(images, kind), "label": pyarrow.array(some.labels)}
            place = target / f"{part}-{number:05d}.parquet"
            parquet.write_table(pyarrow.table(columns), place, row_group_size=ROW_GROUP)


def _parts(found: Listing) -> tuple[tuple[str, Listed], tuple[str, Listed]]:
    return ("train", found.train), ("val", found.test)


FORMS: dict[str, Write] = {
    TREE: _write_tree,
    "tar shards": as_shards.write,
    "parquet": _write_parquet,
}
