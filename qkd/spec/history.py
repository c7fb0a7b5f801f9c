"""What a network has been through, and the stage that leads from one history to a longer one
(torch-free).
"""

import hashlib
from collections.abc import Callable
from functools import cached_property
from typing import Annotated, Literal

import msgspec

from qkd.spec.data import Data
from qkd.spec.methods import Phase
from qkd.spec.networks import Network, Quantization, Weights
from qkd.spec.value import Count, NotNegative, Positive, Value, digest

# Of training's products: float32; float32 whose factors tensor cores round to TF32 (ten bits after
# the point; a device without them computes float32); autocast to bfloat16. Weights, losses and
# quantizers stay in float32.
Precision = Literal["float32", "tf32", "bfloat16"]

# Raised when a change of the code alters the numbers of histories that have a start.
# 2: a layer's two intervals share one product (qkd.quantizers.rounding); a frozen teacher's batch
#    norms are folded (qkd.training.folding).
NUMERICS = 2


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
    random weights from the history's seed. ``side`` says whose state that is: of the history's
    student, or of the teacher that its last phase trained.
    """

    network: Network
    start: "History | None" = None
    side: Literal["student", "teacher"] = "student"
    quantization: Quantization | None = None
    weights: Weights | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.side == "teacher":
            parts = self.start.parts if self.start is not None else ()
            if not parts or not parts[-1].phase.trains_teacher:
                raise ValueError("a start has a teacher only where its last phase trains one")
        begins = None
        if self.start is not None:
            begins = self.start.student if self.side == "student" else self.start.teacher
        if begins is not None and begins.quantization is not None:
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
    def phase_begin(self) -> int:
        """The step at which its last phase begins."""
        return sum(part.steps for part in self.parts[:-1])

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


def seed_of(seed: int, stream: str, index: int) -> int:
    """A generator's seed in 0 .. 2**63 - 1 for the ``index``-th draw of a named stream.

    ``seed`` is a history's seed, ``stream`` a word such as ``order``, ``index`` an epoch or a step.
    Hashing keeps streams apart that arithmetic on seeds would let overlap.
    """
    text = f"{seed}/{stream}/{index}"
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def grown(history: History, phase: Phase, steps: int, teacher: Learner | None) -> History:
    """The history after ``steps`` more steps of ``phase``, joined with a last part of that phase.

    ``teacher`` enters the history with the first phase that needs one.
    """
    parts = list(history.parts)
    if parts and parts[-1].phase == phase:
        steps += parts.pop().steps
    parts.append(Part(phase=phase, steps=steps))
    if history.teacher is not None or not phase.needs_teacher:
        teacher = history.teacher
    return msgspec.structs.replace(history, parts=tuple(parts), teacher=teacher)


def seeded(history: History, seed: int) -> History:
    """The same history with another seed; a teacher that another history left is that seed's."""
    teacher = history.teacher
    if teacher is not None and teacher.side == "teacher" and teacher.start is not None:
        teacher = msgspec.structs.replace(teacher, start=seeded(teacher.start, seed))
    return msgspec.structs.replace(history, seed=seed, teacher=teacher)


def prefix(history: History, steps: int) -> History:
    """The history's first ``steps`` steps. Raises ValueError if it has fewer."""
    if not 0 <= steps <= history.steps:
        raise ValueError(f"a history of {history.steps} steps has no first {steps}")
    if steps == history.steps:
        return history
    parts: list[Part] = []
    for part in history.parts:
        length = min(part.steps, steps)
        steps -= length
        if length:
            whole = length == part.steps
            parts.append(part if whole else Part(phase=part.phase, steps=length))
    needs_teacher = any(part.phase.needs_teacher for part in parts)
    return msgspec.structs.replace(
        history, parts=tuple(parts), teacher=history.teacher if needs_teacher else None
    )


# A history's first steps: `prefix`, or what looks up a history that is already there.
Prefix = Callable[[History, int], History]


def before(stage: Stage, prefix_of: Prefix = prefix) -> History | None:
    """What the student has been through when the stage begins; None: its random start."""
    steps = stage.history.steps - stage.steps
    return prefix_of(stage.history, steps) if steps else stage.history.student.start


def continues(stage: Stage) -> bool:
    """Whether the stage goes on with the optimiser of another stage of the same history."""
    return stage.history.steps > stage.steps


def teacher_before(stage: Stage, prefix_of: Prefix = prefix) -> History | None:
    """The history whose record holds the teacher that the stage begins with.

    The longest earlier prefix that ends in a phase that trains the teacher, else (or where the
    phase takes the teacher as it started) the teacher's start. None where the stage needs no
    teacher, or the teacher starts at random.
    """
    history = stage.history
    if history.teacher is None or not history.parts[-1].phase.needs_teacher:
        return None
    if history.parts[-1].phase.teacher_state == "start":
        return history.teacher.start
    begin = history.steps - stage.steps
    trained, position = 0, 0
    for part in history.parts:
        end = min(position + part.steps, begin)
        if part.phase.trains_teacher and end > position:
            trained = end
        position += part.steps
    return prefix_of(history, trained) if trained else history.teacher.start


def teacher_trained_until(history: History) -> int:
    """The student's steps at the end of the last phase that trained the teacher; 0: none did."""
    trained = position = 0
    for part in history.parts:
        position += part.steps
        trained = position if part.phase.trains_teacher else trained
    return trained


def parents(stage: Stage, prefix_of: Prefix = prefix) -> tuple[History, ...]:
    """The histories whose records a stage reads: the student's first."""
    both = before(stage, prefix_of), teacher_before(stage, prefix_of)
    found = [history for history in both if history is not None]
    return tuple({history.digest: history for history in found}.values())
