"""What a network costs, against values worked out by hand."""

import pytest
import torch
from torch import nn

from benchmarks.pairs import cifar_resnet
from qkd.measures.cost import Cost, as_packed, cost, cost_or_reason
from qkd.measures.macs import count, layer_macs
from qkd.models.resnet_cifar import resnet
from qkd.quantizers.packed import read, write
from qkd.quantizers.quantize import quantize, quantized_layers, set_intervals
from qkd.spec import Bits, Quantization

SHAPE = (1, 8, 8)
W2A3 = Bits(weight=2, activation=3)
QUANTIZERS = [
    "qkd.quantizers:IntervalQuantizer",
    "baselines.lsq:LSQ",
    "baselines.lsq_plus:LSQPlus",
    "baselines.pact:PACT",
    "baselines.dorefa:DoReFa",
    "baselines.qil:QIL",
    "baselines.tqt:TQT",
]


def small():
    """Three layers: 3x3 to 4 channels on 8x8, the same again on 4x4, then 64 numbers to 10."""
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1, bias=False),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(4, 4, 3, padding=1, groups=2, bias=False),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(64, 10),
    )


def quantized(network, bits=W2A3, quantizer=QUANTIZERS[0], shape=SHAPE):
    quantization = Quantization(bits=bits, quantizer=quantizer)
    network = quantize(network, quantization)
    images = torch.randn(8, *shape, generator=torch.Generator().manual_seed(1))
    set_intervals(network, images, quantization)
    network(images)  # the batch norms have seen something
    return network.eval(), images


MACS = {"0": 8 * 8 * 4 * 9, "4": 4 * 4 * 4 * 2 * 9, "8": 64 * 10}
PARAMETERS = 36 + 8 + 72 + 8 + 650


def test_macs_of_each_layer_by_hand_and_nothing_is_left_behind():
    network = small().train()
    assert layer_macs(network, SHAPE) == MACS
    assert network.training
    assert int(network[1].num_batches_tracked) == 0
    assert not any(module._forward_hooks for module in network.modules())


def test_a_layer_that_is_called_twice_counts_twice():
    layer = nn.Linear(6, 6)
    assert layer_macs(nn.Sequential(nn.Flatten(), layer, layer), (1, 2, 3)) == {"1": 72}


@pytest.mark.parametrize("depth", [8, 20])
def test_macs_of_a_resnet_are_those_of_the_formula(depth):
    priced = cifar_resnet(depth, width=4, channels=3, classes=10, size=32)
    assert count(priced.network, (3, 32, 32)) == priced.macs


def test_full_precision_costs_32_bits_everywhere_and_its_float_file():
    found = cost(small(), SHAPE)
    assert found.parameters == PARAMETERS
    assert found.macs == sum(MACS.values())
    assert found.bit_operations == 32 * 32 * sum(MACS.values())
    assert found.packed_bytes == found.float32_bytes
    assert 0 < found.float32_bytes - 4 * (PARAMETERS + 2 * 8) < 1000  # running means; the header


@pytest.mark.parametrize("edge", [8, 4])
def test_bit_operations_have_each_layers_own_bits_and_8_for_pixels(edge):
    network, _ = quantized(small(), Bits(weight=2, activation=3, edge=edge))
    found = cost(network, SHAPE)
    assert found.parameters == PARAMETERS
    assert found.macs == sum(MACS.values())
    assert found.bit_operations == (
        edge * 8 * MACS["0"] + 2 * 3 * MACS["4"] + edge * edge * MACS["8"]
    )


@pytest.mark.parametrize("quantizer", QUANTIZERS)
def test_every_quantizer_has_the_bits_that_it_was_built_with(quantizer):
    for bits in (Bits(weight=2, activation=3), Bits(weight=4, activation=8)):
        network, _ = quantized(small(), bits, quantizer)
        expected = 64 * MACS["0"] + bits.weight * bits.activation * MACS["4"] + 64 * MACS["8"]
        assert cost(network, SHAPE).bit_operations == expected


