"""MobileNetV2 at W3A3, where the paper's QKD gains most over plain KD. (torch-free)

MobileNetV2 of width 0.5 <- ResNet-56 on CIFAR-10; the teacher from ready weights, the student
pre-trained here. The paper's own figure, on ImageNet, is 62.6 against 60.7. Run it with
``make run MATRIX=mobilenet DATA=folder``; the folder is that of benchmarks.lengths.
"""

from benchmarks import cifar, evidence, lengths
from benchmarks.matrix import DEFAULT_SEEDS as SEEDS_OF_OTHERS
from benchmarks.matrix import Label, Matrix, ScaleName
from qkd.data.standard import CIFAR10
from qkd.spec import Bits, Recipe

DEFAULT_SEEDS: dict[ScaleName, tuple[int, ...]] = {**SEEDS_OF_OTHERS, "laptop": (0, 1, 2)}
W3A3 = Bits(weight=3, activation=3)


def matrix(scale: ScaleName, seeds: tuple[int, ...]) -> Matrix:
    """QKD, plain KD and plain QAT at equal rates."""
    of = _SCALES[scale]
    recipe, pair = of.recipe, cifar.pair_of(of.casts[0], of, lengths.READY)
    return Matrix(
        name="mobilenet",
        scale=scale,
        label=LABELS[scale],
        grids=tuple(evidence.trio(pair, recipe, W3A3, seeds, rates=evidence.EQUAL)),
        contrasts=evidence.AMONG_TRIO,
    )


_NARROW = cifar.Cast(CIFAR10, cifar.mobilenet(0.5, CIFAR10), cifar.resnet(56, CIFAR10), (3,))
_SCALES: dict[ScaleName, cifar.Scale] = {
    "smoke": cifar.Scale((cifar.SCALES["smoke"].casts[1],), 60, lengths.RECIPES["smoke"]),
    "laptop": cifar.Scale((_NARROW,), 60 * cifar.EPOCH, Recipe(horizon=6400, log_every=320)),
    "paper": cifar.Scale((_NARROW,), 200 * cifar.EPOCH, lengths.RECIPES["paper"]),
}
_QUESTION = (
    "Does QKD beat plain KD and plain QAT on a network with depthwise convolutions at W3A3, and by "
    "more than on a ResNet?"
)
_DEVIATIONS = (
    "the teacher comes from ready weights that know the 1,000 held-out images by heart",
    "all learn at the recipe's rates, which were tuned for nobody here",
)
LABELS: dict[ScaleName, Label] = {
    "smoke": Label(
        title="MobileNetV2 at W3A3, smoke scale",
        question=_QUESTION,
        cost="a minute or two on two cores",
        deviations=(
            "synthetic images and 80 steps: it shows that the machinery runs, and nothing else",
        ),
    ),
    "laptop": Label(
        title="MobileNetV2 at W3A3 on CIFAR-10, laptop scale",
        question=_QUESTION,
        cost=(
            "about thirteen hours on two cores without a GPU, estimated: 1.71e15 "
            "multiply-accumulates with three seeds. A core does 6.4e10 a second of a ResNet; "
            "PORTABLE=1, the default, takes 1.42 times as long, and the student does a quarter as "
            "many there (on an Intel)"
        ),
        deviations=(
            *_DEVIATIONS,
            "the student is pre-trained for 60 epochs instead of 200",
            "6,400 steps of 128 images (17 passes) instead of 200 epochs",
        ),
    ),
    "paper": Label(
        title="MobileNetV2 at W3A3 on CIFAR-10, full length",
        question=_QUESTION,
        cost=(
            "eight hours at 1e12 multiply-accumulates a second, estimated: 3.00e16 with five seeds"
        ),
        deviations=_DEVIATIONS,
    ),
}
