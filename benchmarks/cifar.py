"""CIFAR-10 and CIFAR-100: does QKD hold on the paper's small images? (torch-free)

The tables of the paper's CIFAR experiments, as far as they are known: ResNet-20 and MobileNetV2
(width 1 and 0.5) with larger teachers, from 2 to 4 (6) bits, with every method of the ablation. Run
it with ``make reproduce-cifar``. At laptop scale it is the small twin of the paper's Figure 1, a
night on two cores without a GPU: plain QAT, plain KD and QKD over bits, and other methods of the
ablation as optional cells. The rivals' quantizers are optional cells at every scale:
``ONLY='method=qat-lsq'``.

Pairs begin pre-trained by stages of their own, unless ready weights are given: a matrix file of
your own that calls `matrix` with them (see benchmarks/README.md).
"""

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import NamedTuple

from msgspec.structs import replace

from benchmarks import ablation
from benchmarks.contrasts import PHASES
from benchmarks.matrix import DEFAULT_SEEDS as SEEDS_OF_OTHERS
from benchmarks.matrix import Grid, Label, Matrix, Pair, ScaleName
from benchmarks.pairs import Priced, cifar_mobilenet, cifar_resnet, pretrained_pair
from benchmarks.rivals import OPTIONAL_CONTRASTS, optional_grids
from qkd.data.standard import CIFAR10, CIFAR100, SYNTHETIC
from qkd.spec import Bits, Data, Recipe, Weights

DEFAULT_SEEDS: dict[ScaleName, tuple[int, ...]] = {**SEEDS_OF_OTHERS, "laptop": (0, 1, 2)}

# By data set and network: files that take the place of a pre-training.
Ready = Mapping[str, Mapping[str, Weights]]
NONE_READY: Ready = MappingProxyType({})

EPOCH = 382  # steps: 49,000 images that are not held out, in batches of 128
TO_FOUR, TO_SIX = (2, 3, 4), (2, 3, 4, 5, 6)
AS_DRAWN = (3, 4, 6)  # bits of MobileNetV2 in the paper's Figure 1


class Cast(NamedTuple):
    """Who learns from whom on which images, at how many bits of weights and activations."""

    data: Data
    student: Priced
    teacher: Priced
    bits: tuple[int, ...]


class Scale(NamedTuple):
    """Pairs, the steps of their pre-training, the recipe of the methods, and which methods of the
    ablation run by default (none: all of them)."""

    casts: tuple[Cast, ...]
    pretraining: int
    recipe: Recipe
    methods: tuple[str, ...] = ()


def matrix(scale: ScaleName, seeds: tuple[int, ...], ready: Ready = NONE_READY) -> Matrix:
    """The CIFAR matrix at a scale.

    ``ready`` holds, by data set and network (``{"cifar10": {"resnet20": Weights(...)}}``), files
    that networks begin with instead of a pre-training of ours. Raises ValueError for a name that no
    pair has.
    """
    chosen = SCALES[scale]
    _require_known(chosen, ready)
    grids = tuple(grid for cast in chosen.casts for grid in _grids(cast, chosen, seeds, ready))
    label = LABELS[scale]
    if ready:
        label = replace(label, deviations=(*label.deviations, _READY))
    name = "cifar-ready" if ready else "cifar"
    return Matrix(
        name=name,
        scale=scale,
        label=label,
        grids=grids,
        contrasts=(*PHASES, *OPTIONAL_CONTRASTS),
    )


def pair_of(cast: Cast, scale: Scale, ready: Ready = NONE_READY) -> Pair:
    """The cast's pair, each network pre-trained or from its ready weights."""
    return pretrained_pair(
        cast.student,
        cast.teacher,
        cast.data,
        steps=scale.pretraining,
        log_every=min(EPOCH, scale.pretraining),
        batch=scale.recipe.batch,
        weights=ready.get(cast.data.name, {}),
    )


def _grids(cast: Cast, scale: Scale, seeds: tuple[int, ...], ready: Ready) -> Iterator[Grid]:
    """What runs by default, then the ablation's other methods, then the rivals at their two rates
    of learning."""
    pair = pair_of(cast, scale, ready)
    every = ablation.methods(pair)
    usual = tuple(one for one in every if not scale.methods or one.name in scale.methods)
    base = Grid(
        pair=pair,
        bits=tuple(Bits(weight=bits, activation=bits) for bits in cast.bits),
        methods=usual,
        seeds=seeds,
        recipe=scale.recipe,
    )
    yield base
    others = tuple(one for one in every if one not in usual)
    if others:
        yield replace(base, methods=others, optional=True)
    yield from optional_grids(base)