def test_packed_bytes_are_those_of_the_file_and_fall_with_the_bits(tmp_path):
    sizes = {}
    for bits in (2, 3, 4):
        network, _ = quantized(resnet(8, 16, 1), Bits(weight=bits, activation=8))
        write(tmp_path / "file", as_packed(network))
        sizes[bits] = cost(network, SHAPE).packed_bytes
        assert sizes[bits] == (tmp_path / "file").stat().st_size
    layers = list(quantized_layers(network))[1:-1]
    inner = sum(layer.weight.numel() for _, layer in layers)
    for bits in (2, 3):
        assert sizes[bits + 1] - sizes[bits] == pytest.approx(inner / 8, abs=8 * len(layers))
    assert sizes[2] < cost(resnet(8, 16, 1), SHAPE).packed_bytes / 6


def test_the_bytes_do_not_depend_on_the_weights():
    sizes = set()
    for seed in range(3):
        torch.manual_seed(seed)
        sizes.add(cost(quantized(resnet(8, 4, 1))[0], SHAPE))
    assert len(sizes) == 1
    assert isinstance(sizes.pop(), Cost)


@pytest.mark.parametrize("quantizer", QUANTIZERS)
def test_the_file_holds_what_the_network_computes_with(tmp_path, quantizer):
    network, images = quantized(resnet(8, 4, 1), W2A3, quantizer)
    expected = network(images)
    write(tmp_path / "file", as_packed(network))
    fresh = quantize(resnet(8, 4, 1), Quantization(bits=W2A3, quantizer=quantizer))
    for _, layer in quantized_layers(fresh):
        layer.weight_quantizer = nn.Identity()
    missing, unexpected = fresh.load_state_dict(read(tmp_path / "file").values(), strict=False)
    assert unexpected == []
    assert all(name.endswith("num_batches_tracked") for name in missing)
    # To the bit, save where a quantizer divides by a whole number (QIL).
    tolerance = 1e-5 if quantizer.endswith("QIL") else 0
    torch.testing.assert_close(fresh.eval()(images), expected, rtol=tolerance, atol=tolerance)


def test_a_module_under_two_names_is_packed_under_both():
    network, _ = quantized(small())
    network.add_module("again", network[4])
    content = as_packed(network)
    assert torch.equal(content.integers["again.weight"].codes, content.integers["4.weight"].codes)
    assert "again.weight" not in content.tensors


def test_a_network_whose_cost_cannot_be_told_says_why():
    network = nn.Sequential(nn.Flatten(), nn.Linear(4, 2))
    assert cost_or_reason(network, (1, 2, 2)) == {"cost": cost(network, (1, 2, 2))}
    network.register_buffer("coarse", torch.zeros(1, dtype=torch.bfloat16))  # no file holds it
    refused = cost_or_reason(network, (1, 2, 2))
    assert list(refused) == ["cost_refused"]
    assert refused["cost_refused"].startswith("TypeError: ")


def test_a_layer_that_sees_no_batch_first_counts_all_that_it_computes():
    class Places(nn.Module):
        def __init__(self):
            super().__init__()
            self.linear = nn.Linear(3, 7)

        def forward(self, x):
            return self.linear(x.permute(0, 2, 3, 1).reshape(-1, 3))

    assert layer_macs(Places(), (3, 8, 8)) == {"linear": 64 * 3 * 7}


class Attention(nn.Module):
    """Its own attention: four linear layers, and two products of activations."""

    def __init__(self):
        super().__init__()
        self.query, self.key, self.value, self.out = (nn.Linear(8, 8) for _ in range(4))

    def forward(self, x):
        q, k, v = (
            layer(x).view(-1, 16, 2, 4).transpose(1, 2)
            for layer in (self.query, self.key, self.value)
        )
        mixed = nn.functional.scaled_dot_product_attention(q, k, v)
        return self.out(mixed.transpose(1, 2).flatten(2))


