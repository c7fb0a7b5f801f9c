"""Other libraries' quantization-aware training, to be measured beside ours on the same network.

Each peer takes a float network and gives it back with 4-bit weights and inputs of its convolutions
and linear layers, the first layer's input excepted, as `quantize` does; the first and last
layer are at 4 bits too, which costs the same. All have one scale for each tensor, begin it by a
training step's forward pass, and learn it, modelopt excepted.
"""

import importlib
import math
import warnings
from collections.abc import Callable
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor, fx, nn

from benchmarks.speed.optional_peers import by_mct, by_modelopt, by_nncf
from benchmarks.speed.peer_layers import BITS, layers_of, with_quantizers


class Peer(NamedTuple):
    """A library: ``prepare`` quantizes a float network for a batch of images.

    ``prepare`` takes images (batch, channels, height, width) on the network's device, as it will
    be trained with, and returns the network in train mode, its scales set by them, for an optimiser
    of its ``parameters()``. It raises ValueError for a network that torch.fx cannot trace. The
    network given is used up; that of torchao takes batches of this shape only. ``learns``: its
    scales are parameters.
    """

    name: str
    prepare: Callable[[nn.Module, Tensor], nn.Module]
    learns: bool = True


def peers() -> tuple[list[Peer], dict[str, str]]:
    """The peers that are installed, and for each other one why it is skipped."""
    found, skipped = [], {}
    for peer, needs in _PEERS:
        missing = [reason for reason in map(_why_missing, needs) if reason]
        if missing:
            skipped[peer.name] = missing[0]
        else:
            found.append(peer)
    return found, skipped | LEFT_OUT


def _why_missing(needed: str) -> str:
    """Why ``module:name`` cannot be imported; empty where it can."""
    module, _, name = needed.partition(":")
    package = module.partition(".")[0]
    try:
        with warnings.catch_warnings(action="ignore"):  # of what they would like to have beside
            version = getattr(importlib.import_module(package), "__version__", "of this version")
            found = importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name == package:
            how = "benchmarks/speed/README.md says how" if package in BY_HAND else "make peers"
            return f"{package} is not installed ({how})"
        return f"{module} does not import: {error}"
    except Exception as error:  # made for another torch, a library may fail in any way
        return f"{module} does not import: {type(error).__name__}: {error}"
    return "" if hasattr(found, name) else f"{package} {version} has no {name}"


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


def _learned(quantizer: type[LearnedStep]) -> Callable[[nn.Module, Tensor], nn.Module]:
    return with_quantizers(quantizer, lambda step, x: cast(LearnedStep, step).begin(x))


def _by_brevitas(network: nn.Module, images: Tensor) -> nn.Module:
    """Its 8-bit quantizers at 4 bits, the weights' scales parameters as the inputs' are."""
    for name, layer, signed in layers_of(network):
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
    (Peer("LSQ as commonly published", _learned(PublishedLSQ)), ()),
    (
        Peer("torch's own", _learned(TorchLearnable)),
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
    (
        Peer("modelopt", by_modelopt, learns=False),
        ("modelopt.torch.quantization.nn:TensorQuantizer",),
    ),
    (Peer("nncf", by_nncf), ("nncf.torch.quantization.layers:SymmetricQuantizer",)),
    (
        Peer("MCT", by_mct),
        (
            "model_compression_toolkit.trainable_infrastructure.pytorch.quantizer_utils:"
            "symmetric_lsq_quantizer",
        ),
    ),
)
BY_HAND = ("modelopt", "nncf", "model_compression_toolkit")
LEFT_OUT = {
    "aimet": "aimet-torch 2.42.0 needs bokeh, holoviews and cvxpy to import",
    "quark": "amd-quark 0.13 needs transformers to import, and asks for an older onnx than ours",
    "fms-mo": "fms-model-optimizer 0.8.7 needs transformers, and is made for torch below 2.14",
}
