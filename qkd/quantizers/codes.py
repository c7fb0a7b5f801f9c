"""A quantizer's output as integers: x_hat = scale * integers + offset."""

from typing import NamedTuple

import torch
from torch import Tensor

# In steps: a value nearer than this to the last level is not called clipped, and two outputs
# nearer than this are the same level.
TOLERANCE = 1e-3


class Codes(NamedTuple):
    """What a quantizer makes of a tensor, as integers.

    ``values`` is what ``forward`` returns, to the last bit. QIL divides by a whole number: there
    they agree to one rounding.

    Attributes:
        positions: where each element lies among the levels, in steps, not yet clipped or rounded;
            of the tensor's shape, float32 or float64.
        scale: a scalar tensor, the distance of two levels.
        offset: a scalar tensor, the value of code 0; None: 0.
        lowest: the lowest code.
        highest: the highest code.
    """

    positions: Tensor
    scale: Tensor
    offset: Tensor | None
    lowest: int
    highest: int

    @property
    def integers(self) -> Tensor:
        """The codes: whole numbers from lowest to highest, in the type of the positions."""
        return self.positions.clamp(self.lowest, self.highest).round_()

    @property
    def values(self) -> Tensor:
        """The quantized and dequantized tensor, scale * integers + offset."""
        scaled = self.integers.mul_(self.scale)
        return scaled if self.offset is None else scaled.add_(self.offset)

    @property
    def clipped(self) -> Tensor:
        """Which elements lie beyond the lowest or the highest level: bool, of the same shape."""
        below = self.positions < self.lowest - TOLERANCE
        return below | (self.positions > self.highest + TOLERANCE)


def positions_of(x: Tensor, step: Tensor, offset: Tensor | None = None) -> Tensor:
    """Where x lies among evenly spaced levels, in steps: (x - offset) / step, a new tensor."""
    return torch.div(x, step) if offset is None else torch.sub(x, offset).div_(step)


def uniform_codes(
    x: Tensor, step: Tensor, lowest: int, highest: int, offset: Tensor | None = None
) -> Codes:
    """The codes of the levels ``step`` * (lowest, ..., highest) + ``offset`` nearest to x.

    Args:
        x: of any shape, in float32 or float64.
        step: a positive scalar tensor.
        lowest: the lowest code.
        highest: the highest code.
        offset: a scalar tensor; None: 0.
    """
    zero = None if offset is None else offset.detach()
    return Codes(positions_of(x, step, offset), step.detach(), zero, lowest, highest)
