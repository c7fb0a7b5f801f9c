"""Whole networks as integers: they say what the float64 networks say, and a wrong one does not."""

import copy

import msgspec
import pytest
import torch
from msgspec.structs import astuple
from torch import nn
from torch.nn import functional

from qkd.measures.evaluate import answers
from qkd.measures.integer import IntegerLayer, NoProof, as_integers
from qkd.measures.proof import compared, prove
from qkd.quantizers.quantize import quantize, set_intervals
from qkd.records.schema import Proof
from qkd.spec import INTERVAL, Bits, Quantization
from tests.support.quantized import (
    NETWORKS,
    PATHS,
    batches_of,
    images_of,
    network_of,
    reference_of,
)


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("kind", NETWORKS)
def test_the_logits_are_those_of_the_fake_quantized_network_in_float64(kind, path):
    network = network_of(kind, path, bits=3 if kind == "mobilenet" else 2)
    reference, images = reference_of(network), images_of(50, 6).double()
    integer = as_integers(reference)
    with torch.no_grad():
        torch.testing.assert_close(integer(images), reference(images), rtol=1e-9, atol=1e-9)
    proof = prove(network, batches_of(), answers(network, batches_of()).predictions)
    assert proof.agreement == 1.0
    assert proof.agreement_float32 > 0.9
    assert proof.top1 == proof.top1_reference
    assert proof.images == 200
    assert proof.seconds > 0


def test_every_layer_is_one_of_integers_and_the_batch_norms_are_folded():
    integer = as_integers(reference_of(network_of("mobilenet")))
    called = [n.target for n in integer.graph.nodes if n.op == "call_module"]
    kinds = [type(integer.get_submodule(name)) for name in called]
    assert kinds.count(IntegerLayer) == 11
    assert nn.BatchNorm2d not in kinds
    assert not {nn.Conv2d, nn.Linear} & set(kinds)


def test_only_a_batch_norm_that_alone_sees_its_convolution_is_folded():
    integer = as_integers(reference_of(network_of("unusual")))
    left = {n.target for n in integer.graph.nodes if str(n.target).startswith("norm")}
    assert left == {"norm3", "norm4"}


@pytest.mark.parametrize("path", [INTERVAL, "baselines.lsq_plus:LSQPlus"])
def test_a_network_of_wrong_integers_loses_its_agreement(path):
    network = network_of("resnet", path)
    reference, float32 = reference_of(network), answers(network, batches_of()).predictions
    right, wrong = as_integers(reference), as_integers(reference)
    layers = [m for m in wrong.modules() if isinstance(m, IntegerLayer)]
    layers[2].weight[:, 0].add_(1)  # one input channel's codes, one level too high
    assert compared(right, reference, batches_of(), float32).agreement == 1.0
    proof = compared(wrong, reference, batches_of(), float32)
    assert proof.agreement < 0.99
    assert proof.agreement_float32 < 0.99


def test_what_stands_in_the_padding_decides(monkeypatch):
    # A network that pads with LSQ+'s code 0, which is not 0, is another network.
    network = network_of("resnet", "baselines.lsq_plus:LSQPlus")
    whole = IntegerLayer.sums

    def padded_with_codes(layer, integers):
        sums = whole(layer, integers)
        is_of_ones = len(integers) == 1
        return layer.weight.flatten(1).sum(1).view(layer.shift.shape) if is_of_ones else sums

    monkeypatch.setattr(IntegerLayer, "sums", padded_with_codes)
    proof = prove(network, batches_of(), answers(network, batches_of()).predictions)
    assert proof.agreement < 0.99


class Says(nn.Module):
    """Its logits favour the class that the pixel names, or always one."""

    def __init__(self, always=None):
        super().__init__()
        self.always = always

    def forward(self, images):
        classes = images.flatten(1)[:, 0].long()
        classes = classes if self.always is None else torch.full_like(classes, self.always)
        return functional.one_hot(classes, 3).double()


@pytest.mark.parametrize("size", [1, 3, 8])
def test_agreements_and_accuracies_by_hand(size):
    pixels = torch.tensor([0, 1, 2, 0, 1, 2, 0, 1]).float().view(-1, 1, 1, 1)
    labels = torch.tensor([0, 0, 0, 0, 2, 2, 2, 1])
    given = torch.tensor([0, 1, 2, 0, 0, 0, 0, 1])
    batches = zip(pixels.split(size), labels.split(size), strict=True)
    proof = compared(Says(), Says(always=0), batches, given)
    # Images said to be 0: three of eight. As given: six. Right: the first, fourth, sixth, last.
    assert astuple(proof) == (3 / 8, 6 / 8, 50.0, 50.0, 8, 0.0, 0)


def test_the_network_is_left_as_it_was():
    network = network_of().train()
    before = copy.deepcopy(network.state_dict())
    prove(network, batches_of(80), torch.zeros(80, dtype=torch.int64))
    after = network.state_dict()
    assert list(before) == list(after)
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert network.training
    assert network.conv1.weight.dtype == torch.float32
    assert all(p.requires_grad for p in network.parameters())


def test_a_layer_whose_sums_leave_int32_is_named():
    wide = nn.Linear(1, 70_000), nn.ReLU(), nn.Linear(70_000, 2)
    network = nn.Sequential(nn.Flatten(), nn.Linear(256, 1), *wide)
    nn.init.ones_(network[4].weight)
    quantization = Quantization(bits=Bits(weight=2, activation=2))
    quantize(network, quantization)
    set_intervals(network, images_of(2), quantization)
    with pytest.raises(NoProof, match="a sum of layer 4 may reach 2266950000, which int32 cannot"):
        prove(network.eval(), batches_of(2), torch.zeros(2, dtype=torch.int64))


def test_a_proof_of_older_code_was_made_on_every_image_in_float64():
    old = {"agreement": 1.0, "agreement_float32": 1.0, "top1": 50.0, "top1_reference": 50.0}
    assert msgspec.convert({**old, "images": 8}, Proof).images_certain == 0
    assert msgspec.convert({**old, "images": 8, "images_certain": 8}, Proof).images_certain == 8
    with pytest.raises(ValueError, match="9 of 8 images are certain"):
        msgspec.convert({**old, "images": 8, "images_certain": 9}, Proof)
