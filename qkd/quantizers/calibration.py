"""The initial interval of a quantizer, from the tensor that it is to quantize."""

from collections.abc import Callable
from typing import cast

import torch
from torch import Tensor, nn

ELEMENTS = 2**18
ROUNDS = 3
CANDIDATES = 32


def least_squares_interval(quantizer: nn.Module, tensor: Tensor) -> Tensor:
    """The interval with the least squared error between the tensor and its quantized values.

    A search over (0, max |x|]: CANDIDATES evenly spaced intervals, then as many between the
    neighbours of the best, ROUNDS times. At most ELEMENTS evenly spaced elements are looked at.
    """
    flat = tensor.flatten()
    flat = flat[:: max(1, flat.numel() // ELEMENTS)].contiguous()
    interval = cast(Tensor, quantizer.interval)
    high = flat.abs().max().item()
    if high == 0:
        return torch.ones_like(interval)
    low, best = 0.0, high
    for _ in range(ROUNDS):
        width = (high - low) / CANDIDATES
        candidates = [low + width * (i + 1) for i in range(CANDIDATES)]
        errors = []
        for candidate in candidates:
            interval.fill_(candidate)
            errors.append((quantizer(flat) - flat).square().sum().item())
        best = candidates[errors.index(min(errors))]
        low, high = max(best - width, 0.0), best + width
    return torch.full_like(interval, best)


def largest_interval(quantizer: nn.Module, tensor: Tensor) -> Tensor:
    """The largest absolute value: nothing is clipped (a sensitivity run, see qkd.marks)."""
    interval = cast(Tensor, quantizer.interval)
    high = tensor.abs().max().item()
    return torch.full_like(interval, high if high > 0 else 1.0)


INITIAL_INTERVALS: dict[str, Callable[[nn.Module, Tensor], Tensor]] = {
    "mse": least_squares_interval,
    "minmax": largest_interval,
}
