"""What a quantizer is."""

from abc import ABC, abstractmethod
from typing import ClassVar

import torch
from torch import Tensor, nn

from qkd.quantizers.calibration import INITIAL_INTERVALS
from qkd.quantizers.codes import Codes, uniform_codes
from qkd.quantizers.rounding import Scale, round_to_scales, widened


class Quantizer(nn.Module, ABC):
    """Rounds a tensor to few levels: ``forward`` returns them in float, ``codes`` as integers.

    `qkd.quantizers.quantize` builds one for the input and one for the weight of each layer. It
    calls ``initialise`` once. Any nn.Module class of (bits, signed) with these methods will do.

    Args:
        bits: 2 to 8.
        signed: whether the tensor has negative values.

    Attributes:
        weights: the class for a layer's weights. A class without it quantizes inputs and weights.

    Raises:
        ValueError: bits outside 2 to 8.
    """

    weights: ClassVar[type["Quantizer"]]

    def __init__(self, bits: int, signed: bool) -> None:
        super().__init__()
        if not 2 <= bits <= 8:
            raise ValueError(f"bits is {bits}: it must be 2 to 8")
        self.bits = bits
        self.signed = signed

    @property
    def levels(self) -> int:
        """The number of distinct values that the output can take; at most 2^bits."""
        return int(2**self.bits)

    def initialise(self, tensor: Tensor, rule: str) -> None:  # noqa: ARG002 (the interface)
        """Gives the parameters their initial values. Here there are none.

        Args:
            tensor: the weights, or a calibration batch's activations.
            rule: a key of `qkd.quantizers.calibration.INITIAL_INTERVALS`. A quantizer whose paper
                has an initial value of its own uses that.

        Raises ValueError for another rule.
        """
        require_rule(rule)

    @abstractmethod
    def codes(self, x: Tensor) -> Codes:
        """What ``forward`` returns, as integers."""

    def extra_repr(self) -> str:
        """The arguments, as print shows them."""
        return f"bits={self.bits}, signed={self.signed}"


class ScaledQuantizer(Quantizer):
    """A quantizer whose levels are a `Scale` of one positive scalar, which may learn."""

    @abstractmethod
    def scale(self, x: Tensor) -> tuple[Tensor, Scale]:
        """The interval and its levels, for this tensor."""

    @torch.no_grad()
    def codes(self, x: Tensor) -> Codes:
        """What `forward` returns, as integers."""
        x = widened(x)
        interval, scale = self.scale(x)
        return uniform_codes(x, interval / scale.unit, scale.lowest, scale.highest)

    def forward(self, x: Tensor) -> Tensor:
        """The quantized and dequantized tensor, of x's shape, in float32 (float64 stays)."""
        x = widened(x)
        return round_to_scales((x, *self.scale(x)))[0]


class SymmetricQuantizer(Quantizer):
    """A quantizer whose levels lie symmetrically about zero, or from zero up.

    Signed: 2^bits - 1 levels, n = 2^(bits - 1) - 1 of them on each side of zero. Unsigned: 2^bits
    levels, n = 2^bits - 1 of them above zero.
    """

    @property
    def steps(self) -> int:
        """n, the number of steps between zero and the highest level."""
        return int(2 ** (self.bits - 1) - 1 if self.signed else 2**self.bits - 1)

    @property
    def levels(self) -> int:
        """The number of distinct values that the output can take."""
        return 2 * self.steps + 1 if self.signed else self.steps + 1


def require_rule(rule: str) -> None:
    """Raises ValueError for a rule other than those of `qkd.quantizers.calibration`."""
    if rule not in INITIAL_INTERVALS:
        raise ValueError(f"initial interval {rule!r} is none of {sorted(INITIAL_INTERVALS)}")
