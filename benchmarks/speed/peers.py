"""Other libraries' quantization-aware training, to be measured beside ours on the same network.

Each peer takes a float network and gives it back with 4-bit weights and inputs of its convolutions
and linear layers, the first layer's input excepted, as `quantize` does; the first and last
layer are at 4 bits too, which costs the same. All learn their scales, one for each tensor, and
begin them by a training step's forward pass.
"""

import importlib
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor, fx, nn
from torch.nn import functional

from qkd.quantizers.signs import non_negative_nodes
from qkd.quantizers.tracing import layers_in_order, trace

BITS = 4


class Peer(NamedTuple):
    """A library: ``prepare`` quantizes a float network for a batch of images.

    ``prepare`` takes images (batch, channels, height, width) on the network's device, as it will
    be trained with, and returns the network in train mode, its scales set by them, for an optimiser
    of its ``parameters()``. It raises ValueError for a network that torch.fx cannot trace. The
    network given is used up; that of torchao takes batches of this shape only.
    """

    name: str
    prepare: Callable[[nn.Module, Tensor], nn.Module]


def peers() -> tuple[list[Peer], dict[str, str]]:
    """The peers that are installed, and for each other one why it is skipped."""
    found, skipped = [], {}
    for peer, needs in _PEERS:
        missing = [reason for reason in map(_why_missing, needs) if reason]
        if missing:
            skipped[peer.name] = missing[0]
        else:
            found.append(peer)
    return found, skipped


def _why_missing(needed: str) -> str:
    """Why ``module:name`` cannot be imported; empty where it can."""
    module, _, name = needed.partition(":")
    package = module.partition(".")[0]
    try:
        version = getattr(importlib.import_module(package), "__version__", "of this version")
        found = importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name == package:
            return f"{package} is not installed (make peers)"
        return f"{module} does not import: {error}"
    except Exception as error:  # made for another torch, a library may fail in any way
        return f"{module} does not import: {type(error).__name__}: {error}"
    return "" if hasattr(found, name) else f"{package} {version} has no {name}"


class _Layer(NamedTuple):
    """A layer to quantize. ``signed``: whether its input may be negative; None: it stays exact."""

    name: str
    module: nn.Module
    signed: bool | None


def _layers(network: nn.Module) -> list[_Layer]:
    """The layers in the order in which they are called."""
    graph = trace(network)
    non_negative = non_negative_nodes(graph)
    layers: list[_Layer] = []
    for name, node in layers_in_order(graph, (nn.Conv2d, nn.Linear)):
        signed = node.all_input_nodes[0] not in non_negative if layers else None
        layers.append(_Layer(name, network.get_submodule(name), signed))
    return layers


class LearnedStep(nn.Module):
    """The common interface of the two quantizers written here: a step that begins as LSQ's.

    Args:
        signed: whether the tensor has negative values: codes -8 to 7, otherwise 0 to 15.

    Attributes:
        step: the parameter, of one element, in the tensor's own unit.
    """

    def __init__(self, signed: bool) -> None:
        super().__init__()
        self.lowest = -(2 ** (BITS - 1)) if signed else 0
        self.highest = self.lowest + 2**BITS - 1
        self.step = nn.Parameter(torch.ones(1))

    @torch.no_grad()
    def begin(self, x: Tensor) -> None:
        """Step 2 mean|x| / sqrt(highest), of a tensor such as it will quantize."""
        self.step.copy_(2 * x.abs().mean() / math.sqrt(self.highest))

    def gradient_scale(self, x: Tensor) -> float:
        """LSQ's factor on the step's gradient, N being the number of elements."""
        return 1 / math.sqrt(x.numel() * self.highest)


class PublishedLSQ(LearnedStep):
    """LSQ in plain autograd, the form that most repositories publish (Esser et al. 2019)."""

    def forward(self, x: Tensor) -> Tensor:
        """The quantized and dequantized tensor."""
        scaled = self.step * self.gradient_scale(x)
        step = (self.step - scaled).detach() + scaled
        codes = (x / step).clamp(self.lowest, self.highest)
        return ((codes.round() - codes).detach() + codes) * step


class TorchLearnable(LearnedStep):
    """torch's own kernel for a learned step; for signed tensors its gradient is not LSQ's."""

    zero_point: Tensor

    def __init__(self, signed: bool) -> None:
        super().__init__(signed)
        self.register_buffer("zero_point", torch.zeros(1))

    def forward(self, x: Tensor) -> Tensor:
        """The quantized and dequantized tensor."""
        rounded: Tensor = torch._fake_quantize_learnable_per_tensor_affine(
            x, self.step, self.zero_point, self.lowest, self.highest, self.gradient_scale(x)
        )
        return rounded


