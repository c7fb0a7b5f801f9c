"""Our quantizer with one assumed choice made otherwise, for sensitivity runs.

A method's field ``quantizer`` picks one, as it picks a rival's. So no other run's id changes.
"""

import math
from typing import ClassVar

from torch import Tensor

from qkd.quantizers.interval import IntervalQuantizer
from qkd.quantizers.rounding import Scale


class _FullLevels(IntervalQuantizer):
    """2^bits levels where signed: one more step below zero than above, where the interval lies."""

    def __init__(self, bits: int, signed: bool) -> None:
        super().__init__(bits, signed)
        if signed:
            self._scale = self._scale._replace(lowest=-self.steps - 1)

    @property
    def levels(self) -> int:
        """The number of distinct values that the output can take."""
        return int(2**self.bits)


class FullWeightLevels(IntervalQuantizer):
    """Weights on all 2^bits levels, as LSQ has them. Ours are symmetric on 2^bits - 1."""

    weights: ClassVar[type[IntervalQuantizer]] = _FullLevels


class _ScaledGradientOfWeights(IntervalQuantizer):
    """The interval's gradient times 1 / sqrt(N n), N being the number of elements."""

    def elements(self, x: Tensor) -> int:
        """N of the gradient's scale."""
        return x.numel()

    def scale(self, x: Tensor) -> tuple[Tensor, Scale]:
        """The interval, its levels, and the factor on its gradient."""
        factor = 1 / math.sqrt(max(1, self.elements(x)) * self.steps)
        return self.interval, self._scale._replace(gradient_scale=factor)


class ScaledGradient(_ScaledGradientOfWeights):
    """LSQ's gradient scale (Esser et al. 2019, section 2.2) on our intervals.

    N of activations (batch, ...) is the number of features of one example.
    """

    weights: ClassVar[type[IntervalQuantizer]] = _ScaledGradientOfWeights

    def elements(self, x: Tensor) -> int:
        """N of the gradient's scale."""
        return x.numel() // max(1, x.shape[0]) if x.ndim else 1
