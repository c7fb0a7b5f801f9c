"""Small quantized networks of the kinds whose export once went wrong, and how to try a file."""

import copy

import numpy as np
import pytest
import torch
from torch import nn

from qkd.export.consumers.session import Consumer
from qkd.models.resnet_cifar import resnet
from qkd.quantizers.quantize import quantize, set_intervals
from qkd.spec import INTERVAL, Bits, Quantization
from tests.support.quantized import MobileNet, Plain

SHAPE = (1, 16, 16)
WHY = "make export needs the project's extra 'export'"
CONSUMERS = "make consumers installs it"


class Signed(nn.Module):
    """Layers that see negative numbers; a bias before a batch norm."""

    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Conv2d(1, 8, 3, 2, 1), nn.Conv2d(8, 8, 3, 1, 1)
        self.norm = nn.BatchNorm2d(8)
        self.third, self.last = nn.Conv2d(8, 8, 3, 2, 1, bias=False), nn.Linear(8, 10)

    def forward(self, x):
        x = self.norm(self.second(torch.tanh(self.first(x))))
        return self.last(self.third(x).mean((2, 3)))


def biased_resnet():
    """A ResNet whose convolutions have biases."""
    network = resnet(8, 4, 1, 10)
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            module.bias = nn.Parameter(0.5 * torch.randn(module.out_channels))
    return network


KINDS = {
    "resnet": lambda: resnet(8, 4, 1, 10),
    "biased resnet": biased_resnet,
    "mobilenet": MobileNet,
    "signed": Signed,
    "plain": Plain,
}


def images_of(count, seed=1, shape=SHAPE):
    return torch.randn(count, *shape, generator=torch.Generator().manual_seed(seed))


def network_of(kind, bits, path=INTERVAL):
    """An untrained quantized network: batch norms that have seen images, some of whose factors are
    negative, and biases as large as the steps."""
    torch.manual_seed(0)
    quantization = Quantization(bits=Bits(weight=bits, activation=bits), quantizer=path)
    network = quantize(KINDS[kind]() if isinstance(kind, str) else kind(), quantization)
    set_intervals(network, images_of(16), quantization)
    with torch.no_grad():
        network.train()(images_of(64, 2))
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d) and module.affine:
                module.weight[::3] *= -1
    return network.eval()


def library(name):
    """The consumers' library, or a skip."""
    return pytest.importorskip(name, reason=CONSUMERS)


def open_as(consumers: tuple[Consumer, ...], name: str, content: bytes):
    """A session of the consumer of that name."""
    (one,) = (consumer for consumer in consumers if consumer.name == name)
    return one.open(content)


def apart(session, network, images):
    """Of each image: whether the top-1 is the network's, and the largest difference of logits
    against the network in float64, as a share of its logits' spread."""
    with torch.no_grad():  # a copy: what is made in inference mode could have no gradient again
        expected = copy.deepcopy(network).double()(images.double()).numpy()
    found = session.run(images.numpy())
    spread = float(np.median(expected.max(1) - expected.min(1)))
    return found.argmax(1) == expected.argmax(1), np.abs(found - expected).max(1) / spread
