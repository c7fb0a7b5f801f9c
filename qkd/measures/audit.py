"""The bit audit: how many levels each quantized layer really sees, counted and not believed."""

from collections.abc import Callable
from typing import cast

import torch
from msgspec.structs import replace
from torch import Tensor, nn

from qkd.models.layout import laid_out
from qkd.quantizers.codes import TOLERANCE
from qkd.quantizers.quantize import quantized_layers
from qkd.quantizers.quantizer import Quantizer
from qkd.records.schema import LayerAudit, QuantizedTensor


class AuditFailed(ValueError):
    """A quantizer does not do what it declares."""


class _Count:
    """What one quantizer was seen to do with one or more tensors."""

    def __init__(self, module: nn.Module, where: str) -> None:
        self.module, self.quantizer = module, cast(Quantizer, module)
        self.name = f"{type(module).__name__} of {where}"
        self.levels: set[float] = set()
        self.clipped = self.elements = 0
        self.lowest = 0.0
        declared, bits = self.quantizer.levels, self.quantizer.bits
        if not 2 <= declared <= 2**bits:
            raise AuditFailed(f"{self.name} declares {declared} levels, which is not {bits} bits")

    def add(self, x: Tensor, output: Tensor) -> None:
        """Counts a tensor and what the quantizer made of it. Raises AuditFailed."""
        self.levels.update(torch.unique(output).tolist())
        if len(self.levels) > self.quantizer.levels:
            raise AuditFailed(
                f"{self.name} gave {len(self.levels)} distinct values, where it declares "
                f"{self.quantizer.levels} levels ({self.quantizer.bits} bits)"
            )
        codes = self.quantizer.codes(x)
        apart = float(((output - codes.values).abs() / codes.scale).amax()) if x.numel() else 0.0
        if not apart <= TOLERANCE:  # NaN is not
            raise AuditFailed(
                f"{self.name}: codes(x) is up to {apart:.3g} steps away from what forward(x) "
                "returns: a quantizer that overrides the one must override the other"
            )
        self.clipped += int(codes.clipped.sum())
        self.elements += x.numel()
        self.lowest = min(self.lowest, float(x.amin())) if x.numel() else self.lowest

    def found(self) -> QuantizedTensor:
        """What was counted."""
        return QuantizedTensor(
            bits=self.quantizer.bits,
            signed=self.quantizer.signed,
            learned=learned(self.module),
            levels=len(self.levels),
            levels_declared=self.quantizer.levels,
            clipped=self.clipped / self.elements if self.elements else 0.0,
        )

    def found_of_inputs(self) -> QuantizedTensor:
        """What was counted, and whether a sign is called for."""
        is_idle = self.quantizer.signed and self.elements > 0 and self.lowest >= 0
        return replace(self.found(), never_negative=is_idle)


def learned(quantizer: nn.Module) -> dict[str, float]:
    """The scalars that a quantizer learns, by name."""
    parameters = quantizer.named_parameters()
    return {name: float(p.detach()) for name, p in parameters if p.numel() == 1}


@torch.inference_mode()
def audit(network: nn.Module, images: Tensor) -> tuple[LayerAudit, ...]:
    """What each quantized layer's quantizers do with its weights and with one batch.

    Args:
        network: quantized; its mode is left as it was, the batch is seen in eval mode.
        images: float32 (batch, channels, height, width).

    Returns:
        One for each layer; without ``activations`` the first, which sees the exact image.

    Raises:
        AuditFailed: more levels than declared, or than the bits can tell apart; or codes that are
            not what the network computes with. It names the layer.
    """
    layers = dict(quantized_layers(network))
    inputs = {
        name: _Count(layer.input_quantizer, f"the inputs of {name}")
        for name, layer in layers.items()
        if not isinstance(layer.input_quantizer, nn.Identity)
    }
    hooks = [count.module.register_forward_hook(_counting(count)) for count in inputs.values()]
    was_training = network.training
    try:
        network.eval()(laid_out(network, images))
    finally:
        network.train(was_training)
        for hook in hooks:
            hook.remove()
    rows = []
    for name, layer in layers.items():
        weights = _Count(layer.weight_quantizer, f"the weights of {name}")
        weights.add(layer.weight, layer.weight_quantizer(layer.weight))
        activations = inputs[name].found_of_inputs() if name in inputs else None
        rows.append(LayerAudit(layer=name, weights=weights.found(), activations=activations))
    return tuple(rows)


def _counting(count: _Count) -> Callable[[nn.Module, tuple[Tensor], Tensor], None]:
    def hook(_quantizer: nn.Module, inputs: tuple[Tensor], output: Tensor) -> None:
        count.add(inputs[0], output)

    return hook
