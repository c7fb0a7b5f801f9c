"""CIFAR-100: does QKD beat plain KD where the teacher has more to tell? (torch-free)

ResNet-20 <- ResNet-32 at W2A2, both pre-trained here. Plain QAT learns at the recipe's rates, as
the others do, and with two seeds at three times these. Run it with
``make run MATRIX=cifar100 DATA=folder``.
"""

from msgspec.structs import replace

from benchmarks import ablation, cifar, evidence, lengths
from benchmarks.contrasts import explored
from benchmarks.matrix import Grid, Label, Matrix, ScaleName
from qkd.data.standard import CIFAR100
from qkd.spec import Recipe

FASTER = 3.0
SEEDS_OF_FASTER = 2  # the first of them


def matrix(scale: ScaleName, seeds: tuple[int, ...]) -> Matrix:
    """QKD, plain KD and plain QAT at equal rates, and plain QAT at three times them."""
    of = _SCALES[scale]
    recipe, pair = of.recipe, cifar.pair_of(of.casts[0], of)
    equal = tuple(evidence.trio(pair, recipe, ablation.W2A2, seeds, rates=evidence.EQUAL))
    (qat,) = (one for grid in equal for one in grid.methods if one.name == "qat")
    faster = Grid(
        pair=pair,
        bits=(ablation.W2A2,),
        methods=(replace(qat, name="qat-3x", note="plain QAT at three times the rates"),),
        seeds=seeds[:SEEDS_OF_FASTER],
        recipe=lengths.at_factor(recipe, FASTER),
    )
    return Matrix(
        name="cifar100",
        scale=scale,
        label=LABELS[scale],
        grids=(*equal, faster),
        contrasts=(
            *evidence.AMONG_TRIO,
            explored("qat-3x", "qat", "what faster learning adds to plain QAT"),
            explored("qkd", "qat-3x", "QKD against plain QAT that learns faster"),
        ),
    )


_RESNETS = cifar.Cast(CIFAR100, cifar.resnet(20, CIFAR100), cifar.resnet(32, CIFAR100), (2,))
_SCALES: dict[ScaleName, cifar.Scale] = {
    "smoke": cifar.Scale((cifar.SCALES["smoke"].casts[0],), 60, lengths.RECIPES["smoke"]),
    "laptop": cifar.Scale((_RESNETS,), 30 * cifar.EPOCH, Recipe(horizon=6_400, log_every=320)),
    "paper": cifar.Scale((_RESNETS,), 200 * cifar.EPOCH, lengths.RECIPES["paper"]),
}
_QUESTION = "Does QKD beat plain KD and plain QAT at W2A2 on CIFAR-100?"
_DEVIATIONS = (
    "1,000 training images are held out for the curves and never trained on",
    "all learn at the recipe's rates, which were tuned for nobody here; plain QAT with two seeds "
    "at three times them too",
)
LABELS: dict[ScaleName, Label] = {
    "smoke": Label(
        title="CIFAR-100's question, smoke scale",
        question=_QUESTION,
        cost="a minute on two cores",
        deviations=(
            "synthetic images and 80 steps: it shows that the machinery runs, and nothing else",
        ),
    ),
    "laptop": Label(
        title="CIFAR-100, laptop scale",
        question=_QUESTION,
        cost=(
            "twelve to fifteen hours on two cores without a GPU, estimated: 2.91e15 "
            "multiply-accumulates with five seeds, pre-training included, at 3.3e10 a second on "
            "each core under PORTABLE=1, or 2.7e10 where the two are threads of one core"
        ),
        deviations=(
            *_DEVIATIONS,
            "both networks are pre-trained for 30 epochs instead of 200",
            "6,400 steps of 128 images (17 epochs) instead of 200 epochs",
        ),
    ),
    "paper": Label(
        title="CIFAR-100, full length",
        question=_QUESTION,
        cost=(
            "nine hours at 1e12 multiply-accumulates a second, estimated: 3.21e16 with five seeds"
        ),
        deviations=_DEVIATIONS,
    ),
}
