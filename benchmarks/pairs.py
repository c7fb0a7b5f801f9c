"""Networks with their cost, and pairs that begin pre-trained (torch-free)."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from benchmarks.layers import macs_of, mobilenet_layers, resnet_layers
from benchmarks.matrix import Pair
from qkd.phases import PRE_TRAINING
from qkd.spec import Data, History, Learner, Network, Part, Recipe, Weights

NONE_READY: Mapping[str, Weights] = MappingProxyType({})


class Priced(NamedTuple):
    """A network and the multiply-accumulates of its forward pass on one image (0: to be counted
    by the launcher).
    """

    network: Network
    macs: int = 0


def cifar_resnet(depth: int, width: int, channels: int, classes: int, size: int) -> Priced:
    """A ResNet for ``size`` x ``size`` images, its convolutions and linear layer counted."""
    network = Network(
        name=f"resnet{depth}-width{width}",
        factory="qkd.models.resnet_cifar:resnet",
        arguments={"depth": depth, "width": width, "channels": channels, "classes": classes},
    )
    return Priced(network, macs_of(resnet_layers(depth, width, channels, classes, size)))


def cifar_mobilenet(width: float, channels: int, classes: int, size: int) -> Priced:
    """A MobileNetV2 for ``size`` x ``size`` images, its convolutions and linear layer counted."""
    network = Network(
        name=f"mobilenetv2-width{width:g}",
        factory="qkd.models.mobilenet_cifar:mobilenet_v2",
        arguments={"width": width, "channels": channels, "classes": classes},
    )
    return Priced(network, macs_of(mobilenet_layers(width, channels, classes, size)))


def pretraining(
    network: Network,
    data: Data,
    *,
    steps: int,
    log_every: int,
    batch: int,
    seed: int = 0,
    learning_rate: float = 0.1,
    weight_decay: float = 5e-4,
) -> History:
    """The history of a network trained by its labels alone, from random weights.

    Learning rate and weight decay: assumed (see qkd.marks).
    """
    recipe = Recipe(
        horizon=steps,
        log_every=log_every,
        batch=batch,
        learning_rate=learning_rate,
        weight_decay=weight_decay,
    )
    return History(
        data=data,
        student=Learner(network=network),
        recipe=recipe,
        seed=seed,
        parts=(Part(phase=PRE_TRAINING, steps=steps),),
    )


def from_file(network: Network, data: Data, weights: Weights) -> History:
    """The history of a network that begins with ready weights; nothing of it is trained here.

    ``data`` says how the network sees its images, and by which test images it is judged.
    """
    return History(
        data=data,
        student=Learner(network=network, weights=weights),
        recipe=Recipe(horizon=1, log_every=1),  # of no step
        seed=0,
    )


def pretrained_pair(
    student: Priced,
    teacher: Priced,
    data: Data,
    *,
    steps: int,
    log_every: int,
    batch: int,
    seed: int = 0,
    weights: Mapping[str, Weights] = NONE_READY,
) -> Pair:
    """A pair whose networks both begin pre-trained for ``steps`` steps, with one seed.

    Those that ``weights`` has by name begin with ready weights instead.
    """

    def begin(network: Network) -> History:
        if network.name in weights:
            return from_file(network, data, weights[network.name])
        return pretraining(network, data, steps=steps, log_every=log_every, batch=batch, seed=seed)

    return Pair(
        data=data,
        student=student.network,
        teacher=teacher.network,
        student_start=begin(student.network),
        teacher_start=begin(teacher.network),
        student_macs=student.macs,
        teacher_macs=teacher.macs,
    )
