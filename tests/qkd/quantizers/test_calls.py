"""Which layers are quantized and how they are called, in evaluation and in training."""

import random

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from qkd.measures.audit import audit
from qkd.models import imagenet
from qkd.models.mobilenet_cifar import mobilenet_v2
from qkd.models.resnet_cifar import resnet
from qkd.quantizers.calls import Calls, layers_of, only_in_training
from qkd.quantizers.quantize import interval_parameters, quantize, quantized_layers, set_intervals
from qkd.spec import Bits, Quantization
from tests.support import small

LARGEST = Quantization(bits=Bits(weight=2, activation=2), initial_interval="minmax")
SIDE = 4


def on_meta(make):
    with torch.device("meta"):
        return make()


def signed(make):
    return [name for name, calls in layers_of(on_meta(make)).items() if calls.is_signed]


# The ids of records name these networks: another proof would be other numbers under the same name.
@pytest.mark.parametrize("depth", [8, 20, 32, 56])
def test_nothing_but_the_image_is_signed_in_a_cifar_resnet(depth):
    assert signed(lambda: resnet(depth)) == ["conv1"]


@pytest.mark.parametrize("name", ["resnet18", "resnet34", "resnet50", "resnet101"])
def test_nor_in_torchvisions_resnets(name):
    assert signed(getattr(imagenet, name)) == ["conv1"]


@pytest.mark.parametrize("make", [mobilenet_v2, imagenet.mobilenet_v2])
def test_mobilenetv2_is_signed_behind_its_linear_bottlenecks(make):
    behind = [f"features.{block}.conv.0.0" for block in range(2, 18)]
    assert signed(make) == ["features.0.0", *behind, "features.18.0"]


def test_efficientnet_is_signed_everywhere():
    make = imagenet.efficientnet_b0
    assert signed(make) == list(layers_of(on_meta(make)))


@pytest.mark.parametrize("make", [lambda: resnet(8), mobilenet_v2, imagenet.efficientnet_b0])
def test_these_see_one_image_once_and_train_as_they_are_evaluated(make):
    first, *others = layers_of(on_meta(make)).values()
    assert first.is_exact
    assert not any(one.is_exact for one in others)
    assert not any(one.calls_more_in_training for one in (first, *others))
    assert only_in_training(on_meta(make)) == ()


class Layers(nn.Module):
    """Layers of one channel by name, called as ``call`` says."""

    def __init__(self, call, *names):
        super().__init__()
        for name in names:
            layer = nn.Conv2d(1, 1, 1, bias=False)
            nn.init.ones_(layer.weight)
            self.add_module(name, layer)
        self.norm = nn.BatchNorm2d(1, affine=False)
        self.call, self.head = call, nn.Linear(SIDE * SIDE, 2)

    def forward(self, x):
        return self.head(self.call(self, x).flatten(1))


relu = functional.relu


def stem_twice(net, x):
    return relu(net.second(relu(net.stem(relu(net.stem(x))))))


def two_stems(net, x):
    return net.second(relu(net.stem(x) + net.other(x.flip(3))))


def middle_twice(net, x):
    x = relu(net.stem(x))
    return net.middle(10 * relu(net.middle(x))) + net.second(x)


def with_head(net, x):
    x = relu(net.stem(x))
    y = net.second(x)
    return y + net.auxiliary(x) if net.training else y


def more_in_training(net, x):
    x = relu(net.stem(x))
    y = net.second(x)
    return y + net.second(-5 * net.norm(x)) if net.training else y


def test_a_stem_that_is_called_again_on_its_output_quantizes_both_inputs():
    network = quantize(Layers(stem_twice, "stem", "second"), LARGEST)
    layer = network.stem
    assert (layer.weight_quantizer.bits, layer.input_quantizer.bits) == (8, 8)
    assert layer.input_quantizer.signed  # the image may be negative
    seen = []
    layer.input_quantizer.register_forward_hook(lambda _m, inputs, output: seen.append(output))
    images = torch.randn(2, 1, SIDE, SIDE, generator=torch.Generator().manual_seed(0))
    set_intervals(network, images, LARGEST)
    seen.clear()
    rows = {row.layer: row for row in audit(network, images)}  # of both calls together
    assert rows["stem"].activations.levels <= 255
    assert [len(one.unique()) <= 255 for one in seen] == [True, True]
    assert network.second.input_quantizer.bits == 2


def test_two_stems_on_one_image_both_see_it_exactly_and_have_the_edges_bits():
    network = quantize(Layers(two_stems, "stem", "other", "second"), LARGEST)
    for name in ("stem", "other"):
        layer = network.get_submodule(name)
        assert type(layer.input_quantizer) is nn.Identity
        assert layer.weight_quantizer.bits == 8
    assert network.second.weight_quantizer.bits == 2
    assert not network.second.input_quantizer.signed


