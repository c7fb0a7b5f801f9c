import copy

import pytest
import torch
from torch import nn

from qkd.models.resnet_cifar import resnet
from qkd.quantizers.calibration import least_squares_interval
from qkd.quantizers.interval import IntervalQuantizer
from qkd.quantizers.quantize import (
    interval_parameters,
    quantize,
    quantized_layers,
    set_intervals,
)
from qkd.spec import Bits, Quantization
from tests.support import small

W3A4 = Quantization(bits=Bits(weight=3, activation=4))
MINMAX = Quantization(bits=Bits(weight=2, activation=2), initial_interval="minmax")


def network_of(depth=8):
    torch.manual_seed(0)
    return resnet(depth, width=4, channels=1, classes=10)


def images_of(count=8):
    return torch.randn(count, 1, 16, 16, generator=torch.Generator().manual_seed(1))


def test_every_layer_of_a_cifar_resnet_by_name():
    network = quantize(network_of(14), W3A4)
    found = {
        name: (layer.weight_quantizer.bits, layer.weight_quantizer.signed, layer.input_quantizer)
        for name, layer in quantized_layers(network)
    }
    inner = [f"layer{g}.{b}.conv{c}" for g in (1, 2, 3) for b in (0, 1) for c in (1, 2)]
    assert list(found) == ["conv1", *inner, "linear"]
    assert found["conv1"][:2] == (8, True)
    assert type(found["conv1"][2]) is nn.Identity  # the pixels, exact
    for name in inner:
        weight_bits, weight_signed, inputs = found[name]
        assert (weight_bits, weight_signed) == (3, True), name
        assert (inputs.bits, inputs.signed) == (4, False), name  # after ReLU, or a sum's ReLU
    assert found["linear"][:2] == (8, True)
    assert (found["linear"][2].bits, found["linear"][2].signed) == (8, False)  # pooled ReLU


def test_the_edges_have_their_own_bits():
    network = quantize(network_of(), Quantization(bits=Bits(weight=2, activation=2, edge=5)))
    layers = dict(quantized_layers(network))
    assert layers["conv1"].weight_quantizer.bits == 5
    assert layers["linear"].weight_quantizer.bits == layers["linear"].input_quantizer.bits == 5


def test_nothing_but_convolutions_and_linear_layers_is_quantized():
    network = quantize(network_of(), W3A4)
    names = {name.rpartition(".")[0] for name, _ in quantized_layers(network)}
    others = [m for m in network.modules() if isinstance(m, (nn.BatchNorm2d, nn.ReLU))]
    assert names == {"", "layer1.0", "layer2.0", "layer3.0"}
    assert all(not hasattr(m, "weight_quantizer") for m in others)


def test_a_float_networks_state_fits_the_quantized_one():
    original = network_of()
    network = quantize(network_of(), W3A4)
    torch.nn.init.zeros_(network.conv1.weight)
    missing, unexpected = network.load_state_dict(original.state_dict(), strict=False)
    assert unexpected == []
    assert all(name.endswith("_quantizer.interval") for name in missing)
    # 8 weights, 8 inputs less the exact first
    assert len(missing) == 15
    assert torch.equal(network.conv1.weight, original.conv1.weight)


def test_the_quantized_network_computes_with_quantized_inputs_and_weights():
    network = quantize(network_of(), small.W2A2).eval()
    set_intervals(network, images_of(), small.W2A2)
    layer = network.layer2[0].conv1
    seen = {}
    layer.register_forward_hook(lambda _m, inputs, output: seen.update(x=inputs[0], y=output))
    network(images_of())
    n, interval = 3, layer.input_quantizer.interval
    x = interval / n * (n * (seen["x"] / interval).clamp(0, 1)).round()
    interval = layer.weight_quantizer.interval
    weight = interval * (layer.weight / interval).clamp(-1, 1).round()
    torch.testing.assert_close(
        seen["y"], nn.functional.conv2d(x, weight, stride=2, padding=1), rtol=1e-4, atol=1e-5
    )


@torch.no_grad()
def least_squares(bits, signed, tensor):
    return least_squares_interval(IntervalQuantizer(bits, signed), tensor).item()


def error(tensor, interval, bits, signed):
    n = 2 ** (bits - 1) - 1 if signed else 2**bits - 1
    codes = (n * (tensor / interval).clamp(-1.0 if signed else 0.0, 1)).round()
    return (interval / n * codes - tensor).square().sum().item()


@pytest.mark.parametrize("bits", [2, 3, 4, 8])
@pytest.mark.parametrize("signed", [True, False])
def test_the_initial_interval_is_near_the_best_of_a_brute_force_search(bits, signed):
    generator = torch.Generator().manual_seed(bits)
    tensor = torch.randn(4000, generator=generator, dtype=torch.float64)
    tensor = tensor if signed else tensor.relu()
    found = least_squares(bits, signed, tensor.float())
    high = tensor.abs().max().item()
    candidates = [high * (i + 1) / 4000 for i in range(4000)]
    best = min(error(tensor, c, bits, signed) for c in candidates)
    # The coarse grid may choose the neighbouring dip: a few per cent of the error at most.
    assert error(tensor, found, bits, signed) <= 1.02 * best


