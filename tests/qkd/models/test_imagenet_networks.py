"""torchvision's networks, quantized: which layers, at which bits, with which signs."""

import copy

import pytest
import torch
import torchvision
from torch import nn
from torch.nn import functional
from torchvision.ops import StochasticDepth

from qkd.imports import FACTORIES, resolve
from qkd.models import imagenet
from qkd.quantizers.interval import IntervalQuantizer
from qkd.quantizers.quantize import quantize, quantized_layers, set_intervals
from qkd.quantizers.signs import non_negative_nodes
from qkd.quantizers.tracing import layers_in_order, trace
from qkd.spec import Bits, Quantization
from qkd.training.step import Side
from tests.support.imagenet_layers import TABLES, layers

W2A3 = Bits(weight=2, activation=3)
SMALL = ("resnet18", "mobilenet_v2", "efficientnet_b0")


def shapes_of(name):
    """The network without numbers: its layers, and no memory for their weights."""
    with torch.device("meta"):
        return resolve(f"qkd.models.imagenet:{name}", FACTORIES)()


def quantized_shapes(name, bits):
    with torch.device("meta"):
        return dict(quantized_layers(quantize(shapes_of(name), Quantization(bits=bits))))


def images_of(count=4, seed=1):
    return torch.randn(count, 3, 64, 64, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(scope="module", params=SMALL)
def network(request):
    """A float network in eval mode, its batch norms those of a batch: activations keep their size.

    What a test changes must be a copy.
    """
    torch.manual_seed(0)
    network = getattr(imagenet, request.param)(classes=10)
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    for norm in norms:
        norm.momentum = 1.0
        nn.init.uniform_(norm.weight, 0.2, 1.0)
        nn.init.uniform_(norm.bias, -0.5, 0.5)
    with torch.no_grad():
        network.train()(images_of(8))
    return network.eval()


@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("resnet18", 21),
        ("resnet34", 37),
        ("resnet50", 54),
        ("resnet101", 105),
        ("mobilenet_v2", 53),
        ("efficientnet_b0", 82),
    ],
)
def test_every_layer_is_quantized_with_its_bits_and_its_sign(name, count):
    expected = layers(name)
    assert len(expected) == count
    found = quantized_shapes(name, W2A3)
    assert list(found) == [layer for layer, _, _ in expected]
    for place, (layer, sees, _) in enumerate(expected):
        weights, inputs = found[layer].weight_quantizer, found[layer].input_quantizer
        edge = place in (0, count - 1)
        assert (weights.bits, weights.signed) == (8 if edge else 2, True), layer
        if sees == "p":
            assert type(inputs) is nn.Identity
        else:
            assert (inputs.bits, inputs.signed) == (8 if edge else 3, sees == "s"), layer


@pytest.mark.parametrize("name", TABLES)
def test_no_layer_stays_in_float(name):
    kinds = [type(m) for m in shapes_of(name).modules() if isinstance(m, (nn.Conv2d, nn.Linear))]
    assert set(kinds) == {nn.Conv2d, nn.Linear}
    assert len(kinds) == len(layers(name))


@pytest.mark.parametrize("name", TABLES)
def test_nothing_but_its_layers_goes_through_a_quantizer(name):
    with torch.device("meta"):
        network = quantize(shapes_of(name), Quantization(bits=W2A3))
    quantizers = [m for m in network.modules() if isinstance(m, IntervalQuantizer)]
    assert len(quantizers) == 2 * len(layers(name)) - 1  # the pixels are exact


@pytest.mark.parametrize("name", ["mobilenet_v2", "efficientnet_b0"])
def test_depthwise_convolutions_alone_are_kept_at_bits_of_their_own(name):
    found = quantized_shapes(name, Bits(weight=2, activation=3, depthwise=6))
    rows = layers(name)
    assert sum(depthwise for _, _, depthwise in rows) == {"m": 17, "e": 16}[name[0]]
    for layer, sees, depthwise in rows[1:-1]:
        weights, inputs = found[layer].weight_quantizer, found[layer].input_quantizer
        assert (weights.bits, inputs.bits) == ((6, 6) if depthwise else (2, 3)), layer
        assert inputs.signed == (sees == "s"), layer
    edges = [found[rows[0][0]], found[rows[-1][0]]]
    assert [edge.weight_quantizer.bits for edge in edges] == [8, 8]


def test_bits_for_depthwise_convolutions_need_such_a_convolution():
    with pytest.raises(ValueError, match="ResNet has no depthwise convolution, which W2A3D6 has"):
        quantized_shapes("resnet18", Bits(weight=2, activation=3, depthwise=6))


def test_a_first_or_last_layer_that_is_depthwise_has_the_bits_of_the_edges():
    network = nn.Sequential(
        nn.Conv2d(2, 2, 1, groups=2),
        nn.ReLU(),
        nn.Conv2d(2, 4, 1, groups=2),
        nn.ReLU(),
        nn.Conv2d(4, 4, 1, groups=2),
        nn.Conv2d(4, 4, 1, groups=4),
    )
    quantize(network, Quantization(bits=Bits(weight=2, activation=3, depthwise=6)))
    bits = [layer.weight_quantizer.bits for _, layer in quantized_layers(network)]
    assert bits == [8, 6, 2, 8]  # one of two groups of two channels is not depthwise


