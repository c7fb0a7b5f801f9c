"""Accuracy on a set of images: every image once, in eval mode, in float32 with autocast off."""

import base64
from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy
import torch
from torch import Tensor, nn
from torch.nn import functional


class Accuracy(NamedTuple):
    """Counts of right predictions; ``loss`` is the mean cross-entropy in nats."""

    correct1: int
    correct5: int
    images: int
    loss: float

    @property
    def top1(self) -> float:
        """Top-1 accuracy in percent."""
        return 100.0 * self.correct1 / self.images

    @property
    def top5(self) -> float:
        """Top-5 accuracy in percent."""
        return 100.0 * self.correct5 / self.images

    def as_json(self) -> dict[str, Any]:
        """Counts and percentages, as result.json holds them."""
        return {**self._asdict(), "top1": self.top1, "top5": self.top5}


class Answers(NamedTuple):
    """What a network says of each image, in their order, on the CPU.

    ``predictions`` are classes, int64 (images); ``correct`` is bool (images).
    """

    accuracy: Accuracy
    predictions: Tensor
    correct: Tensor

    def as_json(self) -> dict[str, Any]:
        """The accuracy, and ``correct`` as one bit an image, for tests of two networks on the same
        images: base64 of numpy.packbits (the first image is the highest bit of the first byte).
        """
        packed = numpy.packbits(self.correct.numpy())
        return {**self.accuracy.as_json(), "correct": base64.b64encode(packed.tobytes()).decode()}


def evaluate(network: nn.Module, batches: Iterable[tuple[Tensor, Tensor]]) -> Accuracy:
    """The network's accuracy over ``batches`` of images and labels. Its mode is left as it was.

    Raises ValueError where there are no images.
    """
    return answers(network, batches).accuracy


@torch.inference_mode()
def answers(network: nn.Module, batches: Iterable[tuple[Tensor, Tensor]]) -> Answers:
    """What the network says of each image. Its mode is left as it was.

    Raises ValueError where there are no images.
    """
    was_training = network.training
    network.eval()
    correct1 = correct5 = images = 0
    loss = 0.0
    predictions, correct = [], []
    try:
        for pixels, labels in batches:
            with torch.autocast(pixels.device.type, enabled=False):
                logits = network(pixels.to(memory_format=torch.channels_last)).float()
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
    accuracy = Accuracy(correct1, correct5, images, loss / images)
    return Answers(accuracy, torch.cat(predictions), torch.cat(correct))
