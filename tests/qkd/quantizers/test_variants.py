"""Our quantizer with one choice made otherwise, by hand and against another implementation."""

import math

import pytest
import torch

from qkd.models.resnet_cifar import resnet
from qkd.quantizers.interval import IntervalQuantizer
from qkd.quantizers.layers import round_layer
from qkd.quantizers.quantize import quantize, quantized_layers, set_intervals
from qkd.quantizers.variants import FullWeightLevels, ScaledGradient
from qkd.spec import Bits, Quantization

FullLevels = FullWeightLevels.weights
ScaledWeights = ScaledGradient.weights


def with_interval(kind, bits, signed, interval):
    quantizer = kind(bits, signed).double()
    with torch.no_grad():
        quantizer.interval.fill_(interval)
    return quantizer


def test_full_levels_at_two_bits_by_hand():
    # Interval 0.5, n = 1: levels -1, -0.5, 0, 0.5.
    quantizer = with_interval(FullLevels, 2, True, 0.5)
    x = torch.tensor([-3.0, -0.8, -0.7, -0.3, -0.2, 0.2, 0.3, 4.0], dtype=torch.float64)
    expected = [-1.0, -1.0, -0.5, -0.5, 0.0, 0.0, 0.5, 0.5]
    assert quantizer(x).tolist() == expected
    assert quantizer.levels == 4


@pytest.mark.parametrize("bits", [2, 3, 4, 8])
def test_full_levels_are_all_of_them(bits):
    quantizer = with_interval(FullLevels, bits, True, 0.7)
    n = 2 ** (bits - 1) - 1
    found = quantizer(torch.linspace(-3, 3, 10_001, dtype=torch.float64)).unique()
    expected = torch.arange(-n - 1, n + 1, dtype=torch.float64) * (0.7 / n)
    assert torch.allclose(found, expected, atol=1e-12)
    assert len(found) == quantizer.levels == 2**bits


@pytest.mark.parametrize("bits", [2, 3, 4])
def test_the_gradient_of_full_levels_is_that_of_the_equation(bits):
    # Another implementation: the equation itself by autograd, the rounding straight through.
    n = 2 ** (bits - 1) - 1
    quantizer = with_interval(FullLevels, bits, True, 0.6)
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(500, generator=generator, dtype=torch.float64, requires_grad=True)
    upstream = torch.randn(500, generator=generator, dtype=torch.float64)
    quantizer(x).backward(upstream)
    other = x.detach().clone().requires_grad_()
    interval = torch.tensor(0.6, dtype=torch.float64, requires_grad=True)
    clipped = (other * n / interval).clamp(-n - 1, n)
    rounded = clipped + (clipped.round() - clipped).detach()
    (interval / n * rounded).backward(upstream)
    assert torch.allclose(x.grad, other.grad, rtol=0, atol=1e-12)
    assert quantizer.interval.grad.item() == pytest.approx(interval.grad.item(), rel=1e-10)


def test_unsigned_inputs_are_quantized_as_ever():
    x = torch.rand(100, dtype=torch.float64)
    for bits in (2, 4):
        ours = with_interval(IntervalQuantizer, bits, False, 0.6)
        assert torch.equal(with_interval(FullLevels, bits, False, 0.6)(x), ours(x))
        assert with_interval(FullLevels, bits, False, 0.6).levels == ours.levels


@pytest.mark.parametrize("bits", [2, 4])
def test_full_levels_begin_with_the_least_squared_error(bits):
    x = torch.randn(4000, generator=torch.Generator().manual_seed(2))
    quantizer = FullLevels(bits, True)
    quantizer.initialise(x, "mse")
    best = quantizer.interval.item()
    with torch.no_grad():
        error = (quantizer(x) - x).square().sum()
        for factor in (0.9, 0.97, 1.03, 1.1):
            quantizer.interval.fill_(best * factor)
            assert (quantizer(x) - x).square().sum() >= error


@pytest.mark.parametrize(("bits", "signed"), [(2, True), (2, False), (4, True), (4, False)])
def test_the_scaled_gradient_is_ours_times_the_factor_and_nothing_else_changes(bits, signed):
    generator = torch.Generator().manual_seed(3)
    x = torch.randn(5, 8, 3, 3, generator=generator, dtype=torch.float64)
    upstream = torch.randn(x.shape, generator=generator, dtype=torch.float64)
    n = 2 ** (bits - 1) - 1 if signed else 2**bits - 1
    found = {}
    for kind, elements in ((IntervalQuantizer, None), (ScaledGradient, 72), (ScaledWeights, 360)):
        quantizer = with_interval(kind, bits, signed, 0.6)
        point = x.clone().requires_grad_()
        output = quantizer(point)
        output.backward(upstream)
        factor = 1 if elements is None else 1 / math.sqrt(elements * n)
        found[kind] = (output.detach(), point.grad, quantizer.interval.grad / factor)
    for kind in (ScaledGradient, ScaledWeights):
        for one, other in zip(found[kind], found[IntervalQuantizer], strict=True):
            assert torch.allclose(one, other, rtol=1e-12, atol=0)


@pytest.mark.parametrize("kind", [FullWeightLevels, ScaledGradient])
def test_a_layer_gives_the_same_gradients_as_its_two_quantizers(kind):
    generator = torch.Generator().manual_seed(4)
    x = torch.randn(6, 10, generator=generator, dtype=torch.float64).relu()
    weight = torch.randn(7, 10, generator=generator, dtype=torch.float64)
    upstream = torch.randn(6, 7, generator=generator, dtype=torch.float64)
    gradients = []
    for together in (True, False):
        of_x = with_interval(kind, 3, False, 0.9)
        of_weight = with_interval(kind.weights, 3, True, 1.2)
        a, w = x.clone().requires_grad_(), weight.clone().requires_grad_()
        if together:
            x_hat, w_hat = round_layer(a, of_x, w, of_weight)
        else:
            x_hat, w_hat = of_x(a), of_weight(w)
        (x_hat @ w_hat.T).backward(upstream)
        gradients.append((a.grad, w.grad, of_x.interval.grad, of_weight.interval.grad))
    for one, other in zip(*gradients, strict=True):
        assert torch.allclose(one, other, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(
    ("name", "of_weights"),
    [("FullWeightLevels", FullLevels), ("ScaledGradient", ScaledWeights)],
)
def test_a_network_is_quantized_by_it(name, of_weights):
    quantization = Quantization(
        bits=Bits(weight=2, activation=2), quantizer=f"qkd.quantizers.variants:{name}"
    )
    network = quantize(resnet(8, width=4), quantization)
    images = torch.randn(8, 3, 16, 16)
    set_intervals(network, images, quantization)
    network(images).square().mean().backward()
    for _, layer in quantized_layers(network):
        assert type(layer.weight_quantizer) is of_weights
        assert bool(layer.weight_quantizer.interval.grad.isfinite())
    inner = dict(quantized_layers(network))["layer1.0.conv2"]
    levels = inner.weight_quantizer(inner.weight).unique()
    assert len(levels) == (4 if name == "FullWeightLevels" else 3)
