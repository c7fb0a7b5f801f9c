"""What a quantizer is: ours, or a class of one's own with the same methods."""

import pytest
import torch

from qkd.imports import load_file
from qkd.measures.audit import audit
from qkd.models.resnet_cifar import resnet
from qkd.quantizers.interval import IntervalQuantizer
from qkd.quantizers.quantize import quantize, quantized_layers, set_intervals
from qkd.spec import Bits, Quantization

OWN = '''
import torch
from torch import nn

from qkd.quantizers.codes import uniform_codes
from qkd.quantizers.interval import IntervalQuantizer
from qkd.quantizers.quantizer import Quantizer


class Duck(nn.Module):
    """No class of ours above it."""

    def __init__(self, bits, signed):
        super().__init__()
        self.bits, self.signed = bits, signed
        self.register_buffer("step", torch.ones(()))

    @property
    def levels(self):
        return 2**self.bits

    @torch.no_grad()
    def initialise(self, tensor, rule):
        self.step.copy_(tensor.abs().max() / 2 ** (self.bits - 1))

    def codes(self, x):
        lowest = -(2 ** (self.bits - 1)) if self.signed else 0
        return uniform_codes(x, self.step, lowest, lowest + self.levels - 1)

    def forward(self, x):
        return self.codes(x.detach()).values + (x - x.detach())


class Heir(IntervalQuantizer):
    """A subclass that shares a layer's rounding."""


class Bare(Quantizer):
    """The base class and the least that it asks for."""

    def codes(self, x):
        return uniform_codes(x, x.new_full((), 0.1), 0, self.levels - 1)

    def forward(self, x):
        return self.codes(x.detach()).values + (x - x.detach())


class MuteDuck(nn.Module):
    def __init__(self, bits, signed):
        super().__init__()


class MuteHeir(Quantizer):
    pass
'''


def quantization_of(name):
    return Quantization(bits=Bits(weight=2, activation=3), quantizer=name)


@pytest.fixture
def own(user_file):
    """The module of a user's file with quantizers of his own."""
    return load_file(user_file("quantizers_of_my_own.py", OWN))


@pytest.mark.parametrize("name", ["Duck", "Heir", "Bare"])
def test_a_class_of_ones_own_quantizes_and_trains(own, name):
    torch.manual_seed(0)
    quantization = quantization_of(f"quantizers_of_my_own:{name}")
    network = quantize(resnet(8, width=4), quantization)
    images = torch.randn(4, 3, 16, 16)
    set_intervals(network, images, quantization)
    network(images).square().mean().backward()
    kind = getattr(own, name)
    for _, layer in quantized_layers(network):
        assert type(layer.weight_quantizer) is kind
        assert bool(layer.weight.grad.isfinite().all())
    for layer in audit(network, images):
        assert layer.weights.levels <= layer.weights.levels_declared <= 2**8


@pytest.mark.parametrize("name", ["MuteDuck", "MuteHeir"])
@pytest.mark.usefixtures("own")
def test_a_class_without_codes_is_refused_by_its_name(name):
    with pytest.raises(ValueError, match=rf"the quantizer {name} has no method codes\(x\)"):
        quantize(resnet(8, width=4), quantization_of(f"quantizers_of_my_own:{name}"))


@pytest.mark.parametrize(("bits", "signed", "steps"), [(2, True, 1), (8, True, 127), (3, False, 7)])
def test_symmetric_steps_by_hand(bits, signed, steps):
    quantizer = IntervalQuantizer(bits, signed)
    assert quantizer.steps == steps
    assert quantizer.levels == (2 * steps + 1 if signed else steps + 1)
    assert repr(quantizer) == f"IntervalQuantizer(bits={bits}, signed={signed})"
