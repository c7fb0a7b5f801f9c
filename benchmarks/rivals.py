"""The rivals: does QKD help other quantizers too? (torch-free)

Every quantizer as plain QAT and under QKD, and SQAKD, at W2A2, with the ablation's pair and recipe:
``qat`` and ``qkd`` are the ablation's own stages. Run it with ``make rivals``; at laptop scale half
an hour on two cores without a GPU.

How fast a quantizer's own parameters learn, the weights' rate being 0.01:

- LSQ and LSQ+: the step at the weights' own rate (their papers').
- TQT: both thresholds at 0.01 (second-hand: its paper's rate; that SGD stands in for Adam is
  assumed).
- PACT: alpha at the weights' own rate (assumed: it is trained along with them), which is the
  recipe's for activations; its weights have no parameter of their own.
- QIL: the recipe's rates, 0.0001 for weights and 0.01 for activations (assumed).
- DoReFa: has no parameter to learn.

Two rates are two grids. They are compared all the same: a seed sees the same images in the same
order in both.
"""

from msgspec.structs import replace

from baselines.methods import QUANTIZERS, sqakd, with_quantizer
from baselines.methods import rivals as every_rival
from benchmarks import ablation
from benchmarks.contrasts import Contrast, explored
from benchmarks.matrix import DEFAULT_SEEDS as SEEDS_OF_OTHERS
from benchmarks.matrix import Grid, Label, Matrix, ScaleName
from qkd.spec import Method, Recipe

DEFAULT_SEEDS: dict[ScaleName, tuple[int, ...]] = {**SEEDS_OF_OTHERS, "laptop": (0, 1, 2)}

TITLES = {
    "lsq": "LSQ",
    "lsq-plus": "LSQ+",
    "pact": "PACT with SAWB weights",
    "dorefa": "DoReFa",
    "qil": "QIL",
    "tqt": "TQT",
}
AT_THE_WEIGHTS_RATE = ("lsq", "lsq-plus", "tqt")


def matrix(scale: ScaleName, seeds: tuple[int, ...]) -> Matrix:
    """The rivals at a scale."""
    base = ablation.matrix(scale, seeds).grids[0]
    ours = {method.name: method for method in base.methods}
    trainings = ours["qat"], ours["qkd"]
    fast = [name for name in QUANTIZERS if name in AT_THE_WEIGHTS_RATE]
    slow = [name for name in QUANTIZERS if name not in AT_THE_WEIGHTS_RATE]
    return Matrix(
        name="rivals",
        scale=scale,
        label=_label(scale),
        grids=(
            replace(base, methods=(*trainings, *_with(slow, trainings), sqakd())),
            replace(base, methods=_with(fast, trainings), recipe=_at_the_weights_rate(base.recipe)),
        ),
        contrasts=contrasts(),
    )


def _with(names: list[str], trainings: tuple[Method, ...]) -> tuple[Method, ...]:
    """Every training with every one of the quantizers."""
    return tuple(
        replace(
            with_quantizer(training, QUANTIZERS[name], f"{training.name}-{name}"),
            note=TITLES[name],
        )
        for name in names
        for training in trainings
    )


def optional_grids(base: Grid) -> tuple[Grid, Grid]:
    """The rivals as optional cells beside those of a grid, at their two rates of learning."""
    fast = [QUANTIZERS[name] for name in AT_THE_WEIGHTS_RATE]
    learn_fast = tuple(method for method in every_rival() if method.quantizer in fast)
    others = tuple(method for method in every_rival() if method.quantizer not in fast)
    recipe = _at_the_weights_rate(base.recipe)
    return (
        replace(base, methods=others, optional=True),
        replace(base, methods=learn_fast, recipe=recipe, optional=True),
    )


def _at_the_weights_rate(recipe: Recipe) -> Recipe:
    return replace(recipe, weight_interval_learning_rate=recipe.learning_rate)


def contrasts() -> tuple[Contrast, ...]:
    """Fixed: whether QKD helps each rival's quantizer. All others are exploratory."""
    fixed = [
        Contrast(first=f"qkd-{name}", second=f"qat-{name}", asks=f"does QKD help {TITLES[name]}?")
        for name in QUANTIZERS
    ]
    against = [
        explored(training, f"{training}-{name}", f"our quantizer against {TITLES[name]}, {words}")
        for training, words in (("qat", "plain QAT"), ("qkd", "under QKD"))
        for name in QUANTIZERS
    ]
    return (
        *fixed,
        explored("qkd", "qat", "does QKD help our quantizer? (fixed in the ablation)"),
        *against,
        explored("qkd", "sqakd", "QKD against distillation from the full-precision self"),
        explored("qat", "sqakd", "plain QAT against it"),
    )


# For a matrix that has the rivals as optional cells: nothing of them is fixed beforehand.
OPTIONAL_CONTRASTS = tuple(
    explored(f"qkd-{name}", f"qat-{name}", f"does QKD help {TITLES[name]}?") for name in QUANTIZERS
)

_SCALES: dict[ScaleName, tuple[str, str]] = {
    "smoke": ("smoke scale", "a minute or two on two cores"),
    "laptop": (
        "laptop scale",
        "half an hour on two cores without a GPU, the pre-trained networks at hand",
    ),
    "paper": ("full length", "days on one GPU"),
}
_DEVIATIONS = (
    "the rivals train by this project's recipe (SGD, lengths, initial networks, 8-bit edges), not "
    "by their papers'",
    "the rates at which their own parameters learn: LSQ and LSQ+ the weights', as in their papers; "
    "TQT 0.01 (second-hand); PACT and QIL the recipe's (assumed)",
    "QIL without its progressive lowering of the bits; SQAKD with our quantizer",
)


def _label(scale: ScaleName) -> Label:
    words, cost = _SCALES[scale]
    return Label(
        title=f"Rivals' quantizers, {words}",
        question=(
            "Does QKD help other quantizers than ours at W2A2, and how does ours stand beside them "
            "in plain QAT and under QKD?"
        ),
        cost=cost,
        deviations=(*ablation.LABELS[scale].deviations, *_DEVIATIONS),
    )
