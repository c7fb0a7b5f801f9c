"""Labelled images in memory: their shape, their canonical order, their digest (torch-free)."""

import hashlib
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class DataError(ValueError):
    """Data that is missing, damaged or not what was asked for; the message says what to do."""


class Images(NamedTuple):
    """Labelled images: ``images`` uint8 (N, C, H, W), ``labels`` int64 (N), from 0."""

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, height and width of an image."""
        _, channels, height, width = self.images.shape
        return channels, height, width

    def part(self, indices: NDArray[np.int64]) -> "Images":
        """The images at these indices, in their order."""
        return Images(self.images[indices], self.labels[indices])


class Split(NamedTuple):
    """A data set: the images to train on (held-out ones included) and those to test on."""

    train: Images
    test: Images


def canonical(images: Images) -> Images:
    """The same images sorted by (label, bytes of the image).

    The order no longer depends on that in which the images came, so that an archive and a tree of
    files with the same content are the same data.
    """
    labels = images.labels.tolist()
    rows = np.ascontiguousarray(images.images)
    keys = [(label, row.tobytes()) for label, row in zip(labels, rows, strict=True)]
    order = sorted(range(len(keys)), key=keys.__getitem__)
    return Images(rows[order], images.labels[order])


def content_digest(split: Split) -> str:
    """64 hexadecimal digits that name what the data set holds, in whatever order it came."""
    return ordered_digest(Split(canonical(split.train), canonical(split.test)))


def ordered_digest(split: Split) -> str:
    """The content digest of a split whose two parts are in canonical order already.

    The sha256 of both parts' shapes, images (uint8) and labels (little-endian int64). Another order
    gives another digest: this is how a cache is verified without sorting it again.
    """
    sha = hashlib.sha256()
    for part in split:
        sha.update(f"{part.images.shape}".encode())
        sha.update(np.ascontiguousarray(part.images).data)
        sha.update(np.ascontiguousarray(part.labels, dtype="<i8").data)
    return sha.hexdigest()


def validated(split: object, classes: int, source: str) -> Split:
    """What a reader returned, checked; labels of any integer type become int64.

    ``source`` names the reader and its folder in the message. Raises DataError unless both parts
    hold uint8 images (N, C, H, W) of one shape and N labels in 0 .. classes - 1, with N > 0.
    """
    if not (isinstance(split, tuple) and len(split) == 2):
        raise DataError(
            f"{source} returned {type(split).__name__}: a reader returns qkd.data.images.Split"
        )
    train = _validated_part(split[0], classes, f"{source}, train")
    test = _validated_part(split[1], classes, f"{source}, test")
    if train.images.shape[1:] != test.images.shape[1:]:
        raise DataError(
            f"{source}: training images of shape {train.images.shape[1:]} and test images of shape "
            f"{test.images.shape[1:]} (channels, height, width): the reader must bring them to one"
        )
    return Split(train, test)


def _validated_part(part: object, classes: int, where: str) -> Images:
    if not (isinstance(part, tuple) and len(part) == 2):
        raise DataError(
            f"{where}: {type(part).__name__}, where a reader returns qkd.data.images.Images"
        )
    images, labels = np.asarray(part[0]), np.asarray(part[1])
    if images.dtype != np.uint8 or images.ndim != 4:
        raise DataError(
            f"{where}: images are {images.dtype} of shape {images.shape}: the reader must return "
            "uint8 of shape (N, C, H, W), pixels from 0 to 255"
        )
    if images.size == 0:
        raise DataError(f"{where}: no images (shape {images.shape}): look whether files are there")
    if labels.dtype.kind not in "iu" or labels.shape != images.shape[:1]:
        raise DataError(
            f"{where}: labels are {labels.dtype} of shape {labels.shape} for {len(images)} images: "
            f"the reader must return integers of shape ({len(images)},)"
        )
    lowest, highest = int(labels.min()), int(labels.max())
    if lowest < 0 or highest >= classes:
        raise DataError(
            f"{where}: labels from {lowest} to {highest}, but {classes} classes are labelled from "
            f"0 to {classes - 1}: correct the reader or the number of classes"
        )
    return Images(images, labels.astype(np.int64))
