"""Phases as data, and a method as a tuple of phases (torch-free).

Source of the three phases: the paper's abstract. Of their losses, temperature, weights and
lengths: see qkd.marks.
"""

import msgspec

from qkd.spec import Method, Phase, Share, Term

RUN_EPOCHS = 200

CROSS_ENTROPY = Term(loss="qkd.losses:cross_entropy")


def distillation(weight: float = 1.0, temperature: float = 2.0) -> Term:
    """T^2 KL towards the other network's softened output."""
    return Term(
        loss="qkd.losses:distillation",
        target="peer",
        weight=weight,
        options={"temperature": float(temperature)},
    )


PRE_TRAINING = Phase(name="pre-training", student=(CROSS_ENTROPY,))
SELF_STUDY = Phase(name="self-study", student=(CROSS_ENTROPY,))
CO_STUDY = Phase(
    name="co-study",
    student=(CROSS_ENTROPY, distillation()),
    teacher=(CROSS_ENTROPY, distillation()),
)
CO_STUDY_BY_LABELS = Phase(
    name="co-study-ce",
    student=(CROSS_ENTROPY, distillation()),
    teacher=(CROSS_ENTROPY,),
)
TUTORING = Phase(name="tutoring", student=(CROSS_ENTROPY, distillation()))


def qkd(self_study: int = 30, co_study: int = 100, tutoring: int = 70) -> Method:
    """Quantization-aware knowledge distillation; lengths in epochs of CIFAR-10 (second-hand)."""
    return Method(
        name="qkd",
        shares=(
            Share(phase=SELF_STUDY, epochs=self_study),
            Share(phase=CO_STUDY, epochs=co_study),
            Share(phase=TUTORING, epochs=tutoring),
        ),
    )


def without(method: Method, *phases: Phase, name: str) -> Method:
    """The method with phases taken out; their epochs go to the next phase, or the one before.

    The student's total stays equal (assumed). Raises ValueError if a phase is not in the method or
    none would be left.
    """
    shares = list(method.shares)
    for phase in phases:
        place = next((i for i, share in enumerate(shares) if share.phase == phase), None)
        if place is None:
            raise ValueError(f"method {method.name} has no phase {phase.name} to take out")
        removed = shares.pop(place)
        if not shares:
            raise ValueError(f"method {method.name} without {phase.name} has no phase left")
        heir = min(place, len(shares) - 1)
        epochs = shares[heir].epochs + removed.epochs
        shares[heir] = Share(phase=shares[heir].phase, epochs=epochs)
    return msgspec.structs.replace(method, name=name, shares=tuple(shares))
