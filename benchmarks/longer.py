"""Longer training: does what QKD adds close with the length, or cross? (torch-free)

ResNet-20 <- ResNet-56 on CIFAR-10 at W2A2 as in benchmarks.evidence, four times as long. Run it
with ``make run MATRIX=longer DATA=folder``; the folder is that of benchmarks.lengths.
"""

from msgspec.structs import replace

from benchmarks import ablation, cifar, evidence, lengths
from benchmarks.matrix import Label, Matrix, ScaleName

TIMES = 4


def matrix(scale: ScaleName, seeds: tuple[int, ...]) -> Matrix:
    """QKD, plain KD and plain QAT for four times the steps of the evidence."""
    recipe = lengths.RECIPES[scale]
    whole = replace(recipe, horizon=TIMES * recipe.horizon, log_every=TIMES * recipe.log_every)
    pair = cifar.pair_of(lengths.CASTS[scale], cifar.SCALES[scale], lengths.READY)
    return Matrix(
        name="longer",
        scale=scale,
        label=LABELS[scale],
        grids=tuple(evidence.trio(pair, whole, ablation.W2A2, seeds)),
        contrasts=evidence.AMONG_TRIO,
    )


_QUESTION = (
    "Does QKD beat plain KD and plain QAT at W2A2 on CIFAR-10 after four times as many steps as in "
    "the evidence?"
)
LABELS: dict[ScaleName, Label] = {
    "smoke": Label(
        title="Longer training, smoke scale",
        question=_QUESTION,
        cost="a minute or two on two cores",
        deviations=(
            "synthetic images and 320 steps: it shows that the machinery runs, and nothing else",
        ),
    ),
    "laptop": Label(
        title="Longer training on CIFAR-10, laptop scale",
        question=_QUESTION,
        cost=(
            "twelve to fifteen hours on two cores without a GPU, estimated: 2.96e15 "
            "multiply-accumulates with five seeds at 3.3e10 a second on each core under "
            "PORTABLE=1, or 2.7e10 where the two are threads of one core"
        ),
        deviations=(
            *evidence.DEVIATIONS,
            "6,400 steps of 128 images (17 passes) instead of 200 epochs",
        ),
    ),
    "paper": Label(
        title="Longer training on CIFAR-10, four times the paper's length",
        question=_QUESTION,
        cost=("40 hours at 1e12 multiply-accumulates a second, estimated: 1.41e17 with five seeds"),
        deviations=(*evidence.DEVIATIONS, "800 epochs instead of the paper's 200"),
    ),
}
