"""The rivals and controls that are asked for today (torch-free).

At W2A2, with the ablation's pair and recipe: ``qat``, ``qkd`` and ``apprentice`` are the ablation's
own stages. Run it with ``make run MATRIX=rivals-today``; at laptop scale over half an hour on two
cores without a GPU.

It is a matrix beside ``make rivals``, not more of its cells: the fixed contrasts of that one are a
family, corrected together, and were decided upon before its runs; and it would take twice as long.
All new parameters learn at the recipe's rates, 0.0001 for weights and 0.01 for activations
(assumed; ``make rivals`` does so for PACT and QIL).
"""

from msgspec.structs import replace

from baselines.today import QUANTIZERS, TITLES, rivals_of_today
from benchmarks import ablation
from benchmarks.contrasts import Contrast, explored
from benchmarks.matrix import DEFAULT_SEEDS as SEEDS_OF_OTHERS
from benchmarks.matrix import Label, Matrix, ScaleName

DEFAULT_SEEDS: dict[ScaleName, tuple[int, ...]] = {**SEEDS_OF_OTHERS, "laptop": (0, 1, 2)}


def matrix(scale: ScaleName, seeds: tuple[int, ...]) -> Matrix:
    """The rivals of today at a scale."""
    base = ablation.matrix(scale, seeds).grids[0]
    ours = tuple(method for method in base.methods if method.name in ("qat", "qkd"))
    return Matrix(
        name="rivals-today",
        scale=scale,
        label=_label(scale),
        grids=(replace(base, methods=(*ours, *rivals_of_today())),),
        contrasts=contrasts(),
    )


def contrasts() -> tuple[Contrast, ...]:
    """Fixed, before any run: whether QKD helps each quantizer, and whether it beats each other way
    to distil. All others are exploratory.
    """
    helps = [
        Contrast(first=f"qkd-{name}", second=f"qat-{name}", asks=f"does QKD help {title}?")
        for name, title in TITLES.items()
    ]
    beats = [
        Contrast(first="qkd", second=name, asks=f"QKD against {words}")
        for name, words in (
            ("apprentice", "Apprentice, plain KD from the fixed teacher"),
            ("kd-self", "plain KD from the student's own float self"),
            ("qkd-self", "QKD with the student's own float self as teacher"),
            ("dkd", "plain KD by DKD"),
            ("dist", "plain KD by DIST"),
            ("qfd", "plain KD by QFD"),
            ("qfd-self", "QFD with the student's own float self as teacher"),
        )
    ]
    return (
        *helps,
        *beats,
        explored("qkd", "qat", "does QKD help our quantizer? (fixed in the ablation)"),
        explored("qat-dampened", "qat", "what dampening oscillations adds to plain QAT"),
        explored("qat-frozen", "qat", "what freezing oscillating weights adds to plain QAT"),
        explored("dkd", "apprentice", "what DKD adds to plain KD"),
        explored("dist", "apprentice", "what DIST adds to plain KD"),
        explored("qfd", "apprentice", "QFD's quantized features instead of plain KD's logits"),
        explored("qfd-self", "kd-self", "the same, from the student's own float self"),
        explored("apprentice", "kd-self", "what a larger teacher adds to plain KD"),
        *(
            explored(training, f"{training}-{name}", f"our quantizer against {TITLES[name]}")
            for training in ("qat", "qkd")
            for name in QUANTIZERS
        ),
    )


_SCALES: dict[ScaleName, tuple[str, str]] = {
    "smoke": ("smoke scale", "a minute or two on two cores"),
    "laptop": (
        "laptop scale",
        "a fifth more than make rivals, over half an hour on two cores without a GPU (estimated "
        "from its operations), the pre-trained networks at hand",
    ),
    "paper": ("full length", "days on one GPU"),
}
_DEVIATIONS = (
    "the rivals train by this project's recipe (SGD, lengths, initial networks, 8-bit edges), not "
    "by their papers'; their own parameters at its rates (assumed)",
    "EWGS with a fixed factor, its output's scale on the weights; N2UQ's weights with one scale a "
    "layer; DKD without its warm-up; dampening at a constant weight of 0.01 (assumed), not tuned",
    "freezing by the thresholds that its authors have for 4 bits; QFD's teacher as it is, each "
    "image's features on 16 levels of their own range, at weight 1 (assumed), not tuned",
    "Apprentice is our plain KD: the losses' weights are this project's, not its paper's",
    "batch norms re-estimated after training are no cell of their own: each method has a column of "
    "that, and the contrasts are of networks as trained",
)


def _label(scale: ScaleName) -> Label:
    words, cost = _SCALES[scale]
    return Label(
        title=f"Rivals of today, {words}",
        question=(
            "Does QKD help the quantizers that are asked for today, and does it beat other ways to "
            "distil: DKD, DIST, QFD, and the student's own float self as teacher?"
        ),
        cost=cost,
        deviations=(*ablation.LABELS[scale].deviations, *_DEVIATIONS),
    )