def test_two_bits_of_a_normal_distribution_begin_at_1_22_sigma():
    # Three levels (-I, 0, I), thresholds I / 2: the best I satisfies I = E[|x| : |x| > I / 2],
    # which for a unit normal is 1.224 (Max 1960, table I, N = 3).
    tensor = torch.randn(2**17, generator=torch.Generator().manual_seed(0))
    found = least_squares(2, True, tensor)
    assert found == pytest.approx(1.224, abs=0.02)


def test_a_large_tensor_is_searched_by_a_sample():
    tensor = torch.randn(2**20, generator=torch.Generator().manual_seed(0))
    whole = least_squares(2, True, tensor[: 2**18])
    assert least_squares(2, True, tensor) == pytest.approx(whole, rel=0.02)


def test_a_tensor_of_zeros_leaves_a_positive_interval():
    for quantization in (small.W2A2, MINMAX):
        network = quantize(network_of(), quantization)
        nn.init.zeros_(network.linear.weight)
        set_intervals(network, torch.zeros(4, 1, 16, 16), quantization)
        weights, activations = interval_parameters(network)
        assert all(p > 0 for p in (weights | activations).values())
        assert network.linear.weight_quantizer.interval == 1


def test_minmax_is_the_largest_absolute_value():
    network = quantize(network_of(), MINMAX).eval()
    inputs = {}
    network.linear.register_forward_pre_hook(lambda _m, args: inputs.update(x=args[0]))
    original = network_of().eval()
    original.linear.register_forward_pre_hook(lambda _m, args: inputs.update(float=args[0]))
    original(images_of())
    set_intervals(network, images_of(), MINMAX)
    assert network.linear.weight_quantizer.interval == network.linear.weight.abs().max()
    assert network.linear.input_quantizer.interval == inputs["float"].max()


@pytest.mark.parametrize("training", [True, False])
def test_calibration_leaves_all_but_the_intervals_as_it_was(training):
    network = quantize(network_of(), small.W2A2).train(training)
    before = copy.deepcopy(network.state_dict())
    images = images_of()
    kept = images.clone()
    set_intervals(network, images, small.W2A2)
    after = network.state_dict()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    weights, activations = interval_parameters(network)
    assert changed == set(weights | activations)
    assert network.training == training
    assert torch.equal(images, kept)
    hooked = [m for m in network.modules() if m._forward_hooks or m._forward_pre_hooks]
    assert hooked == []
    assert all(p.requires_grad and p.grad is None for p in network.parameters())


class Overwriting(nn.Module):
    """Its ReLU writes into what the first branch has seen."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(1, 2, 1)
        self.branch = nn.Conv2d(2, 2, 1)
        self.relu = nn.ReLU(inplace=True)
        self.last = nn.Conv2d(2, 2, 1)

    def forward(self, x):
        x = self.stem(x)
        return self.last(self.branch(x) + self.relu(x))


def test_calibration_sees_inputs_before_a_later_layer_overwrites_them():
    torch.manual_seed(0)
    network = Overwriting()
    with torch.no_grad():
        network.stem.weight[:] = 1.0
        network.stem.bias[:] = -10.0
    quantize(network, MINMAX)
    images = torch.linspace(0, 1, 16).view(1, 1, 4, 4)
    set_intervals(network, images, MINMAX)
    assert network.branch.input_quantizer.signed
    assert network.branch.input_quantizer.interval == 10


class Own(nn.Conv2d):
    pass


def test_a_subclass_of_a_convolution_is_refused():
    network = nn.Sequential(Own(1, 2, 1), nn.ReLU(), nn.Conv2d(2, 2, 1))
    with pytest.raises(ValueError, match="layer 0 is a Own, a subclass that cannot be quantized"):
        quantize(network, W3A4)


def test_a_quantized_network_is_not_quantized_again():
    with pytest.raises(ValueError, match="layer conv1 is a QuantizedConv2d"):
        quantize(quantize(network_of(), W3A4), W3A4)


def test_one_layer_is_not_enough():
    with pytest.raises(ValueError, match="has 1 convolutions and linear layers"):
        quantize(nn.Sequential(nn.Conv2d(1, 2, 1), nn.ReLU()), W3A4)


def test_the_parameters_of_all_quantizers_are_found_by_their_side():
    network = quantize(network_of(), W3A4)
    weights, activations = interval_parameters(network)
    assert len(weights) == 8
    assert len(activations) == 7
    assert all(".weight_quantizer." in name for name in weights)
    others = [n for n, _ in network.named_parameters() if n not in weights | activations]
    assert sorted(others) == sorted(n for n, _ in network_of().named_parameters())
