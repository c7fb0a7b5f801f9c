"""Sums of products of whole numbers are exact in every layer's fastest type."""

import copy

import pytest
import torch
from torch import nn
from torch.nn import functional

from qkd.measures.integer import IntegerLayer
from qkd.measures.products import product_of
from tests.qkd.measures.test_integer import inputs_of, layer_of

LAYERS = {
    "3x3": nn.Conv2d(8, 16, 3, padding=1, bias=False),
    "3x3 stride 2": nn.Conv2d(16, 8, 3, 2, 1, bias=False),
    "1x1": nn.Conv2d(24, 8, 1, bias=False),
    "1x1 stride 2": nn.Conv2d(16, 16, 1, 2, bias=False),
    "depthwise": nn.Conv2d(24, 24, 3, 1, 1, groups=24, bias=False),
    "depthwise stride 2": nn.Conv2d(24, 24, 5, 2, 2, groups=24, bias=False),
    "groups": nn.Conv2d(16, 8, 3, padding=1, groups=4, bias=False),
    "wide": nn.Conv2d(64, 64, 3, padding=1, bias=False),
    "reflected": nn.Conv2d(8, 8, 3, padding=1, padding_mode="reflect", bias=False),
    "linear": nn.Linear(48, 10, bias=False),
}


@pytest.mark.parametrize("bits", [2, 4, 8])
@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("name", LAYERS)
def test_products_are_those_of_true_integers(name, bits, signed):
    layer = layer_of(copy.deepcopy(LAYERS[name]), weight_bits=bits, bits=bits, signed=signed)
    layer.weight_quantizer.interval.mul_(0.2)  # many codes at the ends: large sums
    whole = IntegerLayer("one", layer)
    _, _, _, lowest, highest = layer.input_quantizer.codes(torch.zeros(1).double())
    generator = torch.Generator().manual_seed(1)
    codes = torch.randint(lowest, highest + 1, inputs_of(layer).shape, generator=generator)
    codes[0], codes[1] = highest, lowest
    got = product_of(whole, lowest, highest)(codes.double())
    assert torch.equal(got.long(), int64_product(layer, whole.weight.long(), codes))


def int64_product(layer, weight, codes):
    """The layer's product in true integers."""
    if isinstance(layer, nn.Linear):
        return codes @ weight.T
    pad, mode = layer.padding[0], layer.padding_mode
    padded = functional.pad(
        codes.double(), (pad,) * 4, mode="constant" if mode == "zeros" else mode
    ).long()
    windows = padded.unfold(2, layer.kernel_size[0], layer.stride[0])
    windows = windows.unfold(3, layer.kernel_size[1], layer.stride[1])
    groups = zip(windows.chunk(layer.groups, 1), weight.chunk(layer.groups, 0), strict=True)
    return torch.cat([torch.einsum("bcyxij,ocij->boyx", x, w) for x, w in groups], 1)
