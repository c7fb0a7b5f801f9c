"""Iterative freezing: weights that oscillate between levels are frozen to one of them.

Source: Nagel, Fournarakis, Bondarenko, Blankevoort: Overcoming Oscillations in Quantization-Aware
Training, ICML 2022, arXiv 2203.11086, section 4 (iterative weight freezing, Algorithm 1).

    w_int: a weight's code, after each step
    o = 1 where w_int changed, and in the direction opposite to that of its change before; else 0
    f = m o + (1 - m) f, from 0: the frequency of its oscillations
    where f > f_th: frozen, for the rest of the phase, to round(a)
    a = m w_int + (1 - m) a, from the first w_int: the code's average

A frozen weight is set to its level after each step, whatever gradient and momentum made of it: its
code stays while the scale goes on learning.

Marks: the section's number is second-hand, as the paper was not at hand. So are, from the authors'
published code: m = 0.01; f_th falling from 0.1 along a cosine to 0.01 (theirs for 4 bits of
MobileNetV2; 0.011 for 3); that a weight is frozen to its average before the step's own code enters
it; and that layers of more than 4 bits (here the edges) are left alone. That 2 bits take the values
of 4 is assumed. Codes are looked at after each step, theirs in the next forward pass: the same
codes. The paper's quantizer is LSQ; here it is whatever the layer has, whose levels must be in the
weights' own unit and must not follow the weights (those of DoReFa, QIL, SAWB are refused).
"""

import math
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn

from baselines.dampening import require_own_unit
from qkd.quantizers.quantize import quantized_layers
from qkd.quantizers.quantizer import Quantizer


class _Seen(NamedTuple):
    """Of each weight of a layer, in the weight's type: its code, the sign of the code's last change
    (0: none yet), the frequency of its oscillations, and the code's average; and whether it is
    frozen to its code (bool)."""

    code: Tensor
    direction: Tensor
    frequency: Tensor
    average: Tensor
    frozen: Tensor


class IterativeFreezing:
    """Freezes weights of a quantized network (a `qkd.training.hooks.AfterStep`).

    Args:
        network: as it begins: calibrated.
        threshold: of the frequency, at the run's first step.
        final: of the frequency, at its last step; a cosine leads there.
        momentum: m, above 0 and at most 1.
        max_bits: layers whose weights have more are left alone.

    Raises:
        ValueError: no layer has so few bits, the levels of one are in another unit than its weights
            or follow them, or a value is out of its range.
    """

    def __init__(
        self,
        network: nn.Module,
        threshold: float = 0.1,
        final: float = 0.01,
        momentum: float = 0.01,
        max_bits: int = 4,
    ) -> None:
        if not (threshold > 0 and final > 0 and 0 < momentum <= 1):
            raise ValueError(
                f"freezing by thresholds {threshold} to {final} and momentum {momentum}: they must "
                "be positive, and the momentum at most 1"
            )
        self._threshold, self._final, self._momentum = threshold, final, momentum
        self._layers: dict[str, nn.Module] = {
            name: layer
            for name, layer in quantized_layers(network)
            if cast(Quantizer, layer.weight_quantizer).bits <= max_bits
        }
        if not self._layers:
            raise ValueError(f"freezing is of weights of {max_bits} bits or fewer: there are none")
        self._seen = {name: _begun(name, layer) for name, layer in self._layers.items()}

    def __call__(self, done: float) -> None:
        """Looks at the codes, freezes what oscillates, and sets what is frozen to its level."""
        threshold = self._final + (self._threshold - self._final) * (
            (1 + math.cos(math.pi * done)) / 2
        )
        for name, layer in self._layers.items():
            self._seen[name] = _after(layer, self._seen[name], threshold, self._momentum)

    def state_dict(self) -> dict[str, Tensor]:
        """What was seen of each weight, by layer and quantity."""
        return {
            f"{name}.{quantity}": tensor
            for name, seen in self._seen.items()
            for quantity, tensor in seen._asdict().items()
        }

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Takes it up again. Raises ValueError where it is of another network."""
        if list(state) != list(self.state_dict()):
            raise ValueError("what iterative freezing has seen is of other layers than these")
        for name, tensor in self.state_dict().items():
            tensor.copy_(state[name])

    def frozen(self) -> dict[str, Tensor]:
        """By layer, which weights are frozen: bool, of the weight's shape."""
        return {name: seen.frozen for name, seen in self._seen.items()}


@torch.no_grad()
def _begun(name: str, layer: nn.Module) -> _Seen:
    """Nothing has oscillated yet. Raises ValueError where a frozen weight would not stay."""
    weight, quantizer = cast(Tensor, layer.weight), cast(Quantizer, layer.weight_quantizer)
    codes = quantizer.codes(weight)
    require_own_unit(name, weight - codes.values, codes)
    again = quantizer.codes(codes.values)
    stays = torch.equal(again.integers, codes.integers) and torch.equal(again.scale, codes.scale)
    if not stays:
        raise ValueError(f"the levels of {name} follow its weights: frozen ones would not stay")
    zero, integers = torch.zeros_like(codes.positions), codes.integers
    return _Seen(integers, zero, zero.clone(), integers.clone(), zero.bool())


@torch.no_grad()
def _after(layer: nn.Module, seen: _Seen, threshold: float, m: float) -> _Seen:
    """What is seen after a step; the layer's frozen weights are set."""
    weight, quantizer = cast(Tensor, layer.weight), cast(Quantizer, layer.weight_quantizer)
    codes = quantizer.codes(weight)
    code = torch.where(seen.frozen, seen.code, codes.integers)
    change = (code - seen.code).sign()
    oscillated = (change * seen.direction == -1).to(code.dtype)
    frequency = m * oscillated + (1 - m) * seen.frequency
    average = m * code + (1 - m) * seen.average
    freezes = (frequency > threshold) & ~seen.frozen
    code = torch.where(freezes, seen.average.round(), code)
    frozen = seen.frozen | freezes
    weight.copy_(torch.where(frozen, codes._replace(positions=code).values, weight))
    direction = torch.where(change == 0, seen.direction, change)
    return _Seen(code, direction, frequency, average, frozen)
