"""What is done to the student after each of its steps, beside the optimiser."""

from collections.abc import Iterable
from typing import Protocol, cast

from torch import Tensor, nn

from qkd.imports import HOOKS, resolve
from qkd.spec import Phase


class AfterStep(Protocol):
    """What a `qkd.spec.Hook` names: made of the network as it is when the phase begins.

    Its state is kept in the checkpoint of the student. A phase that is cut into stages goes on with
    it, a new phase begins afresh. Of several ranks each calls its own, on the same weights: it must
    draw nothing.
    """

    def __call__(self, done: float) -> None:
        """Called without a gradient after a step, the intervals' floors included; ``done`` is the
        share of the run's steps that are behind, up to 1.
        """

    def state_dict(self) -> dict[str, Tensor]:
        """Tensors by name, from which ``load_state_dict`` goes on to the same bits."""

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Takes up a state, which may lie on the CPU."""


def hooks_of(phase: Phase, network: nn.Module) -> list[AfterStep]:
    """The phase's hooks on a network, in their order.

    Raises ValueError where a name is none of a hook, or a hook refuses the network.
    """
    return [
        cast(AfterStep, resolve(one.hook, HOOKS)(network, **one.options))
        for one in phase.after_step
    ]


def load(hooks: Iterable[AfterStep], states: Iterable[dict[str, Tensor]]) -> None:
    """Gives each hook its state from a checkpoint. Raises ValueError where there are others."""
    for hook, state in zip(hooks, states, strict=True):
        hook.load_state_dict(state)
