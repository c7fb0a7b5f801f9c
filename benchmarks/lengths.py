"""Two lengths: does what QKD adds depend on how long it trains? (torch-free)

The first evidence on CIFAR-10: ResNet-20 <- ResNet-56 at W2A2, from ready weights, for a whole
length and for a quarter of it. Each length is a setting with contrasts of its own: a cosine of
another length is another training, so that runs of two lengths are not compared with each other.
Run it with ``make run MATRIX=lengths DATA=folder``; the folder holds CIFAR-10 and, but for smoke
scale, the two files of `READY` (github.com/akamaster/pytorch_resnet_cifar10, BSD-2).
"""

from collections.abc import Iterator

from msgspec.structs import replace

from benchmarks import ablation, cifar
from benchmarks.matrix import DEFAULT_SEEDS as SEEDS_OF_OTHERS
from benchmarks.matrix import Grid, Label, Matrix, Pair, ScaleName
from qkd.spec import Recipe, Weights

DEFAULT_SEEDS: dict[ScaleName, tuple[int, ...]] = {**SEEDS_OF_OTHERS, "laptop": (0, 1, 2)}

# The factors on the recipe's learning rates that the rule of benchmarks.tuning chose, before the
# first run; its nine results are in results/reference/cifar10. Plain QAT's is the range's end.
TUNED = {"qkd": 1.0, "kd": 1.0, "qat": 3.0}

# The methods, each with the tuned one whose factor it takes: QKD's parts and variants take QKD's,
# so that they differ from it in nothing else.
LIKE = {
    "qkd": "qkd",
    "ss+cs": "qkd",
    "ss+tu": "qkd",
    "cs+tu": "qkd",
    "qkd-ce": "qkd",
    "kd": "kd",
    "qat": "qat",
    "qat-cost": "qat",
}


def matrix(scale: ScaleName, seeds: tuple[int, ...]) -> Matrix:
    """Both lengths at a scale, the whole one first."""
    whole = RECIPES[scale]
    pair = cifar.pair_of(CASTS[scale], cifar.SCALES[scale], READY)
    return Matrix(
        name="lengths",
        scale=scale,
        label=LABELS[scale],
        grids=tuple(
            grid for recipe in (whole, quarter(whole)) for grid in _grids(pair, recipe, seeds)
        ),
    )


def quarter(recipe: Recipe) -> Recipe:
    """The recipe for a quarter of its length, with as many lines of metrics."""
    return replace(recipe, horizon=recipe.horizon // 4, log_every=recipe.log_every // 4)


def at_factor(recipe: Recipe, factor: float) -> Recipe:
    """The recipe with all three learning rates multiplied: their ratios are better known than
    their height (two sources), and a teacher in co-studying follows the weights' rate.
    """

    def scaled(rate: float) -> float:
        return round(rate * factor, 10)  # 0.0003 rather than 0.00030000000000000003

    return replace(
        recipe,
        learning_rate=scaled(recipe.learning_rate),
        weight_interval_learning_rate=scaled(recipe.weight_interval_learning_rate),
        activation_interval_learning_rate=scaled(recipe.activation_interval_learning_rate),
    )


def _grids(pair: Pair, recipe: Recipe, seeds: tuple[int, ...]) -> Iterator[Grid]:
    """One length: a grid for each factor. They differ in learning rates alone, and are compared."""
    methods = [method for method in ablation.methods(pair) if method.name in LIKE]
    for factor in dict.fromkeys(TUNED.values()):
        yield Grid(
            pair=pair,
            bits=(ablation.W2A2,),
            methods=tuple(method for method in methods if TUNED[LIKE[method.name]] == factor),
            seeds=seeds,
            recipe=at_factor(recipe, factor),
        )


def _ready(name: str, sha256: str) -> Weights:
    return Weights(
        source=f"file:{name}-{sha256[:8]}.th",
        sha256=sha256,
        entry="state_dict",
        rename={"module.": ""},
    )


READY = {
    "cifar10": {
        "resnet20": _ready(
            "resnet20", "12fca82f0bebc4135bf1f32f6e3710e61d5108578464b84fd6d7f5c1b04036c8"
        ),
        "resnet56": _ready(
            "resnet56", "4bfd97631478d6b638d2764fd2baff3edb1d7d82252d54439343b6596b9b5367"
        ),
    }
}

_LARGER = cifar.SCALES["paper"].casts[1]  # ResNet-20 <- ResNet-56 on CIFAR-10
CASTS: dict[ScaleName, cifar.Cast] = {
    "smoke": cifar.SCALES["smoke"].casts[0],
    "laptop": _LARGER,
    "paper": _LARGER,
}
# Lengths whose quarter has whole steps in every phase; a twentieth of a run between two lines of
# metrics, which is where its phases end too.
RECIPES: dict[ScaleName, Recipe] = {
    "smoke": Recipe(horizon=80, log_every=4, batch=32),
    "laptop": Recipe(horizon=1600, log_every=80),
    "paper": Recipe(horizon=200 * cifar.EPOCH, log_every=10 * cifar.EPOCH),
}

_QUESTION = (
    "Does QKD beat plain QAT and plain KD at W2A2 on CIFAR-10, which phase adds what, and does the "
    "answer change with the length of training?"
)
_DEVIATIONS = (
    "one pair, ResNet-20 <- ResNet-56, from ready weights that were trained on all 50,000 training "
    "images: they know the 1,000 held-out ones by heart, so that curves and the best step flatter; "
    "the last step on the test images is what counts",
    "learning rates were tuned at laptop scale by benchmarks.tuning, and nothing else was: of 0.3, "
    "1 and 3 times the recipe's, 1 for QKD and plain KD, 3 for plain QAT, which is the range's end",
    "what chose them is one seed of 400 steps, on 5,000 held-out images and with a pair of 10 "
    "epochs whose teacher stood below its student; the chosen factor led the next one by 0.14 "
    "(QKD), 0.24 (plain KD) and 0.62 points (plain QAT): the order is not established",
    "so plain QAT learns at three times the rates of what it is compared with. "
    "QKD's parts and variants take QKD's rates, plain QAT at QKD's cost those of plain QAT",
)
LABELS: dict[ScaleName, Label] = {
    "smoke": Label(
        title="Two lengths of training, smoke scale",
        question=_QUESTION,
        cost="a few minutes on two cores",
        deviations=(
            "synthetic images, 80 and 20 steps, the rates that were tuned at laptop scale: "
            "it shows that the machinery runs, and nothing else",
        ),
    ),
    "laptop": Label(
        title="Two lengths of training on CIFAR-10, laptop scale",
        question=_QUESTION,
        cost=(
            "about ten hours on two cores without a GPU, estimated: 1.70e15 multiply-accumulates "
            "with three seeds at 2.8e10 a second on each core, and more than an hour for held-out "
            "images and integer proofs; the committed run took 4.5 on an AMD EPYC"
        ),
        deviations=(
            *_DEVIATIONS,
            "1,600 and 400 steps of 128 images (4.2 passes and 1.05) instead of 200 epochs",
        ),
    ),
    "paper": Label(
        title="Two lengths of training on CIFAR-10, full length",
        question=_QUESTION,
        cost="38 hours at 1e12 multiply-accumulates a second, estimated: 1.35e17 with five seeds",
        deviations=(
            *_DEVIATIONS,
            "the whole length is the 200 epochs of the paper, the quarter 50",
        ),
    ),
}
