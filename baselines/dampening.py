"""Oscillation dampening: weights are pulled to the middle of their levels' bins.

Source: Nagel, Fournarakis, Bondarenko, Blankevoort: Overcoming Oscillations in Quantization-Aware
Training, ICML 2022, arXiv 2203.11086, section 4 (oscillation dampening).

    L = |w_q - clip(w, n s, p s)|^2, summed over all quantized layers; no gradient through w_q

n s and p s are the lowest and the highest level: beyond them both are the same, and there is no
pull. The whole is weighed by lambda and added to the loss.

Marks: the section's number is second-hand, as the paper was not at hand. There lambda grows along a
cosine from 0; here it is constant, as a term's weight is (assumed). The first and last layer are
dampened too (assumed). The paper's quantizer is LSQ; here it is whatever the layer has, whose
levels must be in the weights' own unit (DoReFa's and QIL's are not: they are refused).
"""

from typing import cast

import torch
from torch import Tensor, nn

from qkd.quantizers.codes import Codes
from qkd.quantizers.quantize import quantized_layers
from qkd.quantizers.quantizer import Quantizer


def dampening(network: nn.Module) -> Tensor:
    """The sum over the quantized layers, a scalar; its gradient reaches the weights alone.

    Raises ValueError where the network has no quantized layer, or one whose levels are in another
    unit than its weights.
    """
    parts = [_of_layer(name, layer) for name, layer in quantized_layers(network)]
    if not parts:
        raise ValueError("dampening is of quantized weights: the network has none")
    return torch.stack(parts).sum()


def _of_layer(name: str, layer: nn.Module) -> Tensor:
    weight = cast(Tensor, layer.weight)
    codes = cast(Quantizer, layer.weight_quantizer).codes(weight.detach())
    distance = weight - codes.values
    require_own_unit(name, distance.detach(), codes)
    return distance.masked_fill(codes.clipped, 0.0).square().sum()


def require_own_unit(name: str, distance: Tensor, codes: Codes) -> None:
    """Raises ValueError where weights of a layer lie further than a step from their levels."""
    apart = distance.abs() / codes.scale
    if bool((apart[~codes.clipped] > 1).any()):
        raise ValueError(f"the levels of {name} are in another unit than its weights")
