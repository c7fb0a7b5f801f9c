"""Which images, and how a training batch is made of them (torch-free)."""

from typing import Annotated, Literal

import msgspec

from qkd.spec.value import NOT_IDENTITY, Count, ImportPath, Name, Positive, Value

Sha256 = Annotated[str, msgspec.Meta(pattern=r"^([0-9a-f]{64})?$")]


class Photos(Value, kw_only=True):
    """How images that stay files are cut: every step decodes its own.

    Training takes a random crop, of which ``area`` bounds the share of the image and ``ratio`` the
    width over the height, and brings it to ``size`` x ``size`` pixels. Evaluation brings the
    shorter side to ``resize`` pixels and takes the middle. A file that is no image fails the stage,
    or (``unreadable``) is left out of its batch and counted.
    """

    size: Count = 224
    resize: Count = 256
    area: tuple[Positive, Positive] = (0.08, 1.0)
    ratio: tuple[Positive, Positive] = (3 / 4, 4 / 3)
    unreadable: Literal["fail", "skip"] = "fail"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.resize < self.size:
            raise ValueError(f"resize {self.resize} is less than size {self.size}: raise it")
        if not self.area[0] <= self.area[1] <= 1 or not self.ratio[0] <= self.ratio[1]:
            raise ValueError(
                f"area {self.area} must ascend to 1 at most, ratio {self.ratio} ascend"
            )


class Data(Value, kw_only=True):
    """A data set and how a training batch is made of it.

    ``reader`` says how the images come (a function of a folder), ``digest`` which they are: the
    sha256 of their canonical content (qkd.data.images), empty until the launcher has read them.
    ``mean`` and ``std`` are per channel, of pixels in [0, 1]; ``held_out`` training images are
    never trained on; a batch is padded by ``pad`` pixels, cropped back, and flipped at random.
    Where there are ``photos`` the images stay files and are cut as those say, without padding.
    """

    name: Annotated[Name, msgspec.Meta(extra=NOT_IDENTITY)]
    reader: Annotated[ImportPath, msgspec.Meta(extra=NOT_IDENTITY)]
    digest: Sha256 = ""
    train_images: Count
    classes: Count
    mean: tuple[float, ...]
    std: tuple[Positive, ...]
    held_out: Annotated[int, msgspec.Meta(ge=0)] = 0
    pad: Annotated[int, msgspec.Meta(ge=0)] = 4
    flip: bool = True
    photos: Photos | None = None

    def epoch_steps(self, batch: int) -> int:
        """Optimiser steps in one pass over the images that are trained on (the rest is dropped)."""
        return (self.train_images - self.held_out) // batch