class _Convolution(nn.Conv2d):
    input_quantizer: nn.Module
    weight_quantizer: nn.Module

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 (torch's own name)
        weight = self.weight_quantizer(self.weight)
        output: Tensor = self._conv_forward(self.input_quantizer(input), weight, self.bias)
        return output


class _Linear(nn.Linear):
    input_quantizer: nn.Module
    weight_quantizer: nn.Module

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 (torch's own name)
        weight = self.weight_quantizer(self.weight)
        return functional.linear(self.input_quantizer(input), weight, self.bias)


def _with(quantizer: type[LearnedStep]) -> Callable[[nn.Module, Tensor], nn.Module]:
    """The peer that quantizes each tensor by this class, and nothing around it."""

    def prepare(network: nn.Module, images: Tensor) -> nn.Module:
        for _, layer, signed in _layers(network):
            layer.__class__ = _Convolution if isinstance(layer, nn.Conv2d) else _Linear
            layer.weight_quantizer = quantizer(True)
            layer.input_quantizer = nn.Identity() if signed is None else quantizer(signed)
        network.to(images.device)
        steps = [module for module in network.modules() if isinstance(module, LearnedStep)]
        hooks = [step.register_forward_pre_hook(_begin) for step in steps]
        with torch.no_grad():
            network.train()(images)
        for hook in hooks:
            hook.remove()
        return network

    return prepare


def _begin(step: nn.Module, inputs: tuple[Tensor]) -> None:
    if isinstance(step, LearnedStep):
        step.begin(*inputs)


def _by_brevitas(network: nn.Module, images: Tensor) -> nn.Module:
    """Its 8-bit quantizers at 4 bits, the weights' scales parameters as the inputs' are."""
    for name, layer, signed in _layers(network):
        network.set_submodule(name, _brevitas_layer(layer, signed))
    network.to(images.device).train()  # its scales are made on the CPU
    with torch.no_grad():
        network(images)  # collects the inputs' statistics,
        network(images)  # which become the parameters
    return network


def _brevitas_layer(layer: nn.Module, signed: bool | None) -> nn.Module:
    """Its layer with this one's parameters."""
    from brevitas.nn import QuantConv2d, QuantLinear
    from brevitas.quant import (
        Int8ActPerTensorFloat,
        Int8WeightPerTensorFloat,
        Uint8ActPerTensorFloat,
    )

    options: dict[str, Any] = {
        "bias": layer.bias is not None,
        "weight_quant": Int8WeightPerTensorFloat,
        "weight_bit_width": BITS,
        "weight_scaling_impl_type": "parameter_from_stats",
    }
    if signed is not None:
        options |= {
            "input_quant": Int8ActPerTensorFloat if signed else Uint8ActPerTensorFloat,
            "input_bit_width": BITS,
            "input_collect_stats_steps": 1,
        }
    if isinstance(layer, nn.Conv2d):
        kept = ("stride", "padding", "dilation", "groups", "padding_mode")
        options |= {name: getattr(layer, name) for name in kept}
        made = QuantConv2d(layer.in_channels, layer.out_channels, layer.kernel_size, **options)
    else:
        made = QuantLinear(layer.in_features, layer.out_features, **options)
    made.weight, made.bias = layer.weight, layer.bias
    module: nn.Module = made
    return module


def _by_torchao(network: nn.Module, images: Tensor) -> nn.Module:
    """Its flow for exported graphs, in its own ways: a batch norm is folded into the weight that is
    rounded, inputs have a zero point, and one that goes into two layers is rounded once.

    The zero points stay as they begin: the kernel refuses one that a step takes out of bounds.
    """
    from torchao.quantization.pt2e import allow_exported_model_train_eval, enable_range_learning
    from torchao.quantization.pt2e.quantize_pt2e import prepare_qat_pt2e

    graph = torch.export.export(network.train(), (images,)).module()
    prepared: Any = prepare_qat_pt2e(graph, _annotator())
    with torch.no_grad():
        prepared(images)  # the scales become parameters when they first see a tensor
    prepared.apply(enable_range_learning)
    for name, parameter in prepared.named_parameters():
        parameter.requires_grad_(not name.endswith(".zero_point"))
    module: nn.Module = allow_exported_model_train_eval(prepared)
    return module


def _annotator() -> Any:
    """Says to torchao what is quantized, and how."""
    from torchao.quantization.pt2e import LearnableFakeQuantize, MinMaxObserver
    from torchao.quantization.pt2e.quantizer import QuantizationAnnotation, QuantizationSpec
    from torchao.quantization.pt2e.quantizer import Quantizer as Annotator

    learned = LearnableFakeQuantize.with_args(observer=MinMaxObserver, use_grad_scaling=True)
    weight = QuantizationSpec(torch.int8, learned, -8, 7, torch.per_tensor_symmetric)
    activation = QuantizationSpec(torch.uint8, learned, 0, 15, torch.per_tensor_affine)

    class Annotated(Annotator):  # type: ignore[misc]
        def annotate(self, model: fx.GraphModule) -> fx.GraphModule:
            layers = (torch.ops.aten.conv2d.default, torch.ops.aten.linear.default)
            calls = [node for node in model.graph.nodes if node.target in layers]
            for place, node in enumerate(calls):
                inputs = {node.args[0]: activation if place else None, node.args[1]: weight}
                node.meta["quantization_annotation"] = QuantizationAnnotation(inputs)
            return model

        def validate(self, model: fx.GraphModule) -> None:
            pass

    return Annotated()


_PEERS: tuple[tuple[Peer, tuple[str, ...]], ...] = (
    (Peer("LSQ as commonly published", _with(PublishedLSQ)), ()),
    (
        Peer("torch's own", _with(TorchLearnable)),
        ("torch:_fake_quantize_learnable_per_tensor_affine",),
    ),
    (Peer("brevitas", _by_brevitas), ("brevitas.nn:QuantConv2d",)),
    (
        Peer("torchao, pt2e", _by_torchao),
        (
            "torchao.quantization.pt2e:LearnableFakeQuantize",
            "torchao.quantization.pt2e.quantize_pt2e:prepare_qat_pt2e",
        ),
    ),
)
