"""The audit counts levels, and fails a quantizer that does not do what it declares."""

import msgspec
import pytest
import torch
from torch import nn

from qkd.measures.audit import AuditFailed, audit
from qkd.quantizers.interval import IntervalQuantizer
from qkd.quantizers.quantize import quantize, quantized_layers
from qkd.spec import Bits, Quantization
from tests.support.quantized import PATHS, Unusual, images_of, network_of

W2A2 = Quantization(bits=Bits(weight=2, activation=2))


def by_hand():
    """Two 1x1 convolutions: the image is 4 pixels, and what the second sees is 1.0 of each."""
    network = nn.Sequential(nn.Conv2d(1, 1, 1, bias=False), nn.ReLU(), nn.Conv2d(1, 4, 1))
    nn.init.ones_(network[0].weight)
    quantize(network, Quantization(bits=Bits(weight=2, activation=2, edge=2)))
    network[2].weight.data.copy_(torch.tensor([0.9, -0.2, 0.1, 0.4]).view(4, 1, 1, 1))
    network[2].weight_quantizer.interval.data.fill_(0.5)
    network[2].input_quantizer.interval.data.fill_(3.0)
    return network


def test_a_layer_by_hand():
    # Weights / 0.5: 1.8 (clipped), -0.4, 0.2, 0.8: codes 1, 0, 0, 1. Inputs 0.2, 1.2, 2.9, 4
    # (clipped) in steps of 1: codes 0, 1, 3, 3.
    images = torch.tensor([0.2, 1.2, 2.9, 4.0]).view(4, 1, 1, 1)
    first, second = msgspec.to_builtins(audit(by_hand(), images))
    assert first == {
        "layer": "0",
        "weights": {
            "bits": 2,
            "signed": True,
            "learned": {"interval": 1.0},
            "levels": 1,
            "levels_declared": 3,
            "clipped": 0.0,
        },
        "activations": None,
    }
    assert second == {
        "layer": "2",
        "weights": {
            "bits": 2,
            "signed": True,
            "learned": {"interval": 0.5},
            "levels": 2,
            "levels_declared": 3,
            "clipped": 0.25,
        },
        "activations": {
            "bits": 2,
            "signed": False,
            "learned": {"interval": 3.0},
            "levels": 3,
            "levels_declared": 4,
            "clipped": 0.25,
        },
    }


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("kind", ["resnet", "mobilenet"])
def test_every_layer_of_every_quantizer_passes(kind, path):
    network = network_of(kind, path, bits=4).train()
    rows = audit(network, images_of(32))
    assert network.training
    assert [row.layer for row in rows] == [name for name, _ in quantized_layers(network)]
    assert [row.activations is None for row in rows] == [True] + [False] * (len(rows) - 1)
    for row in rows:
        edge = row.layer in (rows[0].layer, rows[-1].layer)
        for side in (row.weights, row.activations or row.weights):
            assert side.bits == (8 if edge else 4)
            assert 1 <= side.levels <= side.levels_declared <= 2**side.bits
            assert 0 <= side.clipped < 1
    assert not [m for m in network.modules() if m._forward_hooks]


def test_a_layer_that_is_called_twice_is_counted_over_both():
    network = network_of("unusual")
    row = next(row for row in audit(network, images_of(8)) if row.layer == "twice")
    seen = []
    network.twice.input_quantizer.register_forward_hook(lambda _m, _i, out: seen.append(out))
    with torch.no_grad():
        network(images_of(8))
    assert len(seen) == 2
    assert row.activations.levels == len(torch.cat([x.flatten() for x in seen]).unique())
    assert isinstance(network, Unusual)


class Declares(IntervalQuantizer):
    """Says that it has two levels."""

    @property
    def levels(self):
        return 2


class Unrounded(IntervalQuantizer):
    """Forgets to round."""

    def forward(self, x):
        return x.clamp(-self.interval, self.interval)


class TooFine(IntervalQuantizer):
    """Nine levels on 2 bits, and says so."""

    @property
    def steps(self):
        return 4


class Shifted(IntervalQuantizer):
    """Other levels than its codes say."""

    def forward(self, x):
        return super().forward(x) + 0.5 * self.interval


REFUSED = {
    Declares: r"Declares of the weights of 2 gave 3 distinct values, where it declares 2 levels",
    Unrounded: r"Unrounded of the weights of 2 gave \d+ distinct values, where it declares 3",
    TooFine: r"TooFine of the weights of 2 declares 9 levels, which is not 2 bits",
    Shifted: r"Shifted of the weights of 2: codes\(x\) is up to 0.5 steps away from what forward",
}


@pytest.mark.parametrize("kind", REFUSED)
def test_a_quantizer_that_does_not_do_what_it_declares_fails(kind):
    network = by_hand()
    network[2].weight_quantizer = kind(2, True)
    network[2].weight.data.copy_(torch.tensor([0.9, -0.9, 0.1, 0.4]).view(4, 1, 1, 1))
    with pytest.raises(AuditFailed, match=REFUSED[kind]):
        audit(network, torch.rand(4, 1, 1, 1))


@pytest.mark.parametrize("kind", [Unrounded, Shifted])
def test_the_inputs_quantizer_is_counted_too_and_nothing_stays_hooked(kind):
    network = by_hand().train()
    network[2].input_quantizer = kind(2, False)
    with pytest.raises(AuditFailed, match=rf"{kind.__name__} of the inputs of 2"):
        audit(network, torch.rand(64, 1, 4, 4))
    assert network.training
    assert not [m for m in network.modules() if m._forward_hooks]


def test_signed_inputs_that_are_never_negative_are_noted():
    # A hard sigmoid written out: no proof is known of a division by a tensor.
    def inputs_of(between):
        torch.manual_seed(0)
        network = nn.Sequential(nn.Conv2d(1, 4, 3), between, nn.Conv2d(4, 4, 1), nn.Conv2d(4, 2, 1))
        quantize(network, W2A2)
        rows = audit(network, images_of(16))
        return [(row.activations.signed, row.activations.never_negative) for row in rows[1:2]]

    class Above(nn.Module):
        def forward(self, x):
            return x.abs() / (x.abs() + 1)

    class Twice(nn.Module):
        def forward(self, x):
            return x + x

    assert inputs_of(Above()) == [(True, True)]
    assert inputs_of(Twice()) == [(True, False)]
    assert inputs_of(nn.ReLU()) == [(False, False)]
