"""Where the rivals that begin at a clipping value find it."""

from torch import Tensor

from qkd.quantizers.interval import IntervalQuantizer


def clipping_value(bits: int, signed: bool, tensor: Tensor, rule: str) -> Tensor:
    """The interval that ``rule`` finds for our own quantizer: a positive scalar, no gradient.

    Raises ValueError for a rule other than those of `qkd.quantizers.calibration`.
    """
    quantizer = IntervalQuantizer(bits, signed).to(tensor)
    quantizer.initialise(tensor, rule)
    return quantizer.interval.detach()
