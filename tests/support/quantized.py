"""Small quantized networks of every kind, untrained, and images for them."""

import copy

import torch
from torch import nn
from torch.nn import functional

from baselines.methods import QUANTIZERS
from qkd.models.resnet_cifar import resnet
from qkd.quantizers.quantize import quantize, set_intervals
from qkd.spec import INTERVAL, Bits, Quantization

PATHS = (INTERVAL, *QUANTIZERS.values())


class Bottleneck(nn.Module):
    """MobileNetV2's: 1x1, ReLU6, depthwise 3x3, ReLU6, linear 1x1, and the sum with the input."""

    def __init__(self, inputs, outputs, stride, expansion=3):
        super().__init__()
        wide = expansion * inputs
        self.adds = stride == 1 and inputs == outputs
        self.layers = nn.Sequential(
            nn.Conv2d(inputs, wide, 1, bias=False),
            nn.BatchNorm2d(wide),
            nn.ReLU6(),
            nn.Conv2d(wide, wide, 3, stride, 1, groups=wide, bias=False),
            nn.BatchNorm2d(wide),
            nn.ReLU6(),
            nn.Conv2d(wide, outputs, 1, bias=False),
            nn.BatchNorm2d(outputs),
        )

    def forward(self, x):
        return x + self.layers(x) if self.adds else self.layers(x)


class MobileNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(1, 4, 3, 2, 1), nn.BatchNorm2d(4), nn.ReLU6())
        self.blocks = nn.Sequential(Bottleneck(4, 4, 1), Bottleneck(4, 6, 2), Bottleneck(6, 6, 1))
        self.dropout, self.last = nn.Dropout(0.2), nn.Linear(6, 10)

    def forward(self, x):
        x = functional.adaptive_avg_pool2d(self.blocks(self.stem(x)), 1)
        return self.last(self.dropout(torch.flatten(x, 1)))


class Unusual(nn.Module):
    """A convolution called twice, each time with a batch norm of its own; one whose output is seen
    by two; a batch norm before its convolution, one without a scale, one without statistics."""

    def __init__(self):
        super().__init__()
        self.first, self.twice = nn.Conv2d(1, 4, 3), nn.Conv2d(4, 4, 3, padding=1)
        self.norm1, self.norm2 = nn.BatchNorm2d(4, affine=False), nn.BatchNorm2d(4)
        self.norm3, self.norm4 = nn.BatchNorm2d(4), nn.BatchNorm2d(4, track_running_stats=False)
        self.seen, self.last = nn.Conv2d(4, 4, 1), nn.Linear(4, 10)

    def forward(self, x):
        x = functional.relu(self.norm1(self.twice(self.first(x))))
        x = functional.relu(self.norm2(self.twice(x)), inplace=True)
        y = self.seen(x)
        x = self.norm3(y) + y
        return self.last(self.norm4(x).mean((2, 3)))


class Plain(nn.Module):
    """Biases and no batch norm."""

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(1, 6, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(6, 8, 3, 2, 1),
            nn.ReLU(),
            nn.Conv2d(8, 8, 1),
            nn.ReLU(inplace=True),
            nn.AvgPool2d(8),
            nn.Flatten(),
            nn.Linear(8, 10),
        )

    def forward(self, x):
        return self.layers(x)


NETWORKS = {
    "resnet": lambda: resnet(8, 4, 1, 10),
    "mobilenet": MobileNet,
    "unusual": Unusual,
    "plain": Plain,
}


def images_of(count, seed=1):
    return torch.randn(count, 1, 16, 16, generator=torch.Generator().manual_seed(seed))


def network_of(kind="resnet", path=INTERVAL, bits=2):
    """An untrained quantized network whose batch norms have seen images."""
    torch.manual_seed(0)
    quantization = Quantization(bits=Bits(weight=bits, activation=bits), quantizer=path)
    network = quantize(NETWORKS[kind](), quantization).to(memory_format=torch.channels_last)
    set_intervals(network, images_of(16), quantization)
    with torch.no_grad():
        for seed in (2, 3):
            network.train()(images_of(32, seed))
    return network.eval()


def batches_of(count=200, size=40):
    images = images_of(count, 4)
    labels = torch.randint(10, (count,), generator=torch.Generator().manual_seed(5))
    return list(zip(images.split(size), labels.split(size), strict=True))


def reference_of(network):
    return copy.deepcopy(network).double()