@pytest.mark.parametrize("name", TABLES)
def test_signs_do_not_depend_on_the_mode_in_which_the_network_is_traced(name):
    # In training stochastic depth is a call of the graph, in eval mode it is none.
    found = []
    for training in (True, False):
        graph = trace(shapes_of(name).train(training))
        proven = non_negative_nodes(graph)
        calls = layers_in_order(graph, (nn.Conv2d, nn.Linear))
        found.append([(layer, node.all_input_nodes[0] in proven) for layer, node in calls])
    assert found[0] == found[1]


def test_values_have_the_signs_that_were_proven(network):
    """A float layer's input is negative somewhere exactly where it may be."""
    lowest = {}
    network = copy.deepcopy(network)
    for name, module in network.named_modules():
        if isinstance(module, (nn.Conv2d, nn.Linear)):
            module.register_forward_pre_hook(
                lambda _m, inputs, name=name: lowest.__setitem__(name, inputs[0].min().item())
            )
    with torch.no_grad():
        network(images_of())
    name = {"ResNet": "resnet18", "MobileNetV2": "mobilenet_v2", "EfficientNet": "efficientnet_b0"}
    for layer, sees, _ in layers(name[type(network).__name__])[1:]:
        assert (lowest[layer] < 0) == (sees == "s"), layer


def by_the_equation(x, quantizer):
    """I / n * round(n * clip(x / I, -1 or 0, 1)), in float64."""
    if isinstance(quantizer, nn.Identity):
        return x
    n = 2 ** (quantizer.bits - 1) - 1 if quantizer.signed else 2**quantizer.bits - 1
    interval = quantizer.interval.detach()
    return interval / n * (n * (x / interval).clamp(-1.0 if quantizer.signed else 0.0, 1)).round()


def test_each_layer_computes_what_its_own_equation_says(network):
    bits = Quantization(bits=Bits(weight=3, activation=4), initial_interval="minmax")
    network = quantize(copy.deepcopy(network), bits).double()
    set_intervals(network, images_of().double(), bits)
    seen = {}
    for name, layer in quantized_layers(network):
        layer.register_forward_hook(
            lambda _m, inputs, y, name=name: seen.__setitem__(name, (inputs[0].clone(), y.clone()))
        )
    with torch.no_grad():
        network(images_of(2, seed=2).double())
    for name, layer in quantized_layers(network):
        x, y = seen[name]
        x = by_the_equation(x, layer.input_quantizer)
        weight = by_the_equation(layer.weight.detach(), layer.weight_quantizer)
        if isinstance(layer, nn.Conv2d):
            geometry = layer.stride, layer.padding, layer.dilation, layer.groups
            expected = functional.conv2d(x, weight, layer.bias, *geometry)
        else:
            expected = functional.linear(x, weight, layer.bias)
        torch.testing.assert_close(y, expected, rtol=1e-9, atol=1e-9)


def test_a_quantized_one_learns_in_every_layer(network):
    bits = Quantization(bits=Bits(weight=4, activation=4), initial_interval="minmax")
    network = quantize(copy.deepcopy(network), bits).train()
    for module in network.modules():
        if isinstance(module, StochasticDepth):
            module.p = 0.0  # a block that is left out learns nothing
    set_intervals(network, images_of(), bits)
    gradients = gradients_of(network)
    for name, gradient in gradients.items():
        assert gradient is not None, name
        assert bool(gradient.isfinite().all()), name
    assert all(bool(gradients[f"{name}.weight"].any()) for name, _ in quantized_layers(network))
    for _, layer in quantized_layers(network):
        layer.rounds_again = True  # LEAN=1: the same numbers, whatever is done in place
    lean = gradients_of(network)
    assert all(torch.equal(gradients[name], lean[name]) for name in gradients)


def gradients_of(network):
    """The gradient of each parameter, for images and labels that are always the same."""
    network.zero_grad()
    torch.manual_seed(0)  # of dropout
    functional.cross_entropy(network(images_of()), torch.arange(4)).backward()
    return {name: parameter.grad for name, parameter in network.named_parameters()}


@pytest.mark.parametrize("random", [nn.Dropout, StochasticDepth])
def test_dropout_and_stochastic_depth_are_functions_of_seed_and_step(random):
    torch.manual_seed(0)
    network = imagenet.efficientnet_b0(classes=10)
    for module in network.modules():
        if isinstance(module, (nn.Dropout, StochasticDepth)) and not isinstance(module, random):
            module.p = 0.0
    bits = Quantization(bits=Bits(weight=8, activation=8), initial_interval="minmax")
    quantize(network, bits)
    set_intervals(network, images_of(), bits)
    student = Side("student", network, torch.optim.SGD(network.parameters(), lr=0.1))
    logits = [student.forward(images_of(), 5, step).detach() for step in (3, 3, 4)]
    assert torch.equal(logits[0], logits[1])
    assert not torch.equal(logits[0], logits[2])
    teacher = Side("teacher", network)  # frozen: nothing is left out
    assert torch.equal(*[teacher.forward(images_of(), 5, step) for step in (3, 4)])


@pytest.mark.parametrize("name", TABLES)
def test_a_factory_builds_torchvisions_network(name):
    with torch.device("meta"):
        original = getattr(torchvision.models, name)(num_classes=1000).state_dict()
    assert {k: v.shape for k, v in shapes_of(name).state_dict().items()} == {
        k: v.shape for k, v in original.items()
    }
