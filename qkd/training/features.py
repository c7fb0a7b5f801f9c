"""Features: what goes into a layer of a network, seen while the network answers."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from qkd.models.layout import Shape, laid_out
from qkd.models.modes import as_tried
from qkd.spec import Stage, Term

IMAGES = 2
LAST = ""  # as a term names the layer that gives the logits


class Features(NamedTuple):
    """Where a network's features are: the layer that they go into, and their shape for an image."""

    layer: str
    shape: tuple[int, ...]


@contextmanager
def seen(network: nn.Module, layers: Iterable[str]) -> Iterator[dict[str, Tensor]]:
    """Within it, by the layers' names, what went into each of them last; nothing stays hooked."""
    found: dict[str, Tensor] = {}

    def keep(name: str, _: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        found[name] = inputs[0]

    handles = [
        network.get_submodule(name).register_forward_pre_hook(partial(keep, name))
        for name in layers
    ]
    try:
        yield found
    finally:
        for handle in handles:
            handle.remove()


def features_of(network: nn.Module, name: str, shape: Shape) -> Features:
    """The features that a term names, found by running the network on two images in evaluation.

    Args:
        network: in either mode, which stays.
        name: of a layer; LAST: the linear layer whose output the logits are.
        shape: of an image (C, H, W).

    Raises:
        ValueError: there is no such layer, several, one of several calls, or one whose input is not
            a tensor of a row for each image.
    """
    layers = {
        own: layer
        for own, layer in network.named_modules()
        if (own == name if name else isinstance(layer, nn.Linear))
    }
    calls, logits = _calls(network, layers, shape)
    if not name:
        calls = [call for call in calls if _is_same(call[2], logits)]
    if len(calls) != 1:
        kind = type(network).__name__
        raise ValueError(
            f"{kind} calls {name} {len(calls)} times: features are what goes into a layer that is "
            "called once"
            if name
            else f"{kind} has {len(calls)} linear layers that give its logits, where the features "
            "are what goes into the only one: name a layer of each network in the term's inputs_of"
        )
    own, given, _ = calls[0]
    if not isinstance(given, Tensor) or given.ndim < 2 or len(given) != IMAGES:
        raise ValueError(f"what goes into {own} of {type(network).__name__} has no row an image")
    return Features(own, tuple(given.shape[1:]))


def _calls(
    network: nn.Module, layers: dict[str, nn.Module], shape: Shape
) -> tuple[list[tuple[str, Any, Any]], Any]:
    """Of each call of one of the layers its name, input and output; and the logits."""
    calls: list[tuple[str, Any, Any]] = []

    def note(name: str, _: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
        calls.append((name, inputs[0] if inputs else None, output))

    handles = [layer.register_forward_hook(partial(note, name)) for name, layer in layers.items()]
    device = next((one.device for one in network.parameters()), torch.device("cpu"))
    images = laid_out(network, torch.zeros(IMAGES, *shape, device=device))
    try:
        with as_tried(network, training=False), torch.no_grad():
            return calls, network(images)
    finally:
        for handle in handles:
            handle.remove()


def _is_same(output: Any, logits: Any) -> bool:
    """Whether both are the same numbers at the same place."""
    both = isinstance(output, Tensor) and isinstance(logits, Tensor)
    return both and output.data_ptr() == logits.data_ptr() and output.shape == logits.shape


def compared(
    terms: Iterable[Term], own: nn.Module, other: nn.Module, shape: Shape
) -> tuple[dict[str, str], dict[str, str]]:
    """Which layers' inputs the terms compare: of the network that learns, and of the other, by the
    names that the terms give them.

    Raises ValueError as `features_of` does, and where the two differ in shape: no projection is
    learned between them.
    """
    ours: dict[str, str] = {}
    theirs: dict[str, str] = {}
    for term in terms:
        if term.target != "features":
            continue
        names = term.inputs_of or (LAST, LAST)
        one, another = features_of(own, names[0], shape), features_of(other, names[1], shape)
        if one.shape != another.shape:
            raise ValueError(
                f"{term.loss} compares features of an image, {one.shape} into {one.layer} and "
                f"{another.shape} into {another.layer} of the other network: there is no "
                "projection between them. Take networks of equal width there, or name other "
                "layers in the term's inputs_of"
            )
        ours[names[0]], theirs[names[1]] = one.layer, another.layer
    return ours, theirs


def require_seen(stage: Stage, compiled: bool, ranks: int) -> None:
    """Raises ValueError where a phase of features is to be trained by steps that show none."""
    parts = stage.history.parts
    if not parts or not parts[-1].phase.compares_features or not (compiled or ranks > 1):
        return
    raise ValueError(
        f"the phase {parts[-1].phase.name} compares features, which compiled steps and several "
        "ranks do not show: train it by one process, with COMPILE=0"
    )