def test_a_layer_that_is_called_twice_is_calibrated_on_both_inputs():
    network = quantize(Layers(middle_twice, "stem", "middle", "second"), LARGEST)
    images = torch.rand(2, 1, SIDE, SIDE, generator=torch.Generator().manual_seed(0))
    set_intervals(network, images, LARGEST)
    # The first call sees the image, the second ten times that: the larger comes first or last.
    assert network.middle.input_quantizer.interval == 10 * images.max()
    turned = Layers(
        lambda n, x: n.middle(relu(n.middle(10 * relu(n.stem(x)))) / 100), "stem", "middle"
    )
    network = quantize(turned, LARGEST)
    set_intervals(network, images, LARGEST)
    assert network.middle.input_quantizer.interval == 10 * images.max()


def test_what_training_alone_calls_stays_in_float_and_is_said():
    network = quantize(Layers(with_head, "stem", "second", "auxiliary"), LARGEST)
    assert [name for name, _ in quantized_layers(network)] == ["stem", "second", "head"]
    assert only_in_training(network) == ("auxiliary",)
    set_intervals(network, torch.randn(2, 1, SIDE, SIDE), LARGEST)
    network.train()(torch.randn(2, 1, SIDE, SIDE))


def test_a_layer_that_training_calls_on_more_is_calibrated_on_that_too_and_may_be_signed():
    network = quantize(Layers(more_in_training, "stem", "second"), LARGEST)
    assert network.second.input_quantizer.signed
    before = network.norm.running_mean.clone()
    images = torch.rand(8, 1, SIDE, SIDE, generator=torch.Generator().manual_seed(0))
    network.eval()
    set_intervals(network, images, LARGEST)
    normalised = functional.batch_norm(relu(images), None, None, training=True)
    largest = 5 * normalised.abs().max()
    torch.testing.assert_close(network.second.input_quantizer.interval.detach(), largest)
    assert torch.equal(network.norm.running_mean, before)
    assert not network.training


class Dropping(nn.Module):
    """Blocks that training leaves out at random, by one of the three generators."""

    def __init__(self, draw):
        super().__init__()
        self.draw = draw
        self.stem = nn.Conv2d(1, 1, 1)
        self.blocks = nn.ModuleList(nn.Conv2d(1, 1, 1) for _ in range(8))
        self.head = nn.Linear(SIDE * SIDE, 2)

    def forward(self, x):
        x = self.stem(x)
        for block in self.blocks:
            is_dropped = self.draw() < 0.5
            if not (self.training and is_dropped):
                x = relu(x + block(x))
        return self.head(x.flatten(1))


DRAWS = {
    "torch": lambda: torch.rand(1).item(),
    "python": random.random,
    "numpy": np.random.rand,
}


@pytest.mark.parametrize("draw", DRAWS)
def test_blocks_that_training_leaves_out_are_all_quantized_whatever_was_drawn_before(draw):
    names = set()
    for _ in range(3):
        network = quantize(Dropping(DRAWS[draw]), LARGEST)
        names.add(tuple(name for name, _ in quantized_layers(network)))
        DRAWS[draw]()
    assert names == {("stem", *(f"blocks.{i}" for i in range(8)), "head")}


@pytest.mark.parametrize("draw", DRAWS)
def test_tracing_draws_nothing_from_what_comes_after(draw):
    torch.manual_seed(3)
    random.seed(3)
    np.random.seed(3)
    expected = DRAWS[draw]()
    torch.manual_seed(3)
    random.seed(3)
    np.random.seed(3)
    network = Dropping(DRAWS[draw])
    torch.manual_seed(3)
    layers_of(network)
    assert DRAWS[draw]() == expected


def test_modules_that_a_factory_froze_stay_so():
    network = Layers(lambda n, x: n.second(n.norm(n.stem(x))), "stem", "second").train()
    network.norm.eval()
    quantize(network, small.W2A2)
    assert network.training
    assert not network.norm.training


def test_a_layer_of_one_call_is_as_it_always_was():
    calls = layers_of(Layers(lambda n, x: n.second(relu(n.stem(x))), "stem", "second"))
    assert calls == {
        "stem": Calls(True, True, False),
        "second": Calls(False, False, False),
        "head": Calls(False, True, False),
    }
    weights, activations = interval_parameters(
        quantize(Layers(lambda n, x: n.second(relu(n.stem(x))), "stem", "second"), small.W2A2)
    )
    assert (len(weights), len(activations)) == (3, 2)
