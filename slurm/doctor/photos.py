"""Are these the right photos? Before anything is trained some are decoded, and networks of known
accuracy are evaluated on them.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy.stats import binom
from torchvision.models import get_weight

from benchmarks.imagenet_networks import CLASSES
from benchmarks.settings import Settings
from qkd.data.batches import evaluation_batches
from qkd.data.cache import load
from qkd.data.images import DataError
from qkd.data.photos.decoding import NoImage, decode
from qkd.data.photos.index import index_of
from qkd.data.photos.within import shown
from qkd.measures.evaluate import evaluate
from qkd.records.schema import Accuracy
from qkd.spec import Data, History, Stage
from qkd.training.begin import build
from qkd.training.environment import device_of
from qkd.training.runtime import Runtime
from qkd.weights.files import BadWeights, present
from qkd.weights.reading import fill
from slurm.doctor import Finding

IMAGES = 500  # of the test images: for the five networks of the tables six minutes of one core
WRONGLY = 1e-3  # how often a network that reaches its known accuracy falls outside its band
LOOK_AT = (
    "look at the order of the classes (folders named by their wnid), at the preprocessing (mean, "
    "std, size and resize of the data set), and at whether this tree was cut or resized before"
)


def sampled_classes(data: Data, folder: Path) -> Finding:
    """A training photo of each of ten classes is decoded; the first and last class are named."""
    found = index_of(data, folder).listing
    spread = {round(i * (len(found.classes) - 1) / 9) for i in range(10)}
    what = f"photos of {data.name}"
    for label in sorted(spread):
        first = found.train.labels.searchsorted([label])
        (place,) = found.addresses(found.train.at(first))
        try:
            decode(place)
        except NoImage as error:
            return Finding(what, f"{shown(place)}: {error}", "unpack it again")
    order = f"{len(found.classes)} classes in the order {found.classes[0]} ... {found.classes[-1]}"
    return Finding(what, f"{order}; {len(spread)} classes' first photos decoded")


def known_accuracies(stages: Sequence[Stage], settings: Settings) -> Iterator[Finding]:
    """For each of torchvision's weights in the stages: does the network reach its known accuracy on
    these photos? Nothing for other data than ImageNet's classes, or at smoke scale.
    """
    for stage in stages:
        history, weights = stage.history, stage.history.student.weights
        data = history.data
        if weights is None or not weights.name or data.photos is None:
            continue
        if settings.scale == "smoke" or data.classes != CLASSES:
            continue
        if present(weights, settings.data) is None:
            absent = "their file is not there yet: the first run fetches it"
            yield Finding(_what(history), absent)
            continue
        yield known_accuracy(history, known_top1(weights.name), settings.data, settings.loaders)


def known_top1(name: str) -> float:
    """Top-1 on ImageNet's 50,000 validation images in percent, as torchvision says of its weights
    ``ResNet18_Weights.IMAGENET1K_V1``.
    """
    return float(get_weight(name).meta["_metrics"]["ImageNet-1K"]["acc@1"])


class Band(NamedTuple):
    """The least and the most right answers that are to be expected."""

    low: int
    high: int


def band(top1: float, images: int) -> Band:
    """The exact binomial band of right answers on ``images`` images, for a network that is right on
    ``top1`` percent of all. It leaves the band on either side once in 2,000 times at most.

    Images that are spread evenly over the classes vary less than that.
    """
    low, high = binom.ppf([WRONGLY / 2, 1 - WRONGLY / 2], images, top1 / 100)
    return Band(int(low), int(high))


def known_accuracy(
    history: History, top1: float, folder: Path, loaders: int = 0, images: int = IMAGES
) -> Finding:
    """Whether the network of ``history`` is right on ``images`` test images as often as its
    ``top1`` percent on all of them predicts.

    The images are spread evenly over the test set, and cut as every evaluation here cuts them.
    """
    try:
        accuracy = _accuracy(history, folder, loaders, images)
    except (BadWeights, DataError) as error:
        return Finding(_what(history), "could not be tested", str(error))
    expected = band(top1, accuracy.images)
    is_in = expected.low <= accuracy.correct1 <= expected.high
    low, high = (100 * count / accuracy.images for count in expected)
    return Finding(
        _what(history),
        f"known top-1 {top1:.2f} %; on {accuracy.images} test images {accuracy.top1:.2f} %, where "
        f"{low:.2f} to {high:.2f} % is to be expected",
        "" if is_in else LOOK_AT,
    )


def _accuracy(history: History, folder: Path, loaders: int, images: int) -> Accuracy:
    """Of the weights on so many test images, as training would see and evaluate them."""
    learner, device = history.student, device_of(Runtime())
    network = build(learner, history.seed, "weights", device)
    if learner.weights is not None:
        fill(network, learner.weights, folder)
    test = load(history.data, folder, loaders).test
    count = len(test.labels)
    spread = np.linspace(0, count - 1, min(count, images)).round().astype(np.int64)
    return evaluate(network, evaluation_batches(test.part(spread), history.data, device))


def _what(history: History) -> str:
    learner = history.student
    source = learner.weights.source if learner.weights else "no weights"
    return f"accuracy of {learner.network.name} ({source})"
