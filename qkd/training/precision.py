"""The precision of training's products, within a context."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from qkd.spec import Precision


@contextmanager
def computing(precision: Precision, device: str) -> Iterator[None]:
    """Within it a forward pass on the device (``cpu``, ``cuda``) is of that precision."""
    with torch.autocast(device, torch.bfloat16, precision == "bfloat16"), products(precision):
        yield


@contextmanager
def products(precision: Precision) -> Iterator[None]:
    """Within it tensor cores round float32 factors to TF32 where that is asked for.

    Elsewhere they do not (`qkd.training.environment.set_up`), nor on a device that has none. A
    backward pass needs it too: autograd goes by what holds when it runs.
    """
    if precision != "tf32":
        yield
        return
    matmul, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
    before = matmul.allow_tf32, cudnn.allow_tf32
    try:
        matmul.allow_tf32 = cudnn.allow_tf32 = True
        yield
    finally:
        matmul.allow_tf32, cudnn.allow_tf32 = before
