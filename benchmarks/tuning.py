"""Tuning: at which learning rates do plain QAT, plain KD and QKD learn best? (torch-free)

It sets the rates of benchmarks.lengths, before that is run. A pair of its own, pre-trained without
5,000 held-out training images, with seeds that nothing else uses, is trained for a quarter of the
length. Each of the three methods gets the same three tries: the recipe's learning rates times 0.3,
1 and 3. Run it with ``make run MATRIX=tuning DATA=folder``.

The rule, written down before the first run:

1. A try's result is the top-1 on the held-out images at the last step, the mean over seeds: the
   column ``best_top1`` of cells.csv, as these images are looked at once, at the last step. The test
   images, which every stage is evaluated on, are not looked at.
2. Of each method the factor with the highest result is chosen. Of equal ones 1 is chosen where it
   is among them, else the smaller. A try that failed is not chosen.
3. No further value is tried, also where the best lies at the end of the range: that is said.
4. The three factors are set in ``TUNED`` of benchmarks.lengths. QKD's parts and variants take
   QKD's, plain QAT at QKD's cost that of plain QAT.
5. All nine results are published with the records, whatever they are.
"""

from msgspec.structs import replace

from benchmarks import ablation, lengths
from benchmarks.matrix import Grid, Label, Matrix, Pair, ScaleName
from benchmarks.pairs import pretrained_pair
from qkd.spec import Method

FACTORS = (0.3, 1.0, 3.0)
SEED = 100  # of the pair, and the first of the runs
DEFAULT_SEEDS: dict[ScaleName, tuple[int, ...]] = {
    "smoke": (SEED,),
    "laptop": (SEED,),
    "paper": (SEED, SEED + 1, SEED + 2),
}

HELD_OUT = 5000
EPOCH = 351  # steps: 45,000 images that are not held out, in batches of 128


def matrix(scale: ScaleName, seeds: tuple[int, ...]) -> Matrix:
    """Three tries for each of three methods at a scale. Nothing is compared but by the rule."""
    pair = pair_of(scale)
    recipe = lengths.quarter(lengths.RECIPES[scale])
    recipe = replace(recipe, log_every=recipe.horizon)
    grids = tuple(
        Grid(
            pair=pair,
            bits=(ablation.W2A2,),
            methods=_tries(pair, factor),
            seeds=seeds,
            recipe=lengths.at_factor(recipe, factor),
        )
        for factor in FACTORS
    )
    return Matrix(name="tuning", scale=scale, label=LABELS[scale], grids=grids, contrasts=())


def pair_of(scale: ScaleName) -> Pair:
    """The networks of benchmarks.lengths, pre-trained on what is not held out here."""
    cast, steps = lengths.CASTS[scale], PRETRAINING[scale]
    data = cast.data
    if scale != "smoke":
        data = replace(data, name=f"{data.name}-tuning", held_out=HELD_OUT)
    return pretrained_pair(
        cast.student,
        cast.teacher,
        data,
        steps=steps,
        log_every=min(EPOCH, steps),
        batch=lengths.RECIPES[scale].batch,
        seed=SEED,
    )


def _tries(pair: Pair, factor: float) -> tuple[Method, ...]:
    """The tuned methods, each with the factor in its name."""
    return tuple(
        replace(method, name=f"{method.name}-x{factor:g}")
        for method in ablation.methods(pair)
        if method.name in lengths.TUNED
    )


PRETRAINING: dict[ScaleName, int] = {"smoke": 60, "laptop": 10 * EPOCH, "paper": 200 * EPOCH}

_QUESTION = (
    "At which of three learning rates does each of plain QAT, plain KD and QKD do best on images "
    "that neither it nor its pre-training has seen?"
)
_DEVIATIONS = (
    "5,000 training images are held out and decide, looked at once, at the last step: they are the "
    "best held-out top-1 of the table, and the test top-1 beside it decides nothing",
    "each method is tried at three factors on all of the recipe's learning rates, 0.3, 1 and 3, "
    "and at nothing else: QKD's other settings (the teacher's rate, the weights of the KL terms) "
    "are the recipe's",
    "the tries have a quarter of the length, and what is chosen is used at both",
)
LABELS: dict[ScaleName, Label] = {
    "smoke": Label(
        title="Tuning, smoke scale",
        question=_QUESTION,
        cost="a minute or two on two cores",
        deviations=ablation.LABELS["smoke"].deviations,
    ),
    "laptop": Label(
        title="Tuning on CIFAR-10, laptop scale",
        question=_QUESTION,
        cost=(
            "about two hours on two cores without a GPU, estimated: 3.32e14 multiply-accumulates "
            "with one seed at 2.8e10 a second on each core, and held-out images and integer proofs"
        ),
        deviations=(
            *_DEVIATIONS,
            "one seed, and a pair that is pre-trained for 10 epochs, the student to a held-out "
            "top-1 of 85.34 %, the teacher to 82.10 %: both are weaker than the ready weights that "
            "the chosen rates are used with, and ten epochs leave the teacher below its student",
        ),
    ),
    "paper": Label(
        title="Tuning on CIFAR-10, full length",
        question=_QUESTION,
        cost="six hours at 1e12 multiply-accumulates a second, estimated: 2.0e16 with three seeds",
        deviations=_DEVIATIONS,
    ),
}
