"""ImageNet-100: ImageNet's questions on any hundred of its classes, in a fifteenth of the time
(torch-free).

``DATA`` is a folder of those classes as ImageNet's, or shards or parquet files of it; 732 training
images of each class are taken. Both networks of a pair are pre-trained here: published weights are
of a thousand classes. Run it with ``make run MATRIX=imagenet-100 DATA=folder``.
"""

from types import MappingProxyType

from benchmarks.imagenet import AMONG_TRIO, BATCH, TRIO, Cast, Scale, grids_of
from benchmarks.imagenet import SCALES as OF_IMAGENET
from benchmarks.imagenet_networks import imagenet
from benchmarks.matrix import Label, Matrix, ScaleName
from benchmarks.pairs import Priced
from qkd.data.standard import IMAGENET_100
from qkd.spec import Recipe

DEFAULT_SEEDS: dict[ScaleName, tuple[int, ...]] = {
    "smoke": (0,),
    "headline": (0, 1, 2),
    "paper": (0, 1, 2),
}

EPOCH = IMAGENET_100.epoch_steps(BATCH)  # 278 steps
# 30 epochs: 4.5, 15 and 10.5, each a whole number of steps; 60 of pre-training before.
HEADLINE_STEPS, BEFORE = 30 * EPOCH, 60 * EPOCH
FULL = 120 * EPOCH


def matrix(scale: ScaleName, seeds: tuple[int, ...]) -> Matrix:
    """QKD, plain KD and plain QAT; at full length their ablation and full precision too."""
    chosen = SCALES[scale]
    return Matrix(
        name="imagenet-100",
        scale=scale,
        label=LABELS[scale],
        grids=tuple(grid for cast in chosen.casts for grid in grids_of(cast, chosen, seeds)),
        contrasts=AMONG_TRIO,
    )


def _network(name: str) -> Priced:
    return imagenet(name, IMAGENET_100.classes)


def _cast(student: str, teacher: str, asked: dict[int, tuple[str, ...]]) -> Cast:
    networks = _network(student), _network(teacher)
    return Cast(*networks, tuple(asked), ablated=False, asked=MappingProxyType(asked))


SCALES: dict[ScaleName, Scale] = {
    "smoke": OF_IMAGENET["smoke"]._replace(
        casts=tuple(
            cast._replace(ablated=False, asked=MappingProxyType({4: TRIO}))
            for cast in OF_IMAGENET["smoke"].casts
        )
    ),
    "headline": Scale(
        data=IMAGENET_100,
        casts=(
            _cast("resnet18", "resnet34", {4: TRIO}),
            _cast("mobilenet_v2", "resnet50", {3: ("qkd", "kd")}),
        ),
        pretraining=BEFORE,
        recipe=Recipe(horizon=HEADLINE_STEPS, log_every=EPOCH, batch=BATCH, precision="tf32"),
    ),
    "paper": Scale(
        data=IMAGENET_100,
        casts=(
            _cast("resnet18", "resnet34", {2: TRIO, 3: TRIO, 4: (*TRIO, "fp")}),
            _cast("mobilenet_v2", "resnet50", {3: TRIO, 4: (*TRIO, "fp")}),
        ),
        pretraining=FULL,
        recipe=Recipe(horizon=FULL, log_every=EPOCH, batch=BATCH),
    ),
}

_QUESTION = "Does QKD beat plain KD and plain QAT at few bits on a hundred of ImageNet's classes?"
_DEVIATIONS = (
    "not a data set of the paper's: its numbers stand beside none of the paper's claims",
    "which hundred classes they are is yours to say: the data set's digest covers their names",
    "732 training images of each class, of which 2,000 in all are held out for the curves",
    "assumed: batches of 256, CIFAR's learning rates and weight decay, ImageNet's random crops",
)
LABELS: dict[ScaleName, Label] = {
    "smoke": Label(
        title="ImageNet-100, smoke scale",
        question=_QUESTION,
        cost="a few minutes on two cores",
        deviations=(
            "600 training and up to 100 test images of ten classes, at 64 pixels, 20 steps of 8 "
            "after a pre-training of 20: it shows that the machinery runs on photos, and nothing "
            "else",
        ),
    ),
    "headline": Label(
        title="ImageNet-100, the headline",
        question=_QUESTION,
        cost=(
            "10 hours on one A100 in TF32 with three seeds, 20 in float32, derived from speeds "
            "that others measured: 3.79e17 multiply-accumulates, pre-training included"
        ),
        deviations=(
            "shortened: 60 epochs of pre-training, 30 of each method where SCALE=paper takes 120",
            "products in TF32 on devices that have it: no run says yet what that changes",
            *_DEVIATIONS,
        ),
    ),
    "paper": Label(
        title="ImageNet-100, full length",
        question=_QUESTION,
        cost=(
            "160 hours on one A100 in float32 with three seeds, 79 in TF32, derived from speeds "
            "that others measured: 2.98e18 multiply-accumulates, pre-training included"
        ),
        deviations=(*_DEVIATIONS, "assumed: 120 epochs, as of ImageNet, and as many before"),
    ),
}
