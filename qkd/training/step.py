"""One optimiser step of a student, and of its teacher where the phase trains it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor, nn

from qkd.imports import LOSSES, resolve
from qkd.models.buffers import is_sound, masks
from qkd.models.draws import python_and_numpy
from qkd.models.layout import laid_out
from qkd.quantizers.quantize import interval_parameters
from qkd.schedules import learning_rate_factor
from qkd.spec import Precision, Recipe, Term
from qkd.spec.history import seed_of
from qkd.training import distributed
from qkd.training.features import LAST, seen
from qkd.training.hooks import AfterStep
from qkd.training.precision import computing, products
from qkd.training.window import NotFinite

INTERVAL_FLOOR = 0.01
NO_FEATURES: Mapping[str, Tensor] = MappingProxyType({})


@dataclass
class Side:
    """A network at work: the student, or the teacher.

    ``optimiser`` is None where the network is frozen; ``floors`` holds the lowest value of each
    interval, ``floor_hits`` how often an interval was raised to it. ``precision`` is that of the
    forward pass; ``phase_begin`` the step at which the phase begins, from which a term's weight
    may grow; ``read`` counts the steps whose logits came from a file (`qkd.training.kept`).
    ``hooks`` are called after each step. ``watched`` are the layers whose inputs `forward` leaves
    in ``features``, by the names that terms give them (`qkd.training.features.compared`).
    """

    name: str
    network: nn.Module
    optimiser: torch.optim.SGD | None = None
    terms: tuple[Term, ...] = ()
    learning_rate_factor: float = 1.0
    floors: dict[str, Tensor] = field(default_factory=dict)
    floor_hits: int | Tensor = 0
    precision: Precision = "float32"
    phase_begin: int = 0
    read: int = 0
    hooks: list[AfterStep] = field(default_factory=list)
    watched: dict[str, str] = field(default_factory=dict)
    features: Mapping[str, Tensor] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._call: nn.Module = self.network
        self.network.train(self.optimiser is not None)
        self._masks = masks(self.network)
        parameters = dict(self.network.named_parameters())
        self._floored: list[Tensor] = [parameters[name] for name in self.floors]
        self._floors = torch.stack(list(self.floors.values())) if self.floors else torch.empty(0)

    def compile(self) -> None:
        """From now on the forward pass of training is compiled; evaluation stays as it is.

        As a whole: a part that cannot be compiled, or shapes that change without end, are errors
        at the first step rather than a silent return to slowness.
        """
        self._call = cast(nn.Module, torch.compile(self._call, fullgraph=True))

    def synchronise(self) -> None:
        """From now on its batch norms, in training, are those of all ranks' images together."""
        self._call = distributed.synchronised(self.network)

    def average(self) -> None:
        """From now on `learn` leaves the mean of the gradients over the ranks."""
        self._call = distributed.averaging(self._call)

    def forward(self, images: Tensor, seed: int, step: int, part: int = 0) -> Tensor:
        """Logits (batch, classes). Dropout draws from a stream of this side's own, and of the part
        of the batch that the images are; Python's `random` and numpy from others likewise.
        """
        stream = f"{self.name}-dropout-{part}" if part else f"{self.name}-dropout"
        torch.manual_seed(seed_of(seed, stream, step))
        with (
            python_and_numpy(seed, stream, step),
            torch.inference_mode(self.optimiser is None),
            computing(self.precision, images.device.type),
            seen(self.network, self.watched.values()) as inputs,
        ):
            logits: Tensor = self._call(laid_out(self.network, images))
        self.features = {name: _kept(inputs[layer]) for name, layer in self.watched.items()}
        return _kept(logits)

    def learn(
        self,
        logits: Tensor,
        labels: Tensor,
        peer: Tensor | None,
        share: float = 1.0,
        step: int = 0,
        *,
        peer_features: Mapping[str, Tensor] = NO_FEATURES,
    ) -> dict[str, Tensor]:
        """Adds to the gradients ``share`` times those of the side's loss terms, weighted as they
        are at ``step``; returns each term's value, unweighted. What is the other network's,
        ``peer`` and ``peer_features``, is detached.
        """
        values: dict[str, Tensor] = {}
        total = logits.new_zeros(())
        for term in self.terms:
            learning, *given = self._arguments(term, logits, labels, peer, peer_features)
            value = resolve(term.loss, LOSSES)(learning, *given, **term.options)
            name = f"{self.name}_{term.loss.partition(':')[2]}"
            values[f"{name}_{len(values)}" if name in values else name] = value.detach()
            total = total + term.weight_at(step - self.phase_begin) * value
        with products(self.precision):
            torch.autograd.backward(total if share == 1 else share * total)
        return values

    def _arguments(
        self,
        term: Term,
        logits: Tensor,
        labels: Tensor,
        peer: Tensor | None,
        peer_features: Mapping[str, Tensor],
    ) -> tuple[Any, ...]:
        """What the term's loss is a function of: first what learns, then what it is held against.

        Raises ValueError where that is the other network's and there is none.
        """
        if term.target == "features":
            own, other = term.inputs_of or (LAST, LAST)
            if own not in self.features or other not in peer_features:
                raise ValueError(f"a loss term of the {self.name} needs features of both networks")
            return self.features[own], peer_features[other]
        given = targets(term, labels, peer)
        if given is None:
            raise ValueError(f"a loss term of the {self.name} needs the other network")
        return (self.network if term.target == "weights" else logits, *given)

    def require_finite(self, step: int) -> None:
        """Raises NotFinite, naming the tensor, where the network's state is not finite."""
        for name, tensor in self.network.state_dict().items():
            if not is_sound(tensor, name in self._masks):
                raise NotFinite(
                    f"{name} of the {self.name} is not finite after step {step}: lower the "
                    "learning rate"
                )

    def step(self, factor: float) -> None:
        """One optimiser step at ``factor`` times the initial learning rates."""
        if self.optimiser is None:
            return
        for group in self.optimiser.param_groups:
            group["lr"] = group["initial_lr"] * factor * self.learning_rate_factor
        self.optimiser.step()
        self.optimiser.zero_grad(set_to_none=True)
        if self.floors:
            with torch.no_grad():
                below = torch.stack(self._floored) < self._floors
                self.floor_hits = self.floor_hits + below.sum()
                torch._foreach_maximum_(self._floored, list(self._floors.unbind()))

    @torch.no_grad()
    def call_hooks(self, done: float) -> None:
        """Calls what is to be called after a step; ``done`` is the share of the run's steps."""
        for hook in self.hooks:
            hook(done)


