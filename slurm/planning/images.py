"""Whether a plan's data can be trained on as it says, asked of what was read."""

from collections.abc import Iterable
from typing import Any

from qkd.spec import Data


def require_fit(data: Data, split: Any, batches: Iterable[int]) -> None:
    """Asks whether the data are what ``data`` says, for batches of so many images.

    Raises ValueError in a line: a mean or deviation that is not of pixels from 0 to 1, or not one
    for each channel; fewer classes than declared; a batch of more images than are trained on.
    """
    channels = split.train.shape[0]
    for name, values in (("mean", data.mean), ("std", data.std)):
        if not all(0 <= value <= 1 for value in values):
            raise ValueError(
                f"{data.name}: {name}={values} is not of pixels from 0 to 1: divide what is of "
                "pixels from 0 to 255 by 255"
            )
        if len(values) not in (1, channels):
            raise ValueError(
                f"{data.name}: {name}={values} has {len(values)} numbers, its images {channels} "
                "channels"
            )
    labels = set(split.train.labels.tolist())
    if len(labels) < data.classes:
        missing = next(label for label in range(data.classes) if label not in labels)
        raise ValueError(
            f"{data.name}: {data.classes} classes are declared, and {len(labels)} have training "
            f"images (label {missing} has none): correct classes="
        )
    trained = data.train_images - data.held_out
    largest = max(batches, default=0)
    if largest > trained:
        raise ValueError(
            f"{data.name}: a batch of {largest} is more than the {trained} images that are trained "
            "on: lower it"
        )
