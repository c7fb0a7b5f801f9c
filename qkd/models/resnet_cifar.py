"""ResNets for small images (He et al. 2015, section 4.2), of depth 6n + 2 and any width."""

from torch import Tensor, nn
from torch.nn import functional


class _Block(nn.Module):
    """Two 3x3 convolutions and a shortcut without parameters (option A)."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.relu1 = nn.ReLU()
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.relu2 = nn.ReLU()
        self.stride = stride
        self.new_channels = outputs - inputs

    def forward(self, x: Tensor) -> Tensor:
        out = self.relu1(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        total: Tensor = self.relu2(out + self._shortcut(x))
        return total

    def _shortcut(self, x: Tensor) -> Tensor:
        if self.stride == 1 and self.new_channels == 0:
            return x
        before = self.new_channels // 2
        padding = (0, 0, 0, 0, before, self.new_channels - before)
        return functional.pad(x[:, :, :: self.stride, :: self.stride], padding)


class ResNet(nn.Module):
    """Three groups of n blocks with width, 2 width and 4 width channels, then one linear layer.

    Args:
        depth: 6n + 2.
        width: channels of the first group.
        channels: channels of the images.
        classes: logits.

    Raises:
        ValueError: the depth is not 6n + 2.
    """

    def __init__(self, depth: int, width: int, channels: int, classes: int) -> None:
        super().__init__()
        blocks, rest = divmod(depth - 2, 6)
        if blocks < 1 or rest:
            raise ValueError(f"depth is {depth}: a CIFAR ResNet has 8, 14, 20, ... layers (6n + 2)")
        self.conv1 = nn.Conv2d(channels, width, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU()
        self.layer1 = self._group(width, width, blocks, stride=1)
        self.layer2 = self._group(width, 2 * width, blocks, stride=2)
        self.layer3 = self._group(2 * width, 4 * width, blocks, stride=2)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.linear = nn.Linear(4 * width, classes)
        for module in self.modules():
            if isinstance(module, (nn.Conv2d, nn.Linear)):
                nn.init.kaiming_normal_(module.weight)

    @staticmethod
    def _group(inputs: int, outputs: int, blocks: int, stride: int) -> nn.Sequential:
        first = _Block(inputs, outputs, stride)
        return nn.Sequential(first, *(_Block(outputs, outputs, 1) for _ in range(blocks - 1)))

    def forward(self, x: Tensor) -> Tensor:
        """Logits (batch, classes) of images (batch, channels, height, width)."""
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.layer3(self.layer2(self.layer1(out)))
        logits: Tensor = self.linear(self.pool(out).flatten(1))
        return logits


def resnet(depth: int, width: int = 16, channels: int = 3, classes: int = 10) -> ResNet:
    """A CIFAR ResNet; the factory that a `qkd.spec.Network` names."""
    return ResNet(depth, width, channels, classes)