def _kept(tensor: Tensor) -> Tensor:
    """What was made in inference mode could not be kept for the other network's gradient."""
    return tensor.clone() if tensor.is_inference() else tensor


def targets(term: Term, labels: Tensor, peer: Tensor | None) -> tuple[Tensor, ...] | None:
    """What the loss of a term gets beside the logits, or the network; None where that needs the
    other network, of which there is none. A term of features has other arguments.
    """
    if term.target == "weights":
        return ()
    if term.target == "labels":
        return (labels,)
    if peer is None:
        return None
    return (peer,) if term.target == "peer" else (peer, labels)


class Sides(NamedTuple):
    """Both networks of a stage; no teacher where its phase needs none."""

    student: Side
    teacher: Side | None

    @property
    def learning_teacher(self) -> Side | None:
        """The teacher, where it learns."""
        return self.teacher if self.teacher and self.teacher.optimiser else None

    @property
    def learning(self) -> list[Side]:
        """The sides that learn."""
        return [side for side in (self.student, self.learning_teacher) if side is not None]


def optimiser_of(network: nn.Module, recipe: Recipe) -> torch.optim.SGD:
    """SGD with momentum; intervals have their own learning rates and no weight decay."""
    weight_intervals, activation_intervals = interval_parameters(network)
    intervals = weight_intervals | activation_intervals
    others = [p for name, p in network.named_parameters() if name not in intervals]
    groups = [
        (others, recipe.learning_rate, recipe.weight_decay),
        (list(weight_intervals.values()), recipe.weight_interval_learning_rate, 0.0),
        (list(activation_intervals.values()), recipe.activation_interval_learning_rate, 0.0),
    ]
    return torch.optim.SGD(
        [
            {"params": parameters, "lr": rate, "initial_lr": rate, "weight_decay": decay}
            for parameters, rate, decay in groups
        ],
        lr=recipe.learning_rate,
        momentum=recipe.momentum,
        foreach=True,
    )


def interval_floors(network: nn.Module) -> dict[str, Tensor]:
    """For each interval the lowest value that it may take: 1 % of what it is now."""
    weights, activations = interval_parameters(network)
    return {
        name: INTERVAL_FLOOR * parameter.detach().clone()
        for name, parameter in (weights | activations).items()
        if name.endswith(".interval")
    }


def train_step(
    student: Side,
    teacher: Side | None,
    images: Tensor,
    labels: Tensor,
    *,
    recipe: Recipe,
    seed: int,
    step: int,
    micro_batches: int = 1,
) -> dict[str, Tensor]:
    """One step of the student, and of the teacher where it learns, from the same forward passes.

    Each side's gradient stops at the other's logits. A loss term is a mean over the images, so that
    over a batch in equal parts (micro-batches, and the ranks' shares) it is the mean of the parts'.

    Args:
        student: in training.
        teacher: None where the phase needs none.
        images: float32 (batch, channels, height, width); of several ranks, this one's share.
        labels: int64 (batch).
        recipe: the schedule.
        seed: the history's seed, for dropout.
        step: the student's step since its start.
        micro_batches: equal parts in which the gradients are summed up; it divides the batch.

    Returns:
        The values of the loss terms by side and name, as scalars on the device.
    """
    images = images.to(memory_format=torch.channels_last)
    first = distributed.place().rank * micro_batches
    parts = zip(images.chunk(micro_batches), labels.chunk(micro_batches), strict=True)
    found = [
        _gradients(
            student, teacher, *part, draw=(seed, step, first + number), share=1 / micro_batches
        )
        for number, part in enumerate(parts)
    ]
    factor = learning_rate_factor(step, recipe)
    student.step(factor)
    student.call_hooks((step + 1) / recipe.horizon)
    if teacher is not None:
        teacher.step(factor)
    if micro_batches == 1:
        return found[0]
    return {name: torch.stack([part[name] for part in found]).mean() for name in found[0]}


def _gradients(
    student: Side,
    teacher: Side | None,
    images: Tensor,
    labels: Tensor,
    *,
    draw: tuple[int, int, int],
    share: float,
) -> dict[str, Tensor]:
    """Both sides' gradients by a part of the batch; ``draw``: seed, step and part, for dropout."""
    student_logits = student.forward(images, *draw)
    teacher_logits = teacher.forward(images, *draw) if teacher else None
    peer = teacher_logits.detach() if teacher_logits is not None else None
    step = draw[1]
    of_student = _detached(student.features)
    of_teacher = _detached(teacher.features) if teacher else NO_FEATURES
    values = student.learn(student_logits, labels, peer, share, step, peer_features=of_teacher)
    if teacher is not None and teacher_logits is not None and teacher.terms:
        values |= teacher.learn(
            teacher_logits, labels, student_logits.detach(), share, step, peer_features=of_student
        )
    return values


def _detached(features: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.detach() for name, tensor in features.items()}
