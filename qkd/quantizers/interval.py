"""The trainable uniform quantizer: quantize, then dequantize, with one learned interval.

Source: the paper (a trainable interval for a layer's weights and one for its input activations,
learned from the task and distillation losses); the equations are assumed, see qkd.marks.
"""

import torch
from torch import Tensor, nn

from qkd.quantizers.calibration import INITIAL_INTERVALS
from qkd.quantizers.rounding import Scale, ScaledQuantizer


class IntervalQuantizer(ScaledQuantizer):
    """Quantizes a tensor to ``bits`` bits by one learned interval, and back to float.

    Signed: 2^bits - 1 levels in [-interval, interval], n = 2^(bits - 1) - 1 of them on each side
    of zero. Unsigned: 2^bits levels in [0, interval], n = 2^bits - 1. Always in float32 at least,
    under autocast too: in bfloat16 a tenth of the 8-bit codes would move.

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
        super().__init__()
        if not 2 <= bits <= 8:
            raise ValueError(f"bits is {bits}: it must be 2 to 8")
        self.bits = bits
        self.signed = signed
        self.interval = nn.Parameter(torch.ones(()))
        self._scale = Scale(self.steps, -self.steps if signed else 0, self.steps)

    @property
    def steps(self) -> int:
        """The equation's n: steps between zero and the interval."""
        return int(2 ** (self.bits - 1) - 1 if self.signed else 2**self.bits - 1)

    @property
    def levels(self) -> int:
        """The number of distinct values that the output can take."""
        return 2 * self.steps + 1 if self.signed else self.steps + 1

    @torch.no_grad()
    def initialise(self, tensor: Tensor, rule: str) -> None:
        """Sets the interval from the weights, or from a calibration batch's activations.

        Raises ValueError for a rule other than those of `qkd.quantizers.calibration`.
        """
        if rule not in INITIAL_INTERVALS:
            raise ValueError(f"initial interval {rule!r} is none of {sorted(INITIAL_INTERVALS)}")
        self.interval.copy_(INITIAL_INTERVALS[rule](self, tensor))

    def scale(self, x: Tensor) -> tuple[Tensor, Scale]:  # noqa: ARG002 (the interface)
        """The equation's n steps of interval / n on each side of zero, or from zero up."""
        return self.interval, self._scale

    def extra_repr(self) -> str:
        """The arguments, as print shows them."""
        return f"bits={self.bits}, signed={self.signed}"
