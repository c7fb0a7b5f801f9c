"""Accuracy on a set of images: every image once, in eval mode, in float32 with autocast off."""

import math
from collections.abc import Iterable
from typing import NamedTuple

import numpy
import torch
from msgspec.structs import replace
from torch import Tensor, nn
from torch.nn import functional

from qkd.models.layout import laid_out
from qkd.records.schema import Accuracy

# Of a batch on a CPU, so many images at a time, whose activations stay in a core's cache. Never
# fewer: for one image alone a linear layer is another routine, which rounds otherwise.
PART = 100


class Answers(NamedTuple):
    """What a network says of each image, in their order, on the CPU.

    ``predictions`` are classes, int64 (images); ``correct`` is bool (images).
    """

    accuracy: Accuracy
    predictions: Tensor
    correct: Tensor

    @property
    def scored(self) -> Accuracy:
        """The accuracy with ``correct``, for tests of two networks on the same images."""
        return replace(self.accuracy, correct=numpy.packbits(self.correct.numpy()).tobytes())


def evaluate(network: nn.Module, batches: Iterable[tuple[Tensor, Tensor]]) -> Accuracy:
    """The network's accuracy over ``batches`` of images and labels. Its mode is left as it was.

    Raises ValueError where there are no images.
    """
    return answers(network, batches).accuracy


@torch.inference_mode()
def answers(network: nn.Module, batches: Iterable[tuple[Tensor, Tensor]]) -> Answers:
    """What the network says of each image. Its mode is left as it was.

    Raises ValueError where there are no images, FloatingPointError where the loss is not finite.
    """
    was_training = network.training
    network.eval()
    correct1 = correct5 = images = 0
    loss = 0.0
    predictions, correct = [], []
    try:
        for pixels, labels in batches:
            with torch.autocast(pixels.device.type, enabled=False):
                logits = _logits(network, laid_out(network, pixels)).float()
            best = logits.topk(min(5, logits.shape[1]), dim=1).indices
            hits = best == labels[:, None]
            correct1 += int(hits[:, 0].sum())
            correct5 += int(hits.sum())
            loss += float(functional.cross_entropy(logits, labels, reduction="sum"))
            images += len(labels)
            predictions.append(best[:, 0].cpu())
            correct.append(hits[:, 0].cpu())
    finally:
        network.train(was_training)
    if images == 0:
        raise ValueError("there are no images to evaluate on")
    if not math.isfinite(loss):
        raise FloatingPointError(f"the loss on images that were not trained on became {loss}")
    accuracy = Accuracy(
        correct1=correct1,
        correct5=correct5,
        images=images,
        top1=100.0 * correct1 / images,
        top5=100.0 * correct5 / images,
        loss=loss / images,
    )
    return Answers(accuracy, torch.cat(predictions), torch.cat(correct))


def _logits(network: nn.Module, images: Tensor) -> Tensor:
    """Those of the whole batch, in equal parts where it has them: the same to the last bit."""
    if images.device.type != "cpu" or len(images) % PART or _looks_at_the_batch(network):
        whole: Tensor = network(images)
        return whole
    return torch.cat([network(part) for part in torch.split(images, PART)])


def _looks_at_the_batch(network: nn.Module) -> bool:
    """Whether a batch norm has no statistics but those of the batch."""
    norms = (m for m in network.modules() if isinstance(m, nn.modules.batchnorm._NormBase))
    return any(norm.running_mean is None for norm in norms)
