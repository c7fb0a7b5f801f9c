"""The trainable uniform quantizer: quantize, then dequantize, with one learned interval.

Source: the paper (a trainable interval for a layer's weights and one for its input activations,
learned from the task and distillation losses); the equations are assumed, see qkd.marks.
"""

import torch
from torch import Tensor, nn

from qkd.quantizers.calibration import INITIAL_INTERVALS
from qkd.quantizers.quantizer import ScaledQuantizer, SymmetricQuantizer, require_rule
from qkd.quantizers.rounding import Scale


class IntervalQuantizer(SymmetricQuantizer, ScaledQuantizer):
    """Quantizes a tensor to ``bits`` bits by one learned interval, and back to float.

    Signed: 2^bits - 1 levels in [-interval, interval], n = 2^(bits - 1) - 1 of them on each side
    of zero. Unsigned: 2^bits levels in [0, interval], n = 2^bits - 1. It computes in float32 at
    least, under autocast too: in bfloat16 a tenth of the 8-bit codes would move.

    Args:
        bits: 2 to 8.
        signed: whether the tensor has negative values.

    Attributes:
        interval: the scalar parameter, in the tensor's own unit; positive. It starts at 1 until
            `qkd.quantizers.quantize` gives it its initial value.

    Raises:
        ValueError: bits outside 2 to 8.
    """

    def __init__(self, bits: int, signed: bool) -> None:
        super().__init__(bits, signed)
        self.interval = nn.Parameter(torch.ones(()))
        self._scale = Scale(self.steps, -self.steps if signed else 0, self.steps)

    @torch.no_grad()
    def initialise(self, tensor: Tensor, rule: str) -> None:
        """Sets the interval from the weights, or from a calibration batch's activations.

        Raises ValueError for a rule other than those of `qkd.quantizers.calibration`.
        """
        require_rule(rule)
        self.interval.copy_(INITIAL_INTERVALS[rule](self, tensor))

    def scale(self, x: Tensor) -> tuple[Tensor, Scale]:  # noqa: ARG002 (the interface)
        """The equation's n steps of interval / n on each side of zero, or from zero up."""
        return self.interval, self._scale
