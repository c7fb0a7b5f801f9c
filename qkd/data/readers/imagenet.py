"""ImageNet (ILSVRC 2012) as its files are passed around, and any tree of that form (torch-free).

- ``train/<wnid>/*.JPEG`` and ``val/<wnid>/*.JPEG``, as torchvision's ImageFolder reads them;
- ``val/*.JPEG`` flat, as the official archive unpacks, with the unpacked development kit beside it
  (``ILSVRC2012_devkit_t12/data/``): the ground truth gives the number of each image's class in the
  order of the images' names, ``meta.mat`` the wnid of each number.

- tar shards (`qkd.data.readers.shards`) or parquet files (`qkd.data.readers.parquet`) of the tree,
  where there is no tree; shards where there are both.

Labels count the sorted wnids, in each form: torchvision's networks know them so. `read_few` takes
some of such a set, so that whoever has one can try what is meant for all of it.
"""

from pathlib import Path
from typing import Any

import numpy as np

from qkd.data.images import DataError
from qkd.data.photos.files import Listed, Listing, as_listed, class_names, files_of, listed, listing
from qkd.data.readers import parquet, shards
from qkd.data.readers.samples import find

TREE = "imagenet"
DEVKIT = "ILSVRC2012_devkit_t12"
GROUND_TRUTH = "ILSVRC2012_validation_ground_truth.txt"
META = "meta.mat"
FEW_CLASSES, FEW_TRAIN, FEW_VAL = 10, 60, 10
HUNDRED, SMALLEST = 100, 732


def read(folder: Path) -> Listing:
    """The files of ``folder/imagenet``, or of ``folder`` itself where there is no such tree.

    Raises DataError, which names the place.
    """
    packed = _packed(folder)
    if packed is not None:
        return packed
    root = _root(folder)
    if not _is_flat(root / "val"):
        return listing(root)
    classes = class_names(root / "train")
    test, beside = _flat(root, classes)
    return Listing(root, classes, listed(root, "train", classes), test, beside)


def read_few(folder: Path) -> Listing:
    """Of what `read` finds the first ten classes, and of each the first 60 training images and up
    to 10 validation images, by name; other classes of a tree are not listed.

    Raises DataError, which names the place.
    """
    packed = _packed(folder)
    if packed is not None:
        return few_of(packed)
    root = _root(folder)
    every = class_names(root / "train")
    classes, beside = every[:FEW_CLASSES], tuple[str, ...]()
    if _is_flat(root / "val"):
        test, beside = _flat(root, every)
    else:
        test = listed(root, "val", classes)
    return few_of(Listing(root, classes, listed(root, "train", classes), test, beside))


def read_hundred(folder: Path) -> Listing:
    """ImageNet-100, of whichever hundred classes: of each the first 732 training images by name, as
    many as ImageNet's smallest class has, and all validation images.

    So every such folder has as many images, and a plan can be made before it is there. Raises
    DataError, which names the place: another number of classes, a class of fewer images.
    """
    found = read(folder)
    if len(found.classes) != HUNDRED:
        raise DataError(
            f"{found.root} has {len(found.classes)} classes: a folder of ImageNet-100 has those "
            f"{HUNDRED} that you chose, and no more"
        )
    counts = np.bincount(found.train.labels, minlength=HUNDRED)
    if counts.min() < SMALLEST:
        raise DataError(
            f"class {found.classes[counts.argmin()]!r} in {found.root} has {counts.min()} training "
            f"images, not {SMALLEST} or more: complete it"
        )
    return found._replace(train=_first(found.train, SMALLEST, HUNDRED))


def few_of(found: Listing) -> Listing:
    """The first ten classes, and of each the first 60 training images and up to 10 test images."""
    return found._replace(
        classes=found.classes[:FEW_CLASSES],
        train=_first(found.train, FEW_TRAIN, FEW_CLASSES),
        test=_first(found.test, FEW_VAL, FEW_CLASSES),
    )


