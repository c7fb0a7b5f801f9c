"""The forms `packed` and `safetensors`: files of tensors, which only this project's code runs."""

from torch import Tensor, nn

from qkd.measures.cost import as_packed
from qkd.quantizers.packed import Packed, encode


def packed(network: nn.Module) -> bytes:
    """Weights at their true width (`qkd.quantizers.packed`)."""
    return encode(as_packed(network))


def safetensors(state: dict[str, Tensor]) -> bytes:
    """Float weights and the quantizers' parameters, as they are."""
    return encode(Packed({}, state))
