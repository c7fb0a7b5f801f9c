"""MobileNetV2 (Sandler et al. 2018) for small images, with a width factor.

torchvision's network with the strides that are usual for 32x32 pixels: 1 in the stem and in the
first two groups, so that the last convolutions see 4x4. Depthwise convolutions, linear bottlenecks
and ReLU6 are the original's.
"""

from typing import cast

from torch import nn
from torchvision.models import MobileNetV2

# Of each group: expansion, channels at width 1, blocks, stride of the first.
GROUPS = (
    (1, 16, 1, 1),
    (6, 24, 2, 1),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)


def mobilenet_v2(
    width: float = 1.0, channels: int = 3, classes: int = 10, dropout: float = 0.0
) -> nn.Module:
    """A MobileNetV2 for small images; the factory that a `qkd.spec.Network` names.

    Args:
        width: a factor on the channels, which are rounded to multiples of 8; the last
            convolution's 1280 do not shrink.
        channels: channels of the images.
        classes: logits.
        dropout: before the linear layer; none by default, as is usual on small images.

    Raises:
        ValueError: the width is not positive.
    """
    if width <= 0:
        raise ValueError(f"width is {width}: a factor on the channels must be positive")
    network = MobileNetV2(
        num_classes=classes,
        width_mult=width,
        inverted_residual_setting=[list(group) for group in GROUPS],
        dropout=dropout,
    )
    stem = network.features[0]
    stem[0] = nn.Conv2d(channels, stem[0].out_channels, 3, padding=1, bias=False)
    nn.init.kaiming_normal_(stem[0].weight, mode="fan_out")
    return cast(nn.Module, network)