def _first(part: Listed, count: int, classes: int) -> Listed:
    """So many files of each of the first classes."""
    begins = np.searchsorted(part.labels, part.labels)  # labels ascend
    kept = (np.arange(len(part.labels)) - begins < count) & (part.labels < classes)
    return part.at(kept)


def _packed(folder: Path) -> Listing | None:
    """The photos within shards or parquet files, where there is no tree but these."""
    for train in (folder / TREE / "train", folder / "train"):
        if train.is_dir() and any(one.is_dir() and one.name[0] != "." for one in train.iterdir()):
            return None
    for suffix, read_them in ((shards.SUFFIX, shards.listed), (parquet.SUFFIX, parquet.listed)):
        found = find(folder, suffix)
        if found is not None:
            return read_them(found)
    return None


def _root(folder: Path) -> Path:
    """The folder of ``train`` and ``val``. Raises DataError where there is none."""
    root = folder / TREE if (folder / TREE / "train").is_dir() else folder
    if not (root / "train").is_dir():
        raise DataError(
            f"there is no train/<wnid>/*.JPEG in {folder} or {folder / TREE}, nor are there tar "
            "shards or parquet files: name the folder of ImageNet's train and val by DATA="
        )
    return root


def _is_flat(val: Path) -> bool:
    """Whether there are images and no class folders."""
    if not val.is_dir():
        raise DataError(f"there is no folder {val}: the test images are ImageNet's validation set")
    visible = [entry for entry in val.iterdir() if not entry.name.startswith(".")]
    return bool(visible) and not any(entry.is_dir() for entry in visible)


def _kit(root: Path) -> Path:
    """The folder of the development kit's two files."""
    for place in (root / DEVKIT / "data", root):
        if (place / GROUND_TRUTH).is_file() and (place / META).is_file():
            return place
    raise DataError(
        f"{root / 'val'} has no class folders: unpack {DEVKIT}.tar.gz in {root}, whose "
        f"data/{GROUND_TRUTH} and data/{META} say the classes, or sort the images into "
        "val/<wnid>/"
    )


def _flat(root: Path, classes: tuple[str, ...]) -> tuple[Listed, tuple[str, ...]]:
    """The files of a flat ``val``, labelled by the development kit, and the kit's two files."""
    kit = _kit(root)
    files = files_of(root / "val")
    numbers = _numbers(kit / GROUND_TRUTH)
    if len(numbers) != len(files):
        raise DataError(
            f"{root / 'val'} has {len(files)} images, {kit / GROUND_TRUTH} {len(numbers)} lines: "
            "both must be whole"
        )
    labels = _labels(kit / META, classes)
    unknown = sorted({*numbers} - {*labels})
    if unknown:
        raise DataError(
            f"{kit / GROUND_TRUTH} names class {unknown[0]}, which is none of {root / 'train'}"
        )
    rows = [
        (f"val/{name}", labels[number], size)
        for (name, size), number in zip(files, numbers, strict=True)
    ]
    beside = tuple(str((kit / name).relative_to(root)) for name in (GROUND_TRUTH, META))
    return as_listed(sorted(rows, key=lambda row: (row[1], row[0]))), beside


def _numbers(ground_truth: Path) -> list[int]:
    """The number of each image's class, an image a line."""
    try:
        return [int(line) for line in ground_truth.read_text().split()]
    except ValueError as error:
        raise DataError(
            f"{ground_truth} is no list of numbers ({error}): unpack it anew"
        ) from error


def _labels(meta: Path, classes: tuple[str, ...]) -> dict[int, int]:
    """The label of each number, by way of its wnid; numbers of no class folder are left out."""
    from scipy.io import loadmat

    try:
        synsets: Any = loadmat(meta, squeeze_me=True)["synsets"]
        wnids = {int(one["ILSVRC2012_ID"]): str(one["WNID"]) for one in synsets}
    except Exception as error:  # whatever scipy makes of a damaged file
        raise DataError(f"{meta} cannot be read ({error}): unpack {DEVKIT} anew") from error
    places = {wnid: label for label, wnid in enumerate(classes)}
    return {number: places[wnid] for number, wnid in wnids.items() if wnid in places}
