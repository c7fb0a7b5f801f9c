"""The ablation: which phase does what? (torch-free)

Table 0 of this project, not of the paper: QKD, QKD with phases taken out, plain QAT and plain KD
at the same student epochs, QAT at QKD's cost, and full-precision references. Run it with
``make ablation``; at laptop scale half an hour on two cores without a GPU.
"""

import math

import msgspec

from benchmarks.matrix import Grid, Label, Matrix, Pair, ScaleName
from benchmarks.pairs import cifar_resnet, pretrained_pair
from qkd.data.standard import FASHION_MNIST, SYNTHETIC
from qkd.phases import (
    CO_STUDY,
    CO_STUDY_BY_LABELS,
    RUN_EPOCHS,
    SELF_STUDY,
    TUTORING,
    qkd,
    without,
)
from qkd.spec import Bits, Method, Recipe, Share

W2A2 = Bits(weight=2, activation=2)


def matrix(scale: ScaleName, seeds: tuple[int, ...]) -> Matrix:
    """The ablation at a scale."""
    pair, recipe = _SCALES[scale]
    grid = Grid(
        pair=pair,
        bits=(W2A2,),
        methods=methods(pair),
        seeds=seeds,
        recipe=recipe,
    )
    return Matrix(name="ablation", scale=scale, label=LABELS[scale], grids=(grid,))


def methods(pair: Pair) -> tuple[Method, ...]:
    """The methods of the ablation. ``qat-cost`` follows from the pair's networks."""
    full = qkd()
    return (
        _noted(full, "self-studying, co-studying, tutoring"),
        _noted(without(full, TUTORING, name="ss+cs"), "without tutoring"),
        _noted(without(full, CO_STUDY, name="ss+tu"), "without co-studying: the fixed teacher"),
        _noted(without(full, SELF_STUDY, name="cs+tu"), "without self-studying"),
        _noted(without(full, SELF_STUDY, TUTORING, name="cs"), "mutual learning alone"),
        _noted(without(full, SELF_STUDY, CO_STUDY, name="kd"), "plain KD, the fixed teacher"),
        _noted(without(full, CO_STUDY, TUTORING, name="qat"), "plain QAT"),
        Method(
            name="qat-cost",
            shares=(Share(phase=SELF_STUDY, epochs=_epochs_at_cost(full, pair)),),
            note="plain QAT at QKD's computed cost",
        ),
        Method(
            name="qkd-ce",
            shares=tuple(
                Share(
                    phase=CO_STUDY_BY_LABELS if share.phase == CO_STUDY else share.phase,
                    epochs=share.epochs,
                )
                for share in full.shares
            ),
            note="QKD, the teacher co-trained by cross-entropy alone",
        ),
        Method(name="fp", shares=(), quantizer=None, note="full precision, as pre-trained"),
        Method(
            name="fp-tuned",
            shares=(Share(phase=SELF_STUDY, epochs=RUN_EPOCHS),),
            quantizer=None,
            note="full precision, trained on",
        ),
        Method(
            name="fp-kd",
            shares=(Share(phase=TUTORING, epochs=RUN_EPOCHS),),
            quantizer=None,
            note="full precision, plain KD",
        ),
    )


def _noted(method: Method, note: str) -> Method:
    return msgspec.structs.replace(method, note=note)


def _epochs_at_cost(method: Method, pair: Pair) -> int:
    """Epochs of plain QAT that cost what the method does, rounded up to ten.

    Counted in multiply-accumulates: training a network costs three forward passes of it, a frozen
    teacher one.
    """
    if not pair.student_macs or not pair.teacher_macs:
        raise ValueError(f"the cost of {pair.label} is not known: give its networks' MACs")
    student = teacher = 0
    for share in method.shares:
        student += 3 * share.epochs
        passes = 3 if share.phase.trains_teacher else 1 if share.phase.needs_teacher else 0
        teacher += passes * share.epochs
    epochs = student / 3 + teacher * pair.teacher_macs / (3 * pair.student_macs)
    return 10 * math.ceil(epochs / 10)


_SCALES: dict[ScaleName, tuple[Pair, Recipe]] = {
    "smoke": (
        pretrained_pair(
            cifar_resnet(8, width=4, channels=1, classes=10, size=16),
            cifar_resnet(14, width=4, channels=1, classes=10, size=16),
            SYNTHETIC,
            steps=60,
            log_every=20,
            batch=32,
        ),
        Recipe(horizon=20, log_every=5, batch=32),
    ),
    "laptop": (
        pretrained_pair(
            cifar_resnet(8, width=8, channels=1, classes=10, size=28),
            cifar_resnet(20, width=8, channels=1, classes=10, size=28),
            FASHION_MNIST,
            steps=30 * 460,
            log_every=460,
            batch=128,
        ),
        Recipe(horizon=400, log_every=80),
    ),
    "paper": (
        pretrained_pair(
            cifar_resnet(20, width=16, channels=1, classes=10, size=28),
            cifar_resnet(56, width=16, channels=1, classes=10, size=28),
            FASHION_MNIST,
            steps=200 * 460,
            log_every=460,
            batch=128,
        ),
        Recipe(horizon=200 * 460, log_every=460),
    ),
}

_QUESTION = (
    "What does each phase of QKD add at W2A2, against plain QAT and plain KD at equal student "
    "epochs, and against plain QAT at equal cost?"
)
_DEVIATIONS = (
    "Fashion-MNIST instead of CIFAR-10: it can be had without an account on every machine",
    "lengths keep the ratio 30 / 100 / 70 of the paper's epochs",
)
LABELS: dict[ScaleName, Label] = {
    "smoke": Label(
        title="Ablation of the phases, smoke scale",
        question=_QUESTION,
        cost="about a minute on two cores",
        deviations=(
            "synthetic images, 20 steps: it shows that the machinery runs, and nothing else",
        ),
    ),
    "laptop": Label(
        title="Ablation of the phases, laptop scale",
        question=_QUESTION,
        cost="half an hour on two cores without a GPU, the pre-trained networks at hand",
        deviations=(
            *_DEVIATIONS,
            "400 steps of 128 images (less than one pass) instead of 200 epochs: a check of the "
            "machinery and of the speed of recovery; the paper's claims need the longer runs",
            "small networks: ResNet-8 and ResNet-20 of width 8",
            "the held-out images are looked at every 80 steps, whatever the phase: curves have few "
            "points, and a loss that is shown may be a mean over two phases",
        ),
    ),
    "paper": Label(
        title="Ablation of the phases, full length",
        question=_QUESTION,
        cost="days on one GPU",
        deviations=_DEVIATIONS,
    ),
}
