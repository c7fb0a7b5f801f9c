"""The networks of the ImageNet tables: torchvision's, as they are.

Dropout and stochastic depth are torchvision's own, and so are the names of the layers, so that
torchvision's named weights (`qkd.weights.published`) fit. Images of 64 pixels or more; the last
convolutions see a thirty-second of their side.
"""

from typing import cast

from torch import nn
from torchvision import models


def resnet18(classes: int = 1000) -> nn.Module:
    """ResNet-18 (He et al. 2015); the factory that a `qkd.spec.Network` names."""
    return cast(nn.Module, models.resnet18(num_classes=classes))


def resnet34(classes: int = 1000) -> nn.Module:
    """ResNet-34."""
    return cast(nn.Module, models.resnet34(num_classes=classes))


def resnet50(classes: int = 1000) -> nn.Module:
    """ResNet-50, its strides in the 3x3 convolutions (torchvision's, known as V1.5)."""
    return cast(nn.Module, models.resnet50(num_classes=classes))


def resnet101(classes: int = 1000) -> nn.Module:
    """ResNet-101, likewise."""
    return cast(nn.Module, models.resnet101(num_classes=classes))


def mobilenet_v2(classes: int = 1000) -> nn.Module:
    """MobileNetV2 of width 1 (Sandler et al. 2018), with dropout of 0.2 before the last layer."""
    return cast(nn.Module, models.mobilenet_v2(num_classes=classes))


def efficientnet_b0(classes: int = 1000) -> nn.Module:
    """EfficientNet-B0 (Tan and Le 2019): SiLU, squeeze-and-excitation, dropout of 0.2 before the
    last layer, and stochastic depth up to 0.2.
    """
    return cast(nn.Module, models.efficientnet_b0(num_classes=classes))
