"""The evidence: does QKD beat plain KD, and is it the teacher's doing? (torch-free)

ResNet-20 <- ResNet-56 on CIFAR-10 from ready weights, at W2A2 and W4A4, by the analysis that
`benchmarks/analysis-2026-11-29.md` fixes. Two methods take QKD's teacher apart: plain KD from the
teacher that QKD's co-studying left, and QKD that is tutored by the teacher as it started. Run it
with ``make run MATRIX=evidence DATA=folder``; the folder is that of benchmarks.lengths.
"""

from collections.abc import Iterator, Mapping

from msgspec.structs import replace

from benchmarks import ablation, cifar, lengths
from benchmarks.contrasts import PHASES, Contrast
from benchmarks.matrix import Grid, Label, Matrix, Pair, ScaleName
from qkd.phases import TUTORING, qkd
from qkd.spec import Bits, Method, Recipe

# None of them was trained before the analysis was fixed.
DEFAULT_SEEDS: dict[ScaleName, tuple[int, ...]] = {
    "smoke": (0, 1),
    "laptop": (10, 11, 12, 13, 14),
    "paper": (10, 11, 12, 13, 14),
}
SEEDS_AT_W4A4 = 3  # the first of them

W4A4 = Bits(weight=4, activation=4)
TRIO = ("qkd", "kd", "qat")
EQUAL = dict.fromkeys(TRIO, 1.0)
AMONG_TRIO = tuple(one for one in PHASES if {one.first, one.second} <= set(TRIO))


def matrix(scale: ScaleName, seeds: tuple[int, ...]) -> Matrix:
    """Both settings at a scale, W2A2 first."""
    pair = cifar.pair_of(lengths.CASTS[scale], cifar.SCALES[scale], lengths.READY)
    recipe = lengths.RECIPES[scale]
    kd = next(method for method in ablation.methods(pair) if method.name == "kd")
    return Matrix(
        name="evidence",
        scale=scale,
        label=LABELS[scale],
        grids=(
            *trio(pair, recipe, ablation.W2A2, seeds, more=whose_teacher(kd)),
            *trio(pair, recipe, W4A4, seeds[:SEEDS_AT_W4A4]),
        ),
        contrasts=(*AMONG_TRIO, *ABOUT_THE_TEACHER),
    )


def trio(
    pair: Pair,
    recipe: Recipe,
    bits: Bits,
    seeds: tuple[int, ...],
    *,
    rates: Mapping[str, float] = lengths.TUNED,
    more: tuple[Method, ...] = (),
) -> Iterator[Grid]:
    """QKD, plain KD and plain QAT, a grid for each factor of ``rates`` on the recipe's learning
    rates; and ``more`` methods, at QKD's."""
    methods = {method.name: method for method in ablation.methods(pair)}
    for factor in dict.fromkeys(rates[name] for name in TRIO):
        names = [name for name in TRIO if rates[name] == factor]
        yield Grid(
            pair=pair,
            bits=(bits,),
            methods=(*(methods[name] for name in names), *(more if "qkd" in names else ())),
            seeds=seeds,
            recipe=lengths.at_factor(recipe, factor),
        )


def whose_teacher(kd: Method) -> tuple[Method, ...]:
    """What QKD adds to plain KD, taken apart by the teacher that tutors."""
    original = replace(TUTORING, name="tutoring-start", teacher_state="start")
    shares = tuple(
        replace(share, phase=original) if share.phase == TUTORING else share
        for share in qkd().shares
    )
    return (
        Method(
            name="qkd-original", shares=shares, note="QKD, tutored by the teacher as it started"
        ),
        replace(
            kd,
            name="kd-co-studied",
            teacher="co-studied",
            note="plain KD from the teacher that QKD's co-studying left, whose cost is not counted",
        ),
    )


ABOUT_THE_TEACHER = (
    Contrast(
        first="kd-co-studied",
        second="kd",
        asks="is the co-studied teacher a better fixed teacher?",
        predicted=1,
    ),
    Contrast(
        first="qkd",
        second="qkd-original",
        asks="does the co-studied teacher tutor better than the original?",
        predicted=1,
    ),
)

_QUESTION = (
    "Does QKD beat plain KD and plain QAT at W2A2 and W4A4 on CIFAR-10, and is what it adds the "
    "co-studied teacher's doing?"
)
FROM_READY = (
    "from ready weights that were trained on all 50,000 training images: they know the 1,000 "
    "held-out ones by heart, so that curves and the best step flatter; the last step on the test "
    "images is what counts"
)
DEVIATIONS = (
    FROM_READY,
    "plain QAT learns at three times the rates of what it is compared with, as benchmarks.tuning "
    "chose them at 400 steps",
)
LABELS: dict[ScaleName, Label] = {
    "smoke": Label(
        title="The evidence, smoke scale",
        question=_QUESTION,
        cost="a minute on two cores",
        deviations=(
            "synthetic images and 80 steps: it shows that the machinery runs, and nothing else",
        ),
    ),
    "laptop": Label(
        title="The evidence on CIFAR-10, laptop scale",
        question=_QUESTION,
        cost=(
            "about three and a half hours on two cores without a GPU, estimated: 1.53e15 "
            "multiply-accumulates at 6.4e10 a second on each core; about five under PORTABLE=1, "
            "eight where the two are threads of one core"
        ),
        deviations=(
            *DEVIATIONS,
            "1,600 steps of 128 images (4.2 passes) instead of 200 epochs",
            "three seeds at W4A4, five at W2A2",
        ),
    ),
    "paper": Label(
        title="The evidence on CIFAR-10, full length",
        question=_QUESTION,
        cost="20 hours at 1e12 multiply-accumulates a second, estimated: 7.28e16",
        deviations=(*DEVIATIONS, "three seeds at W4A4, five at W2A2"),
    ),
}
