"""torchvision's networks, quantized: their audit, their cost, and what they are as integers."""

import copy

import pytest
import torch
from torch import nn
from torchvision.ops import StochasticDepth

from qkd.measures.audit import audit
from qkd.measures.cost import as_packed, cost
from qkd.measures.evaluate import answers
from qkd.measures.integer import IntegerLayer, as_integers
from qkd.measures.macs import layer_macs
from qkd.measures.proof import prove
from qkd.models import imagenet
from qkd.quantizers.packed import read, write
from qkd.quantizers.quantize import quantize, quantized_layers, set_intervals
from qkd.spec import Bits, Quantization
from tests.support.imagenet_layers import layers

SHAPE = (3, 64, 64)
# W4A4, but depthwise convolutions at 6 bits where there are some.
BITS = {
    "resnet18": Bits(weight=4, activation=4),
    "mobilenet_v2": Bits(weight=4, activation=4, depthwise=6),
    "efficientnet_b0": Bits(weight=4, activation=4, depthwise=6),
}


def images_of(count, seed):
    return torch.randn(count, *SHAPE, generator=torch.Generator().manual_seed(seed))


def settled(network):
    """In eval mode; its batch norms are those of a batch, so that logits depend on the image."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 1.0
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.uniform_(module.bias, -0.5, 0.5)
        if isinstance(module, StochasticDepth):
            module.p = 0.0  # else the statistics of a network that is never seen again
    with torch.no_grad():
        network.train()(images_of(8, 1).to(next(network.parameters()).dtype))
    return network.eval()


@pytest.fixture(scope="module", params=BITS)
def name(request):
    return request.param


def quantized(name):
    """An untrained quantized network, its intervals and batch norms set."""
    torch.manual_seed(0)
    network = settled(getattr(imagenet, name)(classes=10))
    quantization = Quantization(bits=BITS[name], initial_interval="minmax")
    quantize(network, quantization)
    set_intervals(network, images_of(4, 2), quantization)
    return settled(network).to(memory_format=torch.channels_last)


@pytest.fixture(scope="module")
def network(name):
    """What a test changes of it must be a copy."""
    return quantized(name)


def expected_bits(name):
    """Of each layer: its name, the bits of its weights and of its inputs (None: exact)."""
    rows, bits = layers(name), BITS[name]
    for place, (layer, sees, depthwise) in enumerate(rows):
        own = bits.depthwise if depthwise else bits.weight
        own = bits.edge if place in (0, len(rows) - 1) else own
        yield layer, own, None if sees == "p" else own


def test_the_audit_counts_no_more_levels_than_each_layers_bits(name, network):
    rows = audit(network, images_of(4, 3))
    found = [
        (row.layer, row.weights.bits, row.activations and row.activations.bits) for row in rows
    ]
    assert found == list(expected_bits(name))
    for row in rows:
        for one in (row.weights, row.activations):
            assert one is None or 2 < one.levels <= one.levels_declared, row.layer


def test_run_as_integers_it_says_what_the_float64_network_says(name, network):
    reference, images = copy.deepcopy(network).double(), images_of(4, 4)
    integer = as_integers(reference)
    called = [n.target for n in integer.graph.nodes if n.op == "call_module"]
    kinds = [type(integer.get_submodule(target)) for target in called]
    assert kinds.count(IntegerLayer) == len(layers(name))
    assert not {nn.BatchNorm2d, nn.Conv2d, nn.Linear} & set(kinds)
    with torch.no_grad():
        logits = reference(images.double())
        torch.testing.assert_close(integer(images.double()), logits, rtol=1e-9, atol=1e-9)
    assert float(logits.std(0).min()) > 1e-3  # they do depend on the image


def test_the_proof_is_made_and_holds(network):
    batches = [(images_of(4, seed), torch.zeros(4, dtype=torch.int64)) for seed in (5, 6)]
    proof = prove(network, batches, answers(network, batches).predictions)
    assert (proof.agreement, proof.images) == (1.0, 8)
    assert proof.top1 == proof.top1_reference


def test_a_wrong_code_in_a_depthwise_layer_is_seen():
    reference, images = quantized("mobilenet_v2").double(), images_of(2, 4).double()
    integer = as_integers(reference)
    wrong = next(m for m in integer.modules() if isinstance(m, IntegerLayer) and m.layer.groups > 1)
    with torch.no_grad():
        wrong.weight[0, 0, 1, 1] += 1
        assert float((integer(images) - reference(images)).abs().max()) > 1e-6


def test_the_cost_counts_each_layer_at_its_own_bits(name, network):
    found = cost(network, SHAPE)
    macs = layer_macs(network, SHAPE)
    products = {layer: own * (inputs or 8) for layer, own, inputs in expected_bits(name)}
    assert found.macs == sum(macs.values())
    assert found.bit_operations == sum(macs[layer] * products[layer] for layer in macs)
    original = getattr(imagenet, name)(classes=10)
    assert found.parameters == sum(p.numel() for p in original.parameters())


def test_a_packed_file_gives_the_weights_back(network, tmp_path):
    write(tmp_path / "network", as_packed(network))
    values = read(tmp_path / "network").values()
    for layer_name, layer in quantized_layers(network):
        with torch.no_grad():
            weight = layer.weight_quantizer(layer.weight)
        assert torch.equal(values[f"{layer_name}.weight"], weight), layer_name
