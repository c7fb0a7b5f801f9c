"""The rivals as phases: plain QAT, KD and QKD, each with any quantizer (torch-free)."""

import msgspec

from qkd.phases import (
    CO_STUDY,
    RUN_EPOCHS,
    SELF_STUDY,
    TUTORING,
    distillation,
    qkd,
    without,
)
from qkd.spec import Method, Phase, Share

QUANTIZERS = {
    "lsq": "baselines.lsq:LSQ",
    "lsq-plus": "baselines.lsq_plus:LSQPlus",
    "pact": "baselines.pact:PACT",
    "dorefa": "baselines.dorefa:DoReFa",
    "qil": "baselines.qil:QIL",
    "tqt": "baselines.tqt:TQT",
}


def with_quantizer(method: Method, path: str, name: str) -> Method:
    """The same phases with another quantizer, ``package.module:Class``, under another name."""
    return msgspec.structs.replace(method, quantizer=path, name=name)


def trainings() -> tuple[Method, ...]:
    """Plain QAT, KD by the fixed teacher, and QKD, of equal student epochs, with our quantizer."""
    full = qkd()
    return (
        without(full, CO_STUDY, TUTORING, name="qat"),
        without(full, SELF_STUDY, CO_STUDY, name="kd"),
        full,
    )


def rivals() -> tuple[Method, ...]:
    """Every training with every rival's quantizer: ``qat-lsq``, ``kd-lsq``, ``qkd-lsq``, ..."""
    return tuple(
        with_quantizer(training, path, f"{training.name}-{name}")
        for name, path in QUANTIZERS.items()
        for training in trainings()
    )


def sqakd(temperature: float = 4.0) -> Method:
    """Self-supervised QAT with KD (Zhao and Zhao 2024): KL to the full-precision self, no labels.

    Temperature 4 and weight 1 are those of the authors' script for CIFAR (second-hand).
    The authors use other quantizers; ours stands in for them (assumed).
    """
    phase = Phase(name="self-distillation", student=(distillation(temperature=temperature),))
    return Method(
        name="sqakd",
        shares=(Share(phase=phase, epochs=RUN_EPOCHS),),
        teacher="self",
        note="no labels: the full-precision self as teacher",
    )
