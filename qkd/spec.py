"""What can be asked for: networks, bits, phases, methods, histories, stages (torch-free)."""

from functools import cached_property
from typing import Annotated, Literal

import msgspec

from qkd.data.streams import seed_of
from qkd.photos import Photos
from qkd.value import (
    NOT_IDENTITY,
    Count,
    ImportPath,
    Name,
    NotNegative,
    Positive,
    Scalar,
    Value,
    digest,
)
from qkd.weights_source import Weights

BitCount = Annotated[int, msgspec.Meta(ge=2, le=8)]
Sha256 = Annotated[str, msgspec.Meta(pattern=r"^([0-9a-f]{64})?$")]
Precision = Literal["float32", "bfloat16"]
INTERVAL = "qkd.quantizers:IntervalQuantizer"

# Raised when a change of the code alters the numbers of histories that have a start.
# 2: a layer's two intervals share one product (qkd.rounding); a frozen teacher's batch norms are
#    folded (qkd.folding).
NUMERICS = 2


class Network(Value, kw_only=True):
    """An architecture: ``factory(**arguments)`` builds the ``torch.nn.Module``."""

    name: Annotated[Name, msgspec.Meta(extra=NOT_IDENTITY)]
    factory: ImportPath
    arguments: dict[str, Scalar] = {}  # noqa: RUF012 (a Struct copies it)


class Data(Value, kw_only=True):
    """A data set and how a training batch is made of it.

    ``reader`` says how the images come (a function of a folder), ``digest`` which they are: the
    sha256 of their canonical content (qkd.data.images), empty until the launcher has read them.
    ``mean`` and ``std`` are per channel, of pixels in [0, 1]; ``held_out`` training images are
    never trained on; a batch is padded by ``pad`` pixels, cropped back, and flipped at random.
    Where there are ``photos`` the images stay files and are cut as those say, without padding.
    """

    name: Annotated[Name, msgspec.Meta(extra=NOT_IDENTITY)]
    reader: Annotated[ImportPath, msgspec.Meta(extra=NOT_IDENTITY)]
    digest: Sha256 = ""
    train_images: Count
    classes: Count
    mean: tuple[float, ...]
    std: tuple[Positive, ...]
    held_out: Annotated[int, msgspec.Meta(ge=0)] = 0
    pad: Annotated[int, msgspec.Meta(ge=0)] = 4
    flip: bool = True
    photos: Photos | None = None

    def epoch_steps(self, batch: int) -> int:
        """Optimiser steps in one pass over the images that are trained on (the rest is dropped)."""
        return (self.train_images - self.held_out) // batch


class Bits(Value, kw_only=True):
    """Bits of the weights and of the input activations; ``edge``: of the first and last layer,
    ``depthwise``: of depthwise convolutions (none: as all others), both for weights and inputs.
    """

    weight: BitCount
    activation: BitCount
    edge: BitCount = 8
    depthwise: BitCount | None = None

    @property
    def label(self) -> str:
        """As in the tables: ``W2A2``, or ``W2A2E4`` where the edges are not at 8 bits, ``W2A2D8``
        where depthwise convolutions have bits of their own.
        """
        edge = "" if self.edge == 8 else f"E{self.edge}"
        depthwise = "" if self.depthwise is None else f"D{self.depthwise}"
        return f"W{self.weight}A{self.activation}{edge}{depthwise}"


class Quantization(Value, kw_only=True):
    """How a network is quantized: a quantizer class, its bits, how its intervals begin."""

    bits: Bits
    quantizer: ImportPath = INTERVAL
    initial_interval: Literal["mse", "minmax"] = "mse"


class Term(Value, kw_only=True):
    """One term of a loss: ``weight * loss(logits, target, **options)``.

    ``target`` is what the logits are held against: the labels, or the other network's detached
    logits (the teacher's for the student's terms, the student's for the teacher's). The loss must
    be a mean over images, or it changes with the parts in which a batch is computed (micro-batches,
    ranks): a sum would shrink by their number, and what compares images sees those of a part only.
    """

    loss: ImportPath
    target: Literal["labels", "peer"] = "labels"
    weight: NotNegative = 1.0
    options: dict[str, Scalar] = {}  # noqa: RUF012 (likewise)


class Phase(Value, kw_only=True):
    """One part of a method: the student's loss terms and the teacher's (none: frozen or absent).

    ``teacher_learning_rate`` is a factor on the student's weight learning rate.
    """

    name: Name
    student: Annotated[tuple[Term, ...], msgspec.Meta(min_length=1)]
    teacher: tuple[Term, ...] = ()
    teacher_learning_rate: NotNegative = 1.0

    @cached_property
    def trains_teacher(self) -> bool:
        """Whether the teacher learns in this phase."""
        return bool(self.teacher)

    @cached_property
    def needs_teacher(self) -> bool:
        """Whether the phase cannot run without a teacher."""
        return self.trains_teacher or any(term.target == "peer" for term in self.student)


