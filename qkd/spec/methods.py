"""Loss terms, phases, and a method as a tuple of phases (torch-free)."""

from functools import cached_property
from typing import Annotated, Literal

import msgspec

from qkd.spec.networks import INTERVAL
from qkd.spec.value import Count, ImportPath, Name, NotNegative, Scalar, Value

LayerName = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]


_OF_BOTH = ("peer", "both", "features")  # targets for which there must be another network


class Term(Value, kw_only=True):
    """One term of a loss: ``weight * loss(logits, target, **options)``.

    ``target`` is what the logits are held against: the labels, or the other network's detached
    logits (the teacher's for the student's terms, the student's for the teacher's), or both, the
    other's logits first: ``loss(logits, peer, labels, **options)``. A term of the ``weights`` looks
    at no image: it is ``loss(network, **options)``, of the network that learns. A term of the
    ``features`` holds what goes into one layer of it against what goes into one of the other's:
    ``loss(own, other, **options)``. ``inputs_of`` names the two layers, the learning network's
    first; none: in each the linear layer that gives the logits. The loss must
    be a mean over images, or it changes with the parts in which a batch is computed (micro-batches,
    ranks): a sum would shrink by their number, and what compares images sees those of a part only.
    Over the first ``ramp`` steps of its phase the weight grows linearly to its height.
    """

    loss: ImportPath
    target: Literal["labels", "peer", "both", "weights", "features"] = "labels"
    weight: NotNegative = 1.0
    options: dict[str, Scalar] = {}  # noqa: RUF012 (likewise)
    ramp: Annotated[int, msgspec.Meta(ge=0)] = 0
    inputs_of: tuple[LayerName, ...] = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.inputs_of and (self.target != "features" or len(self.inputs_of) != 2):
            raise ValueError(
                f"inputs_of of the term {self.loss} names two layers, of a term of features: one "
                f"of the network that learns, one of the other; it is {list(self.inputs_of)}"
            )

    def weight_at(self, step: int) -> float:
        """The weight at the phase's ``step``, which counts from 0: 1 / ramp of its height at 0."""
        return self.weight * min(1.0, (step + 1) / self.ramp) if self.ramp else self.weight


class Hook(Value, kw_only=True):
    """What is called after each optimiser step of the student: ``hook(network, **options)`` is made
    where the phase begins (`qkd.training.hooks.AfterStep`)."""

    hook: ImportPath
    options: dict[str, Scalar] = {}  # noqa: RUF012 (likewise)


class Phase(Value, kw_only=True):
    """One part of a method: the student's loss terms and the teacher's (none: frozen or absent).

    ``teacher_learning_rate`` is a factor on the student's weight learning rate. ``teacher_state``
    says which teacher a frozen one is: as the phases before left it, or as it started.
    ``after_step`` are hooks that change the student after each of its steps, in this order.
    """

    name: Name
    student: Annotated[tuple[Term, ...], msgspec.Meta(min_length=1)]
    teacher: tuple[Term, ...] = ()
    teacher_learning_rate: NotNegative = 1.0
    teacher_state: Literal["trained", "start"] = "trained"
    after_step: tuple[Hook, ...] = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.teacher_state == "start" and (self.teacher or not self.needs_teacher):
            raise ValueError(f"phase {self.name} has no frozen teacher that could be as it started")

    @cached_property
    def trains_teacher(self) -> bool:
        """Whether the teacher learns in this phase."""
        return bool(self.teacher)

    @cached_property
    def needs_teacher(self) -> bool:
        """Whether the phase cannot run without a teacher."""
        return self.trains_teacher or any(term.target in _OF_BOTH for term in self.student)

    @cached_property
    def compares_features(self) -> bool:
        """Whether a term needs more of the networks than their logits."""
        return any(term.target == "features" for term in (*self.student, *self.teacher))


class Share(Value, kw_only=True):
    """A phase and its length in epochs at the paper's scale."""

    phase: Phase
    epochs: Count


class Method(Value, kw_only=True):
    """A named tuple of phases (none: the student as it starts), and a quantizer (none: full
    precision). ``teacher`` is the pair's, or the student's own full-precision self, or the pair's
    as QKD's co-studying with the same seed left it; ``schedule`` one cosine over the run, or one
    over each phase.
    """

    name: Name
    shares: tuple[Share, ...]
    quantizer: ImportPath | None = INTERVAL
    teacher: Literal["pair", "self", "co-studied"] = "pair"
    initial_interval: Literal["mse", "minmax"] = "mse"
    schedule: Literal["run", "phase"] = "run"
    note: str = ""

    @property
    def epochs(self) -> int:
        """The student's epochs at the paper's scale."""
        return sum(share.epochs for share in self.shares)

    @property
    def needs_teacher(self) -> bool:
        """Whether any phase needs a teacher."""
        return any(share.phase.needs_teacher for share in self.shares)
