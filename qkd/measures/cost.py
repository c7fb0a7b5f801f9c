"""What a network costs: parameters, bytes, multiply-accumulates and bit operations."""

from typing import Any, cast

import torch
from torch import Tensor, nn

from qkd.measures.macs import layer_macs
from qkd.quantizers.codes import Codes
from qkd.quantizers.layers import QuantizedConv2d, QuantizedLinear
from qkd.quantizers.packed import Integers, Packed, encode
from qkd.quantizers.quantize import quantized_layers
from qkd.quantizers.quantizer import Quantizer
from qkd.records.schema import Cost
from qkd.spec import Bits

FLOAT_BITS = 32
PIXEL_BITS = 8
# torch's own counter of a batch norm's training steps: nothing reads it afterwards.
COUNTER = ".num_batches_tracked"


def cost(network: nn.Module, shape: tuple[int, int, int], bits: Bits | None = None) -> Cost:
    """The cost of a network on images (C, H, W); ``bits``: those that it is named after, None in
    full precision."""
    macs = layer_macs(network, shape)
    layers = dict(quantized_layers(network))
    products = dict.fromkeys(macs, FLOAT_BITS**2)
    products |= {name: _weight_bits(layer) * _input_bits(layer) for name, layer in layers.items()}
    return Cost(
        parameters=sum(
            parameter.numel()
            for name, parameter in network.named_parameters()
            if "_quantizer." not in name
        ),
        packed_bytes=len(encode(as_packed(network))),
        float32_bytes=len(encode(Packed({}, float_tensors(network)))),
        macs=sum(macs.values()),
        bit_operations=sum(count * products[name] for name, count in macs.items()),
        **(_shares(macs, layers, bits) if bits else {}),
    )


def _shares(
    macs: dict[str, int], layers: dict[str, QuantizedConv2d | QuantizedLinear], bits: Bits
) -> dict[str, int]:
    """How many of the multiply-accumulates are at the bits in question, and how many in float."""
    at_bits = [name for name, layer in layers.items() if _is_at(layer, bits)]
    return {
        "macs_at_bits": sum(macs.get(name, 0) for name in at_bits),
        "macs_in_float": sum(count for name, count in macs.items() if name not in layers),
    }


def cost_or_reason(
    network: nn.Module, shape: tuple[int, int, int], bits: Bits | None = None
) -> dict[str, Any]:
    """The ``cost`` of a result, or in ``cost_refused`` why it is not known: whatever a
    user's network or quantizer raises is no reason to lose what was trained.
    """
    try:
        return {"cost": cost(network, shape, bits)}
    except Exception as error:
        return {"cost_refused": f"{type(error).__name__}: {error}"}


def as_packed(network: nn.Module) -> Packed:
    """The network as its packed file holds it.

    The quantized layers' weights are integers; all else that a forward pass in eval mode reads is
    as it is, the input quantizers' parameters among it. Each weight's quantizer is left out: its
    values are the network's own weights already.
    """
    integers = {
        f"{name}.weight": _integers(layer)
        for name, layer in network.named_modules(remove_duplicate=False)
        if isinstance(layer, (QuantizedConv2d, QuantizedLinear))
    }
    tensors = {
        name: tensor
        for name, tensor in network.state_dict().items()
        if name not in integers and ".weight_quantizer." not in name and not name.endswith(COUNTER)
    }
    return Packed(integers, tensors)


def float_tensors(network: nn.Module) -> dict[str, Tensor]:
    """What the network has without its quantizers, by name."""
    return {
        name: tensor
        for name, tensor in network.state_dict().items()
        if "_quantizer." not in name and not name.endswith(COUNTER)
    }


def weight_codes(layer: QuantizedConv2d | QuantizedLinear) -> Codes:
    """The layer's weight as integers."""
    return cast(Quantizer, layer.weight_quantizer).codes(layer.weight)


def bits_of(codes: Codes) -> int:
    """The bits that tell the codes from the lowest to the highest apart."""
    return (codes.highest - codes.lowest).bit_length()


def _integers(layer: QuantizedConv2d | QuantizedLinear) -> Integers:
    codes = weight_codes(layer)
    scale = codes.scale.detach().float().cpu()
    return Integers(
        codes.integers.to(torch.int16),
        bits_of(codes),
        codes.lowest,
        codes.highest,
        scale,
        torch.zeros_like(scale) if codes.offset is None else codes.offset.detach().float().cpu(),
    )


def _is_at(layer: QuantizedConv2d | QuantizedLinear, bits: Bits) -> bool:
    """Whether its weights and inputs have those bits."""
    is_exact = isinstance(layer.input_quantizer, nn.Identity)
    inputs = PIXEL_BITS if is_exact else cast(Quantizer, layer.input_quantizer).bits
    of_both = cast(Quantizer, layer.weight_quantizer).bits, inputs
    return of_both == (bits.weight, bits.activation)


def _weight_bits(layer: QuantizedConv2d | QuantizedLinear) -> int:
    return bits_of(weight_codes(layer))


def _input_bits(layer: QuantizedConv2d | QuantizedLinear) -> int:
    if isinstance(layer.input_quantizer, nn.Identity):
        return PIXEL_BITS
    one = layer.weight.detach().new_zeros(1)  # the bounds are the same whatever is quantized
    return bits_of(cast(Quantizer, layer.input_quantizer).codes(one))
