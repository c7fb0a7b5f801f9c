"""SAWB in its zero-aligned form, IBM's own default: at 2 bits three levels, one of them zero.

Source: Choi, Venkataramani, Srinivasan, Gopalakrishnan, Wang, Chuang: Accurate and Efficient 2-bit
Quantized Neural Networks, MLSys 2019 (SAWB), as IBM's fms-model-optimizer 0.8.7 has it
(`sawb_params_code`, codes 103, 403, 703 and 803).

    alpha = c_1 sqrt(mean w^2) + c_2 mean|w|, of the present weights, at every forward pass
    w_q = alpha / n round(n clip(w / alpha, -1, 1)),  n = 2^(bits - 1) - 1: 2^bits - 1 levels

Marks: coefficients and levels are second-hand (that code); `baselines.pact` has the form with
2^bits levels and none at zero, with other coefficients. For 3, 5 and 6 bits there are none, and
they are refused. No gradient flows through alpha and none to the weights beyond it (second-hand,
likewise). alpha is at least mean|w| (assumed, as in `baselines.pact`; IBM takes the largest weight
where the regression falls below zero).
"""

from typing import ClassVar

import torch
from torch import Tensor

from baselines.pact import PACT
from qkd.quantizers.codes import Codes, uniform_codes
from qkd.quantizers.quantizer import Quantizer, SymmetricQuantizer
from qkd.quantizers.rounding import round_with_offset, widened

COEFFICIENTS = {2: (2.6, -1.71), 4: (12.035, -12.03), 7: (28.24, -30.81), 8: (31.76, -35.04)}


class ZeroAlignedSAWB(SymmetricQuantizer):
    """Statistics-aware weight binning with a level at zero: nothing is learned but the weights.

    Raises:
        ValueError: bits for which no coefficients are known, or what is not signed.
    """

    def __init__(self, bits: int, signed: bool = True) -> None:
        super().__init__(bits, signed)
        if bits not in COEFFICIENTS:
            raise ValueError(
                f"zero-aligned SAWB has coefficients for {list(COEFFICIENTS)} bits, not {bits}"
            )
        if not signed:
            raise ValueError("SAWB is for weights, which are signed")

    @torch.no_grad()
    def clipping(self, weight: Tensor) -> Tensor:
        """The clipping value of these weights, a positive scalar."""
        first, second = COEFFICIENTS[self.bits]
        mean = weight.abs().mean()
        # In float64: MKL's float32 root is rounded by the processor's maker's own approximation.
        root = weight.square().mean().double().sqrt().to(weight.dtype)
        alpha = torch.maximum(first * root + second * mean, mean)
        return alpha.clamp_(min=torch.finfo(weight.dtype).tiny * 2**self.bits)

    def forward(self, x: Tensor) -> Tensor:
        """The quantized and dequantized weights, of x's shape, in float32 (float64 stays)."""
        x = widened(x)
        return round_with_offset(x, self.clipping(x.detach()) / self.steps, -self.steps, self.steps)

    @torch.no_grad()
    def codes(self, x: Tensor) -> Codes:
        """What `forward` returns, as integers."""
        x = widened(x)
        return uniform_codes(x, self.clipping(x) / self.steps, -self.steps, self.steps)


class PACTZero(PACT):
    """PACT of activations beside zero-aligned weights."""

    weights: ClassVar[type[Quantizer]] = ZeroAlignedSAWB
