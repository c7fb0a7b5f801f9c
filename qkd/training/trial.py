"""A network tried before anything is trained: what would stop or mislead hours of training."""

import torch
from torch import Tensor, nn

from qkd.models.layout import Shape, laid_out
from qkd.models.modes import as_tried

IMAGES = 2


class Unfit(ValueError):
    """A network that cannot be trained or evaluated as it is meant to be; a line says why."""


def try_out(network: nn.Module, shape: Shape, classes: int, part: int = IMAGES) -> int:
    """Runs it on noise in evaluation, and in training with its gradients; says how many classes it
    tells apart.

    Args:
        network: laid out (`qkd.models.layout`). It learns nothing; gradients are left on it.
        shape: of an image (C, H, W).
        classes: of the data.
        part: images that training has in memory at once; 0: it does not train.

    Raises:
        Unfit: it raises an error; it gives no logits (batch, classes), other ones in training than
            in evaluation, or too few; or nothing of it has a gradient.
    """
    told = _tried(network, shape, IMAGES, training=False)
    if part:
        trained = _tried(network, shape, min(part, IMAGES), training=True)
        if trained != told:
            raise Unfit(f"it tells {told} classes apart in evaluation, and {trained} in training")
    if told < classes:
        raise Unfit(f"it tells {told} classes apart, where the data have {classes}")
    return told


def _tried(network: nn.Module, shape: Shape, count: int, *, training: bool) -> int:
    """The number of classes that it tells apart in that mode."""
    mode = "training" if training else "evaluation"
    device = next((one.device for one in network.parameters()), torch.device("cpu"))
    try:
        with as_tried(network, training), torch.set_grad_enabled(training):
            images = torch.randn(count, *shape).to(device)
            logits = network(laid_out(network, images))
            classes = _classes(logits, count, mode)
            if training:
                logits.float().sum().backward()
    except Unfit:
        raise
    except Exception as error:  # a network may be anybody's
        alone = f" (a part of a batch is {count} image)" if count == 1 else ""
        said = " ".join(str(error).split())
        raise Unfit(f"in {mode}{alone} it raises {type(error).__name__}: {said}") from error
    return classes


def _classes(logits: object, count: int, mode: str) -> int:
    """Raises Unfit where they are no logits of so many images."""
    if not isinstance(logits, Tensor):
        raise Unfit(
            f"in {mode} it gives a {type(logits).__name__}, where one tensor of logits (batch, "
            "classes) is needed: wrap it in a module that returns that alone"
        )
    if logits.ndim != 2 or len(logits) != count or not logits.is_floating_point():
        raise Unfit(
            f"in {mode} it gives {logits.dtype} of shape {tuple(logits.shape)} for {count} "
            "image(s), where float logits (batch, classes) are needed"
        )
    return logits.shape[1]
