"""What is trained again and again: a whole QKD run of two small networks on synthetic images."""

import msgspec

from benchmarks.matrix import Grid, Label, Matrix
from benchmarks.pairs import cifar_resnet, pretrained_pair
from qkd.data.standard import SYNTHETIC
from qkd.phases import CO_STUDY, RUN_EPOCHS, SELF_STUDY, TUTORING
from qkd.spec import (
    NUMERICS,
    Bits,
    History,
    Learner,
    Method,
    Phase,
    Quantization,
    Recipe,
    Share,
    Stage,
)
from qkd.spec.history import grown

PAIR = pretrained_pair(
    cifar_resnet(8, width=4, channels=1, classes=10, size=16),
    cifar_resnet(8, width=6, channels=1, classes=10, size=16),
    SYNTHETIC,
    steps=12,
    log_every=6,
    batch=16,
)
BITS = Bits(weight=2, activation=2)
LENGTHS = ((SELF_STUDY, 20), (CO_STUDY, 20), (TUTORING, 10))


def starts() -> list[Stage]:
    """The two pre-trainings."""
    histories = (PAIR.student_start, PAIR.teacher_start)
    return [Stage(history=one, steps=one.steps) for one in histories if one is not None]


def phases() -> dict[str, Stage]:
    """The stage of each phase by its name, each going on from the one before."""
    value = History(
        data=SYNTHETIC,
        student=Learner(
            network=PAIR.student,
            start=PAIR.student_start,
            quantization=Quantization(bits=BITS),
        ),
        recipe=Recipe(horizon=60, log_every=5, batch=16),
        seed=0,
        numerics=NUMERICS,
    )
    teacher = Learner(network=PAIR.teacher, start=PAIR.teacher_start)
    found: dict[str, Stage] = {}
    for phase, steps in LENGTHS:
        value = grown(value, phase, steps, teacher)
        found[_name(phase)] = Stage(history=value, steps=steps)
    return found


def _name(phase: Phase) -> str:
    return phase.name


def matrix(name: str, seeds: int, deviations: tuple[str, ...] = ()) -> Matrix:
    """Plain QAT of the same student with so many seeds, as a report reads it."""
    qat = Method(name="qat", shares=(Share(phase=SELF_STUDY, epochs=RUN_EPOCHS),))
    grid = Grid(
        pair=PAIR,
        bits=(BITS,),
        methods=(qat,),
        seeds=tuple(range(seeds)),
        recipe=Recipe(horizon=20, log_every=5, batch=16),
    )
    label = Label(title="Hostile input", deviations=deviations)
    whole = Matrix(name=name, scale="smoke", label=label, grids=(grid,))
    return msgspec.structs.replace(whole, numerics=NUMERICS)
