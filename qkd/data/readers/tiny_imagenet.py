"""Tiny-ImageNet as its official archive unpacks: 200 of ImageNet's classes at 64 pixels
(torch-free).

``wnids.txt`` lists the classes; images are ``train/<wnid>/images/*.JPEG`` and
``val/images/*.JPEG``, where ``val/val_annotations.txt`` tells the class of each: its name and wnid,
then a box, in columns that tabs separate. Labels count the sorted wnids, not the lines of
``wnids.txt``. The part ``test`` has no labels and is not read.
"""

from pathlib import Path

from qkd.data.images import DataError
from qkd.data.photos.files import Listed, Listing, as_listed, files_of
from qkd.data.readers.imagenet import few_of

TREE = "tiny-imagenet-200"
WNIDS, ANNOTATIONS = "wnids.txt", "val/val_annotations.txt"


def read(folder: Path) -> Listing:
    """The files of ``folder/tiny-imagenet-200``, or of ``folder`` itself.

    Raises DataError, which names the place.
    """
    root = folder / TREE if (folder / TREE / WNIDS).is_file() else folder
    if not (root / WNIDS).is_file():
        raise DataError(
            f"there is no {WNIDS} in {folder} or {folder / TREE}: name the folder of "
            f"Tiny-ImageNet, unpacked from {TREE}.zip, by DATA="
        )
    classes = tuple(sorted(_lines(root / WNIDS)))
    if not classes or len({*classes}) != len(classes):
        raise DataError(f"{root / WNIDS} is empty or names a class twice: unpack it anew")
    for name in classes:
        if "/" in name or name.startswith("."):
            raise DataError(f"{root / WNIDS} names {name!r}, which is no class: unpack it anew")
    train = [
        (f"train/{name}/images/{file}", label, size)
        for label, name in enumerate(classes)
        for file, size in files_of(root / "train" / name / "images")
    ]
    return Listing(root, classes, as_listed(train), _val(root, classes), (WNIDS, ANNOTATIONS))


def read_few(folder: Path) -> Listing:
    """Of what `read` finds the first ten classes, and of each the first 60 training images and up
    to 10 validation images. Raises DataError, which names the place.
    """
    return few_of(read(folder))


def _val(root: Path, classes: tuple[str, ...]) -> Listed:
    """The validation images by class and name. Raises DataError where the annotations name others
    than those that are there."""
    labels = {wnid: label for label, wnid in enumerate(classes)}
    sizes = dict(files_of(root / "val" / "images"))
    rows = []
    for number, line in enumerate(_lines(root / ANNOTATIONS), 1):
        where = f"{root / ANNOTATIONS}, line {number}"
        name, _, rest = line.partition("\t")
        wnid = rest.partition("\t")[0]
        if wnid not in labels:
            raise DataError(f"{where}: {wnid!r} is no class of {WNIDS}: unpack both anew")
        if name not in sizes:
            raise DataError(f"{where}: {name!r} is not in val/images, or is named twice")
        rows.append((f"val/images/{name}", labels[wnid], sizes.pop(name)))
    if sizes:
        raise DataError(f"{root / ANNOTATIONS} does not name {next(iter(sizes))}: unpack it anew")
    lacking = {*labels.values()} - {label for _, label, _ in rows}
    if lacking:
        raise DataError(f"{root / ANNOTATIONS} has no image of {classes[min(lacking)]}")
    return as_listed(sorted(rows, key=lambda row: (row[1], row[0])))


def _lines(path: Path) -> list[str]:
    """The lines of a text, without those that are empty. Raises DataError."""
    try:
        return [line for line in path.read_text().splitlines() if line.strip()]
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read ({error}): unpack it anew") from error
