"""Sensitivity: how much depends on each value that the paper does not state? (torch-free)

QKD on one pair at W2A2, one assumed or second-hand value changed at a time; at laptop scale the
pair and the length of benchmarks.evidence, whose runs of ``qkd``, ``kd`` and ``qkd-ce`` it shares.
Run it with ``make run MATRIX=sensitivity``. Each line is read against ``qkd``; a value that moves
the result by more than its interval must be settled before anything is said about the paper.
"""

from msgspec.structs import replace

from benchmarks import ablation, cifar, evidence, lengths
from benchmarks.contrasts import explored
from benchmarks.matrix import DEFAULT_SEEDS as SEEDS_OF_OTHERS
from benchmarks.matrix import Grid, Label, Matrix, Pair, ScaleName
from qkd.phases import CROSS_ENTROPY, SELF_STUDY, distillation, qkd
from qkd.spec import Method, Phase, Recipe, Share

DEFAULT_SEEDS: dict[ScaleName, tuple[int, ...]] = {**SEEDS_OF_OTHERS, "laptop": (0, 1, 2)}

EDGES = (4, 2)  # bits of the first and last layer, 8 by default
LATE = (120, 50, 30)  # epochs of self-studying, co-studying and tutoring


def matrix(scale: ScaleName, seeds: tuple[int, ...]) -> Matrix:
    """The sensitivity runs at a scale."""
    pair, recipe = _pair_and_recipe(scale)
    usual = {method.name: method for method in ablation.methods(pair)}
    whole = Grid(
        pair=pair,
        bits=(ablation.W2A2,),
        methods=(
            usual["qkd"],
            *variants(recipe.horizon),
            usual["qkd-ce"],
            usual["qat"],
            usual["kd"],
        ),
        seeds=seeds,
        recipe=recipe,
    )
    edges = tuple(replace(ablation.W2A2, edge=edge) for edge in EDGES)
    return Matrix(
        name="sensitivity",
        scale=scale,
        label=LABELS[scale],
        grids=(whole, replace(whole, bits=edges, methods=(usual["qkd"],))),
        contrasts=tuple(
            explored(method.name, "qkd", method.note)
            for method in whole.methods
            if method.name != "qkd"
        ),
    )


def _pair_and_recipe(scale: ScaleName) -> tuple[Pair, Recipe]:
    """On a laptop those of the evidence, from ready weights; else of the CIFAR matrix: of the
    paper's pairs with ResNet-20 the one with the larger teacher."""
    of = cifar.SCALES[scale]
    if scale == "laptop":
        return cifar.pair_of(lengths.CASTS[scale], of, lengths.READY), lengths.RECIPES[scale]
    return cifar.pair_of(lengths.CASTS[scale], of), of.recipe


def variants(horizon: int) -> tuple[Method, ...]:
    """QKD with one value changed at a time; ``horizon``: the steps of a whole run."""
    base = qkd()
    return (
        replace(
            base,
            name="qkd-minmax",
            initial_interval="minmax",
            note="initial intervals by the largest value instead of the least squared error",
        ),
        replace(
            base,
            name="qkd-full-levels",
            quantizer="qkd.variants:FullWeightLevels",
            note="weights on all four levels instead of three symmetric ones",
        ),
        replace(
            base,
            name="qkd-scaled-gradient",
            quantizer="qkd.variants:ScaledGradient",
            note="the intervals' gradients scaled as LSQ scales them",
        ),
        replace(
            base,
            name="qkd-by-phase",
            schedule="phase",
            note="a cosine over each phase instead of one over the run",
        ),
        varied("qkd-half", "both loss terms at weight one half", labels=0.5, kl=0.5),
        varied("qkd-kl0.5", "the KL terms alone at weight one half", kl=0.5),
        varied("qkd-t1", "temperature 1 instead of 2", temperature=1.0),
        varied("qkd-t4", "temperature 4 instead of 2", temperature=4.0),
        varied(
            "qkd-teacher-rate0.1", "the teacher learns at a tenth of the rate", teacher_rate=0.1
        ),
        varied("qkd-teacher-rate0.0001", "the teacher learns at a rate of 1e-6", teacher_rate=1e-4),
        varied("qkd-teacher-kl0.1", "the student's pull on the teacher at a tenth", teacher_kl=0.1),
        varied(
            "qkd-teacher-ramp",
            "the student's pull on the teacher grows over an eighth of the run",
            teacher_ramp=horizon // 8,
        ),
        replace(qkd(*LATE), name="qkd-late", note="self-studying for 120 of the 200 epochs"),
    )


def varied(
    name: str,
    note: str,
    *,
    labels: float = 1.0,
    kl: float = 1.0,
    temperature: float = 2.0,
    teacher_rate: float = 1.0,
    teacher_kl: float | None = None,
    teacher_ramp: int = 0,
) -> Method:
    """QKD with other loss terms or another teacher's learning rate; at the defaults QKD itself.

    ``labels`` and ``kl`` are the weights of the two terms, after self-studying; ``teacher_kl`` that
    of the teacher's own KL term where it differs, ``teacher_ramp`` the steps over which it grows to
    that; ``teacher_rate`` a factor on the student's learning rate.
    """
    cross_entropy = replace(CROSS_ENTROPY, weight=labels)
    student = (cross_entropy, distillation(kl, temperature))
    own = kl if teacher_kl is None else teacher_kl
    co_study = Phase(
        name="co-study",
        student=student,
        teacher=(cross_entropy, replace(distillation(own, temperature), ramp=teacher_ramp)),
        teacher_learning_rate=teacher_rate,
    )
    phases = (SELF_STUDY, co_study, Phase(name="tutoring", student=student))
    shares = tuple(
        Share(phase=phase, epochs=share.epochs)
        for phase, share in zip(phases, qkd().shares, strict=True)
    )
    return Method(name=name, shares=shares, note=note)


_QUESTION = (
    "By how much does QKD's top-1 at W2A2 move when one value that the paper does not state is "
    "chosen otherwise?"
)
_COSTS: dict[ScaleName, tuple[str, str]] = {
    "smoke": ("smoke scale", "a few minutes on two cores"),
    "laptop": (
        "laptop scale",
        "sixteen to nineteen hours on two cores without a GPU, estimated: 3.69e15 "
        "multiply-accumulates with three seeds at 3.3e10 a second on each core under PORTABLE=1, "
        "or 2.7e10 where the two are threads of one core",
    ),
    "paper": (
        "full length",
        "three and a half days at 1e12 multiply-accumulates a second, estimated: 2.99e17 with five "
        "seeds",
    ),
}
_DEVIATIONS: dict[ScaleName, tuple[str, ...]] = {
    "smoke": cifar.LABELS["smoke"].deviations,
    "laptop": (
        evidence.FROM_READY,
        "1,600 steps of 128 images (4.2 passes) instead of 200 epochs",
        "all learn at the recipe's rates, plain QAT too",
    ),
    "paper": cifar.LABELS["paper"].deviations,
}
LABELS: dict[ScaleName, Label] = {
    scale: Label(
        title=f"Sensitivity to assumed values, {words}",
        question=_QUESTION,
        cost=cost,
        deviations=_DEVIATIONS[scale],
    )
    for scale, (words, cost) in _COSTS.items()
}
