"""The operations that plans are made of, counted again and held against published ones."""

import pytest
import torch
from torchvision.models import get_model_weights

from benchmarks.imagenet_networks import FEW_MACS, MACS, WEIGHTS, imagenet
from qkd.imports import FACTORIES, resolve
from qkd.measures.macs import count, layer_macs


def shapes_of(network):
    """The network without numbers."""
    with torch.device("meta"):
        return resolve(network.factory, FACTORIES)(**network.arguments)


@pytest.mark.parametrize("name", MACS)
def test_operations_counted_again_are_those_that_are_kept(name):
    priced = imagenet(name)
    found = layer_macs(shapes_of(priced.network), (3, 224, 224))
    assert sum(found.values()) == priced.macs == MACS[name]


@pytest.mark.parametrize("name", FEW_MACS)
def test_so_are_those_of_small_images(name):
    priced = imagenet(name, classes=10, pixels=64)
    found = layer_macs(shapes_of(priced.network), (3, 64, 64))
    assert sum(found.values()) == priced.macs == FEW_MACS[name]


@pytest.mark.parametrize("name", MACS)
def test_operations_are_those_that_torchvision_publishes(name):
    # It prints billions of multiply-accumulates to three decimals, of convolutions and linear
    # layers as we do: half of the last digit is all that may lie between.
    (published,) = {weights.meta["_ops"] for weights in get_model_weights(name)}
    assert abs(MACS[name] / 1e9 - published) <= 0.0005


def test_resnet18_by_hand():
    # Stem 7x7 on 112 x 112; groups of four 3x3 convolutions on 56, 28, 14, 7 pixels a side, of
    # which all but the first begin with half the channels and have a 1x1 shortcut; 512 x 1000.
    macs = 112**2 * 64 * 3 * 49 + 56**2 * 4 * 64 * 64 * 9
    for channels, side in ((128, 28), (256, 14), (512, 7)):
        half = channels // 2
        macs += side**2 * channels * (9 * (half + 3 * channels) + half)
    assert macs + 512 * 1000 == MACS["resnet18"]


@pytest.mark.parametrize(("classes", "pixels"), [(200, 64), (100, 224)])
@pytest.mark.parametrize("name", FEW_MACS)
def test_and_those_of_other_classes(name, classes, pixels):
    priced = imagenet(name, classes=classes, pixels=pixels)
    assert priced.network.arguments == {"classes": classes}
    found = layer_macs(shapes_of(priced.network), (3, pixels, pixels))
    assert sum(found.values()) == priced.macs > 0


def test_other_sizes_are_left_to_be_counted():
    assert imagenet("resnet18", pixels=96).macs == 0
    assert imagenet("resnet50", classes=10, pixels=64).macs == 0
    small = imagenet("resnet18", classes=10, pixels=64).network
    assert count(small, (3, 64, 64)) == sum(layer_macs(shapes_of(small), (3, 64, 64)).values())
    with pytest.raises(ValueError, match="'vgg16' is none of the ImageNet networks: resnet18,"):
        imagenet("vgg16")


def test_each_network_begins_with_the_first_weights_of_its_own():
    assert list(WEIGHTS) == list(MACS)
    for name, weights in WEIGHTS.items():
        enum = get_model_weights(name)
        assert weights.name == f"{enum.__name__}.{enum.IMAGENET1K_V1.name}"
