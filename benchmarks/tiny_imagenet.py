"""Tiny-ImageNet: ImageNet's questions at 64 pixels, for those without a cluster (torch-free).

ResNet-18 and MobileNetV2 as torchvision builds them, each with a ResNet-34 as teacher. All are
pre-trained here: published weights are of 224 pixels, and saw these images in full size. Run it
with ``make run MATRIX=tiny-imagenet DATA=folder``.
"""

from types import MappingProxyType

from benchmarks.imagenet import AMONG_TRIO, TRIO, Cast, Scale, few, grids_of
from benchmarks.imagenet import SCALES as OF_IMAGENET
from benchmarks.imagenet_networks import FEW_PIXELS, imagenet
from benchmarks.matrix import Label, Matrix, ScaleName
from benchmarks.pairs import Priced
from qkd.data.standard import TINY_IMAGENET, TINY_IMAGENET_FEW
from qkd.spec import Recipe

DEFAULT_SEEDS: dict[ScaleName, tuple[int, ...]] = {
    "smoke": (0,),
    "laptop": (0, 1, 2),
    "paper": (0, 1, 2),
}

BATCH = 128
EPOCH = TINY_IMAGENET.epoch_steps(BATCH)  # 765 steps
# Of each method: 10 epochs (1.5, 5 and 3.5), each a whole number of steps, or 120.
SHORT, FULL = 20 * round(10 * EPOCH / 20), 120 * EPOCH
STUDENTS = ("resnet18", "mobilenet_v2")
THREE_AND_FOUR = MappingProxyType({3: TRIO, 4: (*TRIO, "fp")})


def matrix(scale: ScaleName, seeds: tuple[int, ...]) -> Matrix:
    """QKD, plain KD and plain QAT, and full precision."""
    chosen = SCALES[scale]
    return Matrix(
        name="tiny-imagenet",
        scale=scale,
        label=LABELS[scale],
        grids=tuple(grid for cast in chosen.casts for grid in grids_of(cast, chosen, seeds)),
        contrasts=AMONG_TRIO,
    )


def _network(name: str) -> Priced:
    return imagenet(name, TINY_IMAGENET.classes, FEW_PIXELS)


def _cast(student: str, teacher: str, asked: MappingProxyType[int, tuple[str, ...]]) -> Cast:
    networks = _network(student), _network(teacher)
    return Cast(*networks, bits=tuple(asked), ablated=False, asked=asked)


SCALES: dict[ScaleName, Scale] = {
    "smoke": Scale(
        data=TINY_IMAGENET_FEW,
        casts=tuple(
            Cast(few(one), few("resnet34"), (4,), ablated=False, asked=MappingProxyType({4: TRIO}))
            for one in STUDENTS
        ),
        pretraining=OF_IMAGENET["smoke"].pretraining,
        recipe=OF_IMAGENET["smoke"].recipe,
    ),
    "laptop": Scale(
        data=TINY_IMAGENET,
        casts=(_cast("resnet18", "resnet34", MappingProxyType({4: TRIO})),),
        pretraining=SHORT,
        recipe=Recipe(horizon=SHORT, log_every=EPOCH, batch=BATCH),
    ),
    "paper": Scale(
        data=TINY_IMAGENET,
        casts=tuple(_cast(student, "resnet34", THREE_AND_FOUR) for student in STUDENTS),
        pretraining=FULL,
        recipe=Recipe(horizon=FULL, log_every=EPOCH, batch=BATCH),
    ),
}

_QUESTION = "Does QKD beat plain KD and plain QAT at few bits on 200 classes of 64 pixels?"
_DEVIATIONS = (
    "not a data set of the paper's: its numbers stand beside none of the paper's claims",
    "2,000 training images are held out for the curves and never trained on",
    "assumed: batches of 128, CIFAR's learning rates and weight decay, ImageNet's random crops, "
    "ImageNet's networks as they are, whose first layers reduce 64 pixels to 16",
)
LABELS: dict[ScaleName, Label] = {
    "smoke": Label(
        title="Tiny-ImageNet, smoke scale",
        question=_QUESTION,
        cost="a few minutes on two cores",
        deviations=(
            "600 training and up to 100 test images of ten classes, 20 steps of 8 after a "
            "pre-training of 20: it shows that the machinery runs on these files, and nothing else",
        ),
    ),
    "laptop": Label(
        title="Tiny-ImageNet, laptop scale",
        question=_QUESTION,
        cost=(
            "about 16 hours on two cores without a GPU, estimated: 7.53e15 multiply-accumulates "
            "with three seeds, pre-training included, at 6.4e10 a second on each core"
        ),
        deviations=(
            "shortened: 10 epochs of pre-training and 10 of each method, ResNet-18 at W4A4 alone",
            *_DEVIATIONS,
        ),
    ),
    "paper": Label(
        title="Tiny-ImageNet, full length",
        question=_QUESTION,
        cost=(
            "23 hours on one A100, estimated at 30 % of its peak in float32: 2.41e17 "
            "multiply-accumulates with three seeds, pre-training included"
        ),
        deviations=(*_DEVIATIONS, "assumed: 120 epochs, as of ImageNet, and as many before"),
    ),
}