class Share(Value, kw_only=True):
    """A phase and its length in epochs at the paper's scale."""

    phase: Phase
    epochs: Count


class Method(Value, kw_only=True):
    """A named tuple of phases (none: the student as it starts), and a quantizer (none: full
    precision). ``teacher`` is the pair's, or the student's own full-precision self; ``schedule``
    one cosine over the run, or one over each phase.
    """

    name: Name
    shares: tuple[Share, ...]
    quantizer: ImportPath | None = INTERVAL
    teacher: Literal["pair", "self"] = "pair"
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


class Recipe(Value, kw_only=True):
    """How an optimiser steps. Learning rates are those of step 0; ``horizon`` is the cosine's
    length in steps, ``log_every`` the steps between two lines of metrics, ``restarts`` the steps
    at which the learning rates begin anew, a cosine of its own up to each and to the horizon.

    ``precision`` is that of training; a frozen teacher's forward pass may have its own.
    ``batch_norm``: of a batch that several ranks share, whether a batch norm takes its statistics
    over each rank's own images, or over all.
    """

    horizon: Count
    log_every: Count
    batch: Count = 128
    learning_rate: Positive = 0.01
    weight_interval_learning_rate: NotNegative = 1e-4
    activation_interval_learning_rate: NotNegative = 0.01
    momentum: NotNegative = 0.9
    weight_decay: NotNegative = 1e-4
    precision: Precision = "float32"
    frozen_teacher_precision: Precision | None = None
    restarts: tuple[Count, ...] = ()
    batch_norm: Literal["local", "sync"] = "local"

    def __post_init__(self) -> None:
        super().__post_init__()
        if list(self.restarts) != sorted({step for step in self.restarts if step < self.horizon}):
            raise ValueError(f"restarts {self.restarts} must ascend, below horizon {self.horizon}")


class Part(Value, kw_only=True):
    """A phase and its length in optimiser steps."""

    phase: Phase
    steps: Count


class Learner(Value, kw_only=True):
    """A network with its start and, for a quantized one, its quantization.

    It starts with the state that a history leads to, or with ready weights, or (none of both) with
    random weights from the history's seed.
    """

    network: Network
    start: "History | None" = None
    quantization: Quantization | None = None
    weights: Weights | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.start is not None and self.start.student.quantization is not None:
            raise ValueError("a network begins in full precision: its start is quantized")
        if self.weights is not None and (self.start is not None or self.quantization is not None):
            raise ValueError("ready weights are of a network in full precision with no other start")


class History(Value, kw_only=True):
    """What a student (and its teacher, from the first phase that needs one) has been through.

    Adjacent parts of the same phase must be joined: `grown` does it. Ready weights come in by a
    history of no parts, which others start from: they are read once, into a record of their own.
    """

    data: Data
    student: Learner
    teacher: Learner | None = None
    recipe: Recipe
    seed: Annotated[int, msgspec.Meta(ge=0, lt=2**31)]
    parts: tuple[Part, ...] = ()
    numerics: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        if any(a.phase == b.phase for a, b in zip(self.parts, self.parts[1:], strict=False)):
            raise ValueError("adjacent parts of a history are of the same phase: join them")
        if (self.teacher is not None) != any(part.phase.needs_teacher for part in self.parts):
            raise ValueError("a history has a teacher exactly where one of its phases needs one")
        ready = [side for side in (self.student, self.teacher) if side is not None and side.weights]
        if ready and self.parts:
            raise ValueError("ready weights are a history of no parts, which others start from")

    @property
    def steps(self) -> int:
        """Optimiser steps of the student since its start."""
        return sum(part.steps for part in self.parts)

    @property
    def draws(self) -> int:
        """The seed of all that is drawn in training: batches, crops, flips, dropout.

        Not that of a pre-training of the same number, whose images would come again in the same
        order.
        """
        if self.student.start is None:
            return self.seed
        return seed_of(self.seed, "from a start", 0)

    @cached_property
    def digest(self) -> str:
        """The name of the state that this history leads to."""
        return digest(self)


class Stage(Value, kw_only=True):
    """The last ``steps`` steps of ``history``: the unit of work. 0: ready weights are taken in."""

    history: History
    steps: Annotated[int, msgspec.Meta(ge=0)]

    def __post_init__(self) -> None:
        super().__post_init__()
        parts = self.history.parts
        if not parts and self.steps == 0 and self.history.student.weights is not None:
            return
        if not parts or not 1 <= self.steps <= parts[-1].steps:
            raise ValueError("a stage lies within one phase")

    @property
    def label(self) -> str:
        """What happens in it: the phase's name, or that ready weights are taken in."""
        return self.history.parts[-1].phase.name if self.history.parts else "ready-weights"
