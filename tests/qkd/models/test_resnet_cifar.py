from pathlib import Path

import pytest
import torch
from torch import nn

from qkd.models.resnet_cifar import resnet

READY = Path(__file__).parents[4] / "shared" / "data" / "cifar10_resnet"


@pytest.mark.parametrize("depth", [8, 14, 20, 32])
def test_the_depth_counts_convolutions_and_the_linear_layer(depth):
    network = resnet(depth, width=2)
    layers = [m for m in network.modules() if isinstance(m, (nn.Conv2d, nn.Linear))]
    assert len(layers) == depth


@pytest.mark.parametrize("depth", [0, 2, 7, 9, 18, 52])
def test_another_depth_is_refused(depth):
    with pytest.raises(ValueError, match=rf"depth is {depth}: .*6n \+ 2"):
        resnet(depth)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [16, 28, 32])
def test_logits_of_grey_and_coloured_images(channels, size):
    network = resnet(8, width=4, channels=channels, classes=7)
    assert network(torch.zeros(2, channels, size, size)).shape == (2, 7)


def test_three_groups_double_their_width_and_halve_their_side():
    network = resnet(14, width=6)
    groups = (network.layer1, network.layer2, network.layer3)
    assert [group[1].conv2.out_channels for group in groups] == [6, 12, 24]
    seen = []
    for group in groups:
        group.register_forward_hook(lambda _m, _i, output: seen.append(tuple(output.shape)))
    network(torch.zeros(1, 3, 32, 32))
    assert seen == [(1, 6, 32, 32), (1, 12, 16, 16), (1, 24, 8, 8)]


def test_the_parameters_of_resnet_20_are_as_many_as_published():
    # He et al. 2015, table 6: 0.27M. Convolutions: 3*16*9 + 6*16*16*9 + 16*32*9 + 5*32*32*9
    # + 32*64*9 + 5*64*64*9 = 267,696; batch norms: 2*(7*16 + 6*32 + 6*64) = 1,376; linear: 650.
    assert sum(p.numel() for p in resnet(20).parameters()) == 267_696 + 1_376 + 650


def test_the_shortcut_takes_every_second_pixel_and_adds_empty_channels_on_both_sides():
    block = resnet(8, width=2).layer2[0]
    x = torch.arange(2 * 4 * 4.0).view(1, 2, 4, 4)
    shortcut = block._shortcut(x)
    assert shortcut.shape == (1, 4, 2, 2)
    assert torch.equal(shortcut[:, 1:3], x[:, :, ::2, ::2])
    assert shortcut[:, 0].abs().sum() == shortcut[:, 3].abs().sum() == 0


@pytest.mark.skipif(not READY.is_dir(), reason="no ready checkpoints on this machine")
def test_ready_checkpoints_load_into_it():
    files = sorted(READY.glob("resnet*.th"))
    assert files
    for file in files:
        depth = int(file.stem.partition("-")[0].removeprefix("resnet"))
        content = torch.load(file, map_location="cpu", weights_only=True)
        state = {k.removeprefix("module."): v for k, v in content["state_dict"].items()}
        resnet(depth, 16, 3, 10).load_state_dict(state, strict=True)
