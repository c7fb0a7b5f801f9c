"""DoReFa: weights normalised by tanh, activations clipped to [0, 1]; no parameter is learned.

Source: Zhou, Wu, Ni, Zhou, Wen, Zou: DoReFa-Net: Training Low Bitwidth Convolutional Neural
Networks with Low Bitwidth Gradients, arXiv 1606.06160, sections 2.2 to 2.4 (quantize_k, weights,
activations).

    quantize_k(r) = round((2^k - 1) r) / (2^k - 1), its derivative taken as 1
    weights:     w_q = 2 quantize_k(tanh(w) / (2 max|tanh(w)|) + 1 / 2) - 1
    activations: x_q = quantize_k(clip(x, 0, 1))

The weights' gradient goes through tanh and through the maximum, as the formula stands. The weights'
2^bits levels lie in [-1, 1], none of them zero: a layer loses its scale, which batch norm makes
good, except in a last layer that has none. Gradients stay in float (the paper's G = 32).

Mark: signed activations are x_q = 2 quantize_k((clip(x, -1, 1) + 1) / 2) - 1, 2^bits levels
(assumed: the paper has none).
"""

from typing import ClassVar

import torch
from torch import Tensor

from qkd.quantizers.codes import Codes, uniform_codes
from qkd.quantizers.quantizer import Quantizer
from qkd.quantizers.rounding import round_with_offset, widened


class DoReFaWeights(Quantizer):
    """DoReFa's weights: 2^bits levels in [-1, 1], whatever ``signed``."""

    def forward(self, x: Tensor) -> Tensor:
        """The quantized weights, of x's shape, in float32 (float64 stays)."""
        normalised, step, offset = self._levels_of(x)
        steps = self.levels - 1
        # The ends, 1 and -1, lie within the rounded bounds: no gradient is lost.
        return round_with_offset(normalised, step, 0, steps, offset=offset, rounded_bounds=True)

    @torch.no_grad()
    def codes(self, x: Tensor) -> Codes:
        """What `forward` returns, as integers; nothing is ever clipped."""
        normalised, step, offset = self._levels_of(x)
        return uniform_codes(normalised, step, 0, self.levels - 1, offset)

    def _levels_of(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The weights within [-1, 1], the distance of two levels, and the lowest level."""
        bent = widened(x).tanh()
        tiny = torch.finfo(bent.dtype).tiny
        normalised = bent / bent.abs().max().clamp(min=tiny)
        step = normalised.new_full((), 2 / (self.levels - 1))
        return normalised, step, normalised.new_full((), -1.0)


class DoReFa(Quantizer):
    """DoReFa's activations: 2^bits levels in [0, 1], or in [-1, 1] where signed."""

    weights: ClassVar[type[Quantizer]] = DoReFaWeights

    def forward(self, x: Tensor) -> Tensor:
        """The quantized tensor, of x's shape, in float32 (float64 stays)."""
        x = widened(x)
        step, offset = self._levels_like(x)
        return round_with_offset(x, step, 0, self.levels - 1, offset=offset)

    @torch.no_grad()
    def codes(self, x: Tensor) -> Codes:
        """What `forward` returns, as integers."""
        x = widened(x)
        step, offset = self._levels_like(x)
        return uniform_codes(x, step, 0, self.levels - 1, offset)

    def _levels_like(self, x: Tensor) -> tuple[Tensor, Tensor | None]:
        """The distance of two levels and the lowest level (None: 0), in x's type."""
        step = x.new_full((), (2.0 if self.signed else 1.0) / (self.levels - 1))
        return step, x.new_full((), -1.0) if self.signed else None
