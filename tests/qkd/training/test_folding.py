import copy

import pytest
import torch
from torch import nn
from torchvision.models import efficientnet_b0, mobilenet_v2, resnet18, resnet50

from qkd.models.resnet_cifar import resnet
from qkd.training.folding import fold


def settled(network, shape):
    """In float64, its batch norms having seen something."""
    torch.manual_seed(0)
    network = network.double().train()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, -2, 2)
            nn.init.uniform_(module.bias, -1, 1)
    with torch.no_grad():
        for _ in range(3):
            network(torch.randn(shape, dtype=torch.float64))
    return network


NETWORKS = {
    "cifar": (lambda: resnet(14, width=4, channels=1), (8, 1, 16, 16)),
    "resnet18": (resnet18, (2, 3, 64, 64)),
    "resnet50": (resnet50, (2, 3, 64, 64)),
    "mobilenet": (mobilenet_v2, (2, 3, 64, 64)),
    "efficientnet": (efficientnet_b0, (2, 3, 64, 64)),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_the_function_stays_and_every_batch_norm_goes(name):
    make, shape = NETWORKS[name]
    network = settled(make(), shape)
    short = fold(copy.deepcopy(network))
    images = torch.randn(shape, dtype=torch.float64)
    with torch.no_grad():
        torch.testing.assert_close(short(images), network.eval()(images), rtol=1e-9, atol=1e-9)
    assert not [m for m in short.modules() if isinstance(m, nn.BatchNorm2d)]
    assert not short.training


class Branching(nn.Module):
    """A convolution that two read, and a batch norm that is called twice."""

    def __init__(self):
        super().__init__()
        self.read_twice, self.first = nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2)
        self.conv, self.again = nn.Conv2d(2, 2, 1), nn.BatchNorm2d(2)

    def forward(self, x):
        x = self.read_twice(x)
        x = self.first(x) + x
        return self.again(self.again(self.conv(x)))


class Deciding(nn.Module):
    """Cannot be traced."""

    def __init__(self):
        super().__init__()
        self.conv, self.norm = nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2)

    def forward(self, x):
        x = self.norm(self.conv(x))
        return x if x.sum() > 0 else -x


class Aliased(nn.Module):
    """Its convolution, or its batch norm, goes by two names."""

    def __init__(self, which):
        super().__init__()
        self.parts = nn.ModuleList([nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2)])
        self.again = self.parts[which]
        self.stem = nn.Sequential(*self.parts)

    def forward(self, x):
        return self.stem(x)


class Reading(nn.Module):
    """Reads its convolution's weight besides calling it."""

    def __init__(self):
        super().__init__()
        self.conv, self.norm = nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2)

    def forward(self, x):
        return self.norm(self.conv(x)) + self.conv.weight.sum()


class Normed(nn.Module):
    """A hook makes its weight anew at each call."""

    def __init__(self):
        super().__init__()
        self.conv = nn.utils.parametrizations.weight_norm(nn.Conv2d(1, 2, 3))
        self.norm = nn.BatchNorm2d(2)

    def forward(self, x):
        return self.norm(self.conv(x))


KINDS = [Branching, Deciding, lambda: Aliased(0), lambda: Aliased(1), Reading, Normed]


@pytest.mark.parametrize("kind", KINDS)
def test_what_cannot_be_folded_stays(kind):
    network = settled(kind(), (4, 1, 8, 8))
    short = fold(copy.deepcopy(network))
    images = torch.randn((4, 1, 8, 8), dtype=torch.float64)
    with torch.no_grad():
        torch.testing.assert_close(short(images), network.eval()(images))
    norms = [sum(isinstance(m, nn.BatchNorm2d) for m in n.modules()) for n in (short, network)]
    assert norms[0] == norms[1]
