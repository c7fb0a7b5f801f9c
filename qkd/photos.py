"""How images that stay files are cut, as part of a data set's value (torch-free)."""

from typing import Literal

from qkd.value import Count, Positive, Value


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
