"""QKD in a training loop of one's own. ``import qkd`` has these names, and they stay.

A network goes in, the same network comes back quantized: its layers keep their names and weights,
and train with any optimiser. What the project's own trainer does beyond that (records, schedules,
resuming, proofs) is left to the loop.
"""

from collections.abc import Callable, Sequence
from typing import Any, Literal

import torch
from torch import Tensor, nn

from qkd.export.forms import clipped
from qkd.imports import LOSSES, resolve
from qkd.measures.audit import audit
from qkd.measures.cost import as_packed
from qkd.quantizers import packed
from qkd.quantizers.quantize import interval_parameters, quantized_layers, set_intervals
from qkd.quantizers.quantize import quantize as quantized
from qkd.records.schema import LayerAudit
from qkd.spec import INTERVAL, BitCount, Bits, Phase, Quantization, Recipe, Term
from qkd.spec.value import validated
from qkd.training.step import interval_floors, targets

__all__ = [
    "LayerAudit",
    "audit",
    "calibrate",
    "loss",
    "onnx_bytes",
    "packed_bytes",
    "parameter_groups",
    "positive_intervals",
    "quantize",
]

_RECIPE = Recipe(horizon=1, log_every=1)  # whose rates are the defaults


def quantize(
    network: nn.Module,
    weight_bits: BitCount,
    activation_bits: BitCount,
    *,
    edge_bits: BitCount = 8,
    depthwise_bits: BitCount | None = None,
    quantizer: str = INTERVAL,
) -> nn.Module:
    """The network itself with its convolutions and linear layers quantized; `calibrate` comes next.

    Args:
        network: in float, its trained weights loaded; torch.fx must be able to trace it.
        weight_bits: 2 to 8.
        activation_bits: of each layer's input, 2 to 8.
        edge_bits: of the first and last layer.
        depthwise_bits: of depthwise convolutions; None: as all others.
        quantizer: ``package.module:Class``, one of `baselines` or ours.

    Raises:
        ValueError: bits outside 2 to 8, or a network or quantizer that cannot be
            (`qkd.quantizers.quantize.quantize`).
    """
    bits = Bits(
        weight=weight_bits, activation=activation_bits, edge=edge_bits, depthwise=depthwise_bits
    )
    return quantized(network, validated(Quantization(bits=bits, quantizer=quantizer)))


def calibrate(
    network: nn.Module, images: Tensor, rule: Literal["mse", "minmax"] = "mse"
) -> tuple[LayerAudit, ...]:
    """Gives every quantizer its initial values by the weights and one batch, once, before training.

    Args:
        network: what `quantize` returned.
        images: float32 (batch, channels, height, width), as training sees them.
        rule: the least squared error, or the largest value.

    Returns:
        The bit audit of the same batch.

    Raises:
        AuditFailed: a quantizer does not do what it declares.
        ValueError: another rule, or a network that is not quantized.
    """
    if not any(quantized_layers(network)):
        raise ValueError(f"{type(network).__name__} has no quantized layer: qkd.quantize it first")
    # The quantizers are there already: of the rest only the rule is read.
    quantization = Quantization(bits=Bits(weight=2, activation=2), initial_interval=rule)
    set_intervals(network, images, quantization)
    return audit(network, images)


def parameter_groups(
    network: nn.Module,
    learning_rate: float = _RECIPE.learning_rate,
    *,
    weight_interval_learning_rate: float = _RECIPE.weight_interval_learning_rate,
    activation_interval_learning_rate: float = _RECIPE.activation_interval_learning_rate,
    weight_decay: float = _RECIPE.weight_decay,
) -> list[dict[str, Any]]:
    """The parameters for a torch optimiser: intervals at rates of their own, without decay.

    The defaults are those of the project's recipe, for SGD with momentum 0.9 (`qkd.marks`).
    """
    of_weights, of_activations = interval_parameters(network)
    intervals = of_weights | of_activations
    others = [p for name, p in network.named_parameters() if name not in intervals]
    groups = (
        (others, learning_rate, weight_decay),
        (list(of_weights.values()), weight_interval_learning_rate, 0.0),
        (list(of_activations.values()), activation_interval_learning_rate, 0.0),
    )
    return [
        {"params": parameters, "lr": rate, "weight_decay": decay}
        for parameters, rate, decay in groups
    ]


def positive_intervals(network: nn.Module) -> Callable[[], None]:
    """What is to be called after each step: it raises intervals to 1 % of what they are now.

    Raises ValueError where the network is quantized, but not calibrated.
    """
    quantizers = [
        one
        for _, layer in quantized_layers(network)
        for one in (layer.weight_quantizer, layer.input_quantizer)
        if one.state_dict()
    ]
    if quantizers and all(map(_is_as_made, quantizers)):
        raise ValueError(
            "all quantizers are as they were made: qkd.calibrate the network first, or load a "
            "state in which they were"
        )
    floors = interval_floors(network)
    parameters = dict(network.named_parameters())

    @torch.no_grad()
    def raise_to_floors() -> None:
        for name, floor in floors.items():
            parameters[name].clamp_(min=floor)

    return raise_to_floors


def _is_as_made(quantizer: Any) -> bool:
    made = type(quantizer)(quantizer.bits, quantizer.signed).state_dict()
    return all(torch.equal(one.cpu(), made[name]) for name, one in quantizer.state_dict().items())


def loss(
    of: Phase | Sequence[Term], logits: Tensor, labels: Tensor, peer: Tensor | None = None
) -> Tensor:
    """A phase's loss for the student, or that of some terms.

    Args:
        of: ``SELF_STUDY``, ``CO_STUDY``, ``TUTORING``, or terms (``CO_STUDY.teacher``).
        logits: (batch, classes), of the network that learns.
        labels: (batch), class indices in int64.
        peer: (batch, classes), the other network's; no gradient flows into them.

    Raises ValueError where a term needs the other network's logits and there are none, for a term
    of the weights or of features, which are no functions of logits, and for one whose weight grows
    by steps, which are not counted here.
    """
    total = logits.new_zeros(())
    for term in of.student if isinstance(of, Phase) else of:
        if term.target == "weights":
            raise ValueError(f"{term.loss} is of the weights: call it with the network, and add it")
        if term.target == "features":
            raise ValueError(f"{term.loss} is of features: call it with both networks', and add it")
        if term.ramp:
            raise ValueError(
                f"{term.loss} grows over {term.ramp} steps: give a term without a ramp, of the "
                "weight that weight_at(step) says"
            )
        given = targets(term, labels, None if peer is None else peer.detach())
        if given is None:
            raise ValueError(f"{term.loss} needs the other network's logits: give peer=")
        total = total + term.weight * resolve(term.loss, LOSSES)(logits, *given, **term.options)
    return total


def onnx_bytes(network: nn.Module, shape: tuple[int, int, int]) -> bytes:
    """The network on images (channels, height, width) as an ONNX file, which onnxruntime runs.

    Raises NotExportable where the extra ``export`` is missing, or torch cannot export the network.
    """
    return bytes(clipped.model(network, shape).SerializeToString())


def packed_bytes(network: nn.Module) -> bytes:
    """The network as a packed file: integers of so many bits, and what stays float."""
    return packed.encode(as_packed(network))