def _require_known(scale: Scale, ready: Ready) -> None:
    known = {
        (cast.data.name, priced.network.name)
        for cast in scale.casts
        for priced in (cast.student, cast.teacher)
    }
    unknown = {(data, network) for data in ready for network in ready[data]} - known
    if unknown:
        raise ValueError(f"ready weights for {sorted(unknown)}; the pairs have {sorted(known)}")


def resnet(depth: int, data: Data) -> Priced:
    """The CIFAR ResNet of width 16, by its usual name."""
    priced = cifar_resnet(depth, width=16, channels=3, classes=data.classes, size=32)
    return priced._replace(network=replace(priced.network, name=f"resnet{depth}"))


def mobilenet(width: float, data: Data) -> Priced:
    """MobileNetV2, without its width in the name where that is 1."""
    priced = cifar_mobilenet(width, channels=3, classes=data.classes, size=32)
    name = "mobilenetv2" if width == 1 else priced.network.name
    return priced._replace(network=replace(priced.network, name=name))


def _casts(data: Data) -> tuple[Cast, ...]:
    student, teacher, larger = (resnet(depth, data) for depth in (20, 32, 56))
    return (
        Cast(data, student, teacher, TO_FOUR),
        Cast(data, student, larger, TO_FOUR),
        Cast(data, mobilenet(1.0, data), larger, TO_SIX),
        Cast(data, mobilenet(0.5, data), larger, TO_SIX),
    )


def _small_casts(data: Data) -> tuple[Cast, ...]:
    """The networks and bits of Figure 1's two panels, in CIFAR's size, with one teacher."""
    teacher = resnet(32, data)
    return (
        Cast(data, resnet(20, data), teacher, TO_FOUR),
        Cast(data, mobilenet(0.5, data), teacher, AS_DRAWN),
    )


_GREY = {"channels": 1, "classes": 10, "size": 16}
SCALES: dict[ScaleName, Scale] = {
    "smoke": Scale(
        casts=tuple(
            Cast(SYNTHETIC, student, cifar_resnet(14, width=4, **_GREY), (2,))
            for student in (cifar_resnet(8, width=4, **_GREY), cifar_mobilenet(0.1, **_GREY))
        ),
        pretraining=60,
        recipe=Recipe(horizon=20, log_every=5, batch=32),
    ),
    "laptop": Scale(
        casts=(*_small_casts(CIFAR10), *_small_casts(CIFAR100)),
        pretraining=15 * EPOCH,
        recipe=Recipe(horizon=480, log_every=24),
        methods=("qkd", "kd", "qat", "fp"),
    ),
    "paper": Scale(
        casts=(*_casts(CIFAR10), *_casts(CIFAR100)),
        pretraining=200 * EPOCH,
        recipe=Recipe(horizon=200 * EPOCH, log_every=EPOCH),
    ),
}

_QUESTION = (
    "Does QKD beat plain QAT and plain KD on CIFAR at equal student epochs, at how many bits does "
    "it recover full precision, and what does depthwise convolution change?"
)
_LEFT_OUT = "1,000 training images are held out for the curves and never trained on"
_READY = (
    "networks begin with ready weights, which have seen the held-out images: curves and the best "
    "step flatter them; the last step on the test images is what counts"
)
LABELS: dict[ScaleName, Label] = {
    "smoke": Label(
        title="CIFAR, smoke scale",
        question=_QUESTION,
        cost="a few minutes on two cores",
        deviations=ablation.LABELS["smoke"].deviations,
    ),
    "laptop": Label(
        title="CIFAR-10 and CIFAR-100, laptop scale",
        question=_QUESTION,
        cost=(
            "about nine hours on two cores without a GPU, estimated: 1.69e15 multiply-accumulates "
            "with three seeds, pre-training included. A core does 6.4e10 a second of a ResNet; "
            "PORTABLE=1, the default, takes 1.42 times as long, and there a step of MobileNetV2 "
            "of width 0.5 took 2.8 times ResNet-20's, though it has 0.69 of its "
            "multiply-accumulates (on an Intel). Evaluation and integer proofs come on top"
        ),
        deviations=(
            _LEFT_OUT,
            "ResNet-20 at 2, 3 and 4 bits and MobileNetV2 of width 0.5 at 3, 4 and 6, as Figure 1 "
            "has them; both learn from ResNet-32, MobileNetV2 at full length from ResNet-56",
            "all networks are pre-trained for 15 epochs instead of 200",
            "480 steps of 128 images (1.3 epochs) instead of 200 epochs",
            "all learn at the recipe's rates, which were tuned for nobody here",
        ),
    ),
    "paper": Label(
        title="CIFAR-10 and CIFAR-100, full length",
        question=_QUESTION,
        cost=(
            "46 days at 1e12 multiply-accumulates a second, estimated: 4e18 with five seeds; pick "
            "pairs by ONLY"
        ),
        deviations=(
            _LEFT_OUT,
            "the teachers, and how long they are pre-trained, are assumed",
        ),
    ),
}
