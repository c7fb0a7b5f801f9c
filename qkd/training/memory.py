"""The memory that a training step needs on one device: an estimate, and a lower bound.

Counted are the weights, the gradients and momentum of what trains, the images, and the tensors that
autograd keeps for the backward pass; not what kernels work with for a moment, a frozen network's
activations among it, nor what the allocator rounds up.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from qkd.models.layout import Shape, laid_out, lay_out
from qkd.spec import Learner, Recipe, Stage
from qkd.spec.value import digest
from qkd.training.begin import build
from qkd.training.step import Side, optimiser_of

# Batches that what is kept is counted at.
FEW, MORE = 1, 2


class Need(NamedTuple):
    """Bytes: ``fixed`` whatever the batch, and ``image`` for each image of it."""

    fixed: int
    image: int

    def at(self, images: int) -> int:
        """Bytes at so many images in memory at once."""
        return self.fixed + self.image * images

    def __add__(self, other: object) -> "Need":
        if not isinstance(other, Need):
            return NotImplemented
        return Need(self.fixed + other.fixed, self.image + other.image)


def needs(stages: Sequence[tuple[Stage, Shape]]) -> list[Need]:
    """What a step of each stage needs, on images (C, H, W).

    Each network is built and tried once on the CPU for each way in which it is used: at how many
    bits it is quantized changes nothing.
    """
    known: dict[tuple[object, ...], Need] = {}

    def of(learner: Learner, recipe: Recipe, shape: Shape, trains: bool) -> Need:
        quantizer = learner.quantization.quantizer if learner.quantization else ""
        key = digest(learner.network), quantizer, recipe.precision, shape, trains
        if key not in known:
            network = lay_out(build(learner, 0, "memory", torch.device("cpu")), shape)
            known[key] = of_network(network, recipe, shape) if trains else Need(_held(network), 0)
        return known[key]

    found = []
    for stage, shape in stages:
        history, phase = stage.history, stage.history.parts[-1].phase
        pixels = 4 * shape[0] * shape[1] * shape[2]
        whole = Need(0, pixels) + of(history.student, history.recipe, shape, True)
        if history.teacher is not None and phase.needs_teacher:
            whole += of(history.teacher, history.recipe, shape, phase.trains_teacher)
        found.append(whole)
    return found


def of_network(network: nn.Module, recipe: Recipe, shape: Shape) -> Need:
    """What a network that trains needs, the images (C, H, W) aside.

    Gradients and momentum are as large as the parameters. What is kept for the backward pass grows
    by the same for each image (a batch norm's statistics, and rounded weights, do not grow).
    """
    trained = sum(_bytes(p) for p in network.parameters() if p.requires_grad)
    few, more = (kept_bytes(network, recipe, images, shape) for images in (FEW, MORE))
    image = (more - few) // (MORE - FEW)
    return Need(_held(network) + 2 * trained + few - FEW * image, image)


def kept_bytes(network: nn.Module, recipe: Recipe, images: int, shape: Shape) -> int:
    """Bytes of the storages that a training forward pass of so many images (C, H, W) keeps for its
    backward pass, each counted once; parameters, buffers and the images themselves aside.
    """
    side = Side("student", network, optimiser_of(network, recipe), precision=recipe.precision)
    batch = laid_out(network, torch.zeros(images, *shape))
    others = {_place(tensor) for tensor in (*network.parameters(), *network.buffers(), batch)}
    kept: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        if _place(tensor) not in others:
            kept[_place(tensor)] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        logits = side.forward(batch, 0, 0)  # as long as it lives, so does all that is kept
    del logits
    return sum(kept.values())


def _place(tensor: Tensor) -> int:
    return tensor.untyped_storage().data_ptr()


def _held(network: nn.Module) -> int:
    """Bytes of its parameters and buffers."""
    return sum(map(_bytes, (*network.parameters(), *network.buffers())))


def _bytes(tensor: Tensor) -> int:
    return tensor.numel() * tensor.element_size()