class Tokens(nn.Module):
    """16 tokens of 8 numbers, and something that mixes them."""

    def __init__(self, inner, call=lambda inner, x: inner(x)):
        super().__init__()
        self.first, self.head = nn.Conv2d(1, 8, 2, 2), nn.Linear(8, 10)
        self.inner, self.call = inner, call

    def forward(self, x):
        x = self.first(x).flatten(2).transpose(1, 2)
        return self.head(self.call(self.inner, x).mean(1))


def first_of(inner, x):
    return inner(x)[0]


STEM = 16 * 8 * 4
PRODUCTS = 2 * 16 * 16 * 8  # of queries with keys, and of their weights with values


@pytest.mark.parametrize(
    ("network", "between"),
    [
        (Tokens(Attention()), PRODUCTS),
        (Tokens(nn.GRU(8, 8, batch_first=True), first_of), 16 * 2 * 3 * 64),
        (Tokens(nn.LSTM(8, 8, batch_first=True), first_of), 16 * 2 * 4 * 64),
        (Tokens(nn.GRUCell(8, 8), lambda cell, x: cell(x[:, 0])[:, None]), 2 * 3 * 64),
        (
            Tokens(nn.MultiheadAttention(8, 2, batch_first=True), lambda m, x: m(x, x, x)[0]),
            16 * 4 * 64 + PRODUCTS,
        ),
        (Tokens(nn.Bilinear(8, 8, 8), lambda m, x: m(x[:, 0], x[:, 1])[:, None]), 8 * 8 * 8),
        (Tokens(nn.Identity(), lambda _, x: x @ x.transpose(1, 2) @ x), PRODUCTS),
        (Tokens(nn.Identity(), lambda _, x: x * (x @ torch.ones(8))[..., None]), 16 * 8),
    ],
)
def test_what_is_multiplied_beside_the_layers_is_counted(network, between):
    found = layer_macs(network, SHAPE)
    assert found[""] == between
    assert found["first"] == STEM
    assert found["head"] == 80


def test_an_encoders_layers_are_counted_too():
    network = Tokens(nn.TransformerEncoderLayer(8, 2, 32, batch_first=True))
    total = STEM + 80 + 16 * (4 * 64 + 2 * 8 * 32) + PRODUCTS
    assert sum(layer_macs(network, SHAPE).values()) == total
    assert torch.backends.mha.get_fastpath_enabled()


def test_the_share_at_the_bits_and_the_share_in_float():
    bits = Bits(weight=2, activation=3)
    network, _ = quantized(Tokens(Attention()), bits)
    found = cost(network, SHAPE, bits)
    inner = 16 * 4 * 64
    assert found.macs == STEM + inner + PRODUCTS + 80
    assert found.macs_at_bits == inner
    assert found.macs_in_float == PRODUCTS
    assert found.bit_operations == 64 * STEM + 6 * inner + 1024 * PRODUCTS + 64 * 80
    assert cost(network, SHAPE).macs_at_bits is None


def test_what_is_kept_in_float_is_in_no_layers_bits():
    quantization = Quantization(bits=W2A3, in_float=("inner.query",))
    network = quantize(Tokens(Attention()), quantization)
    found = cost(network, SHAPE, W2A3)
    assert found.macs_at_bits == 16 * 3 * 64
    assert found.macs_in_float == PRODUCTS + 16 * 64


def test_a_resnets_share_is_all_but_its_edges():
    network, _ = quantized(resnet(8, 4, 1))
    found = cost(network, SHAPE, W2A3)
    macs = layer_macs(network, SHAPE)
    assert found.macs_at_bits == found.macs - macs["conv1"] - macs["linear"]
    assert found.macs_in_float == 0


def test_exact_pixels_are_8_bits():
    for bits in (Bits(weight=8, activation=8), Bits(weight=4, activation=4, edge=4)):
        network, _ = quantized(small(), bits)
        left = 0 if bits.activation == 8 else MACS["0"]  # 4-bit weights on 8-bit pixels
        assert cost(network, SHAPE, bits).macs_at_bits == sum(MACS.values()) - left
