"""LSQ+: LSQ with a learned offset for activations, and other initial values.

Source: Bhalgat, Lee, Nagel, Blankevoort, Kwak: LSQ+: Improving low-bit quantization through
learnable offsets and better initialization, CVPR workshops 2020, arXiv 2004.09576, section 3
(quantizer, gradients, initial values).

    x_bar = round(clip((x - beta) / s, n, p)),  x_hat = s x_bar + beta
    d x_hat / d s    = x_bar - (x - beta) / s inside, n below, p above
    d x_hat / d beta = 0 inside, 1 outside

Activations: n = 0, p = 2^bits - 1 (the paper's configuration 4: unsigned, with offset), whatever
their sign. s and beta begin where ||x_hat - x||^2 is least ("mse"), or at beta = min x,
s = (max x - min x) / (p - n) ("minmax"): both are the paper's. Weights: LSQ without an offset,
s beginning at max(|mean - 3 sigma|, |mean + 3 sigma|) / 2^(bits - 1).

Marks: the gradients of s and of beta are both scaled as LSQ's (second-hand: the implementations
do so); the search of the least squared error is ours (assumed: the paper descends by gradient).
"""

from typing import ClassVar

import torch
from torch import Tensor, nn

from baselines.lsq import LSQ, LSQWeights
from qkd.quantizers.codes import Codes, uniform_codes
from qkd.quantizers.quantizer import Quantizer, require_rule
from qkd.quantizers.rounding import round_with_offset, widened

ELEMENTS = 2**16
CANDIDATES = 32
WIDTHS = (1.0, 1.0, 0.1, 0.1)


class LSQPlusWeights(LSQWeights):
    """LSQ's weights with the initial value of LSQ+.

    Attributes:
        interval: the step s, a positive scalar parameter.
    """

    @torch.no_grad()
    def initialise(self, tensor: Tensor, rule: str) -> None:
        """Step max(|mean - 3 sigma|, |mean + 3 sigma|) / 2^(bits - 1), whatever the rule."""
        require_rule(rule)
        values = widened(tensor)
        step = (values.mean().abs() + 3 * values.std(correction=0)) / 2 ** (self.bits - 1)
        self.interval.copy_(torch.where(step > 0, step, torch.ones_like(step)))


class LSQPlus(LSQ):
    """LSQ+ of activations: 2^bits levels from the offset up.

    Attributes:
        interval: the step s, a positive scalar parameter.
        offset: beta, a scalar parameter in the tensor's own unit.
    """

    weights: ClassVar[type[Quantizer]] = LSQPlusWeights

    def __init__(self, bits: int, signed: bool) -> None:
        super().__init__(bits, signed)
        self.offset = nn.Parameter(torch.zeros(()))

    @property
    def lowest(self) -> int:
        """The lowest code, the paper's n."""
        return 0

    @torch.no_grad()
    def initialise(self, tensor: Tensor, rule: str) -> None:
        """Step and offset of the range that the rule finds."""
        require_rule(rule)
        flat = widened(tensor).flatten()
        low, high = flat.min().item(), flat.max().item()
        if rule == "mse":
            low, high = self._least_squares(flat[:: max(1, flat.numel() // ELEMENTS)], low, high)
        self._begin(low, high)

    def _least_squares(self, flat: Tensor, lowest: float, highest: float) -> tuple[float, float]:
        """The range with the least squared error: each end in turn is moved towards the mean."""
        mean = flat.mean().item()
        lower, upper = 1.0, 1.0  # shares of the way from the mean to the lowest and highest value
        for width in WIDTHS:
            shares = [width * (2 * i / CANDIDATES - 1) for i in range(CANDIDATES + 1)]

            def error(lower: float, upper: float) -> float:
                self._begin(mean + lower * (lowest - mean), mean + upper * (highest - mean))
                return float((self(flat) - flat).square().sum())

            uppers = [min(max(upper + share, 0.0), 1.0) for share in shares]
            upper = min(uppers, key=lambda share: error(lower, share))
            lowers = [min(max(lower + share, 0.0), 1.0) for share in shares]
            lower = min(lowers, key=lambda share: error(share, upper))
        return mean + lower * (lowest - mean), mean + upper * (highest - mean)

    def _begin(self, low: float, high: float) -> None:
        """Step and offset whose levels go from low to high."""
        self.interval.fill_((high - low) / self.highest if high > low else 1.0)
        self.offset.fill_(low)

    def forward(self, x: Tensor) -> Tensor:
        """The quantized and dequantized tensor, of x's shape, in float32 (float64 stays)."""
        return round_with_offset(
            widened(x),
            self.interval,
            0,
            self.highest,
            offset=self.offset,
            gradient_scale=self.gradient_scale(x),
        )

    @torch.no_grad()
    def codes(self, x: Tensor) -> Codes:
        """What `forward` returns, as integers."""
        return uniform_codes(widened(x), self.interval, 0, self.highest, self.offset)
