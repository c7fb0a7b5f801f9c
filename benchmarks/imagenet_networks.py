"""The networks of the ImageNet tables, with their operations (torch-free).

A plan estimates GPU-hours from these numbers. They were counted once by `qkd.macs`, on 224 x 224
pixels with 1,000 classes; a test counts them again, and holds them against those that torchvision
publishes.
"""

from benchmarks.pairs import Priced
from qkd.published import torchvision
from qkd.spec import Network, Weights

PIXELS, CLASSES = 224, 1000

# Multiply-accumulates of the convolutions and linear layers for one image.
MACS = {
    "resnet18": 1_814_073_344,
    "resnet34": 3_663_761_408,
    "resnet50": 4_089_184_256,
    "resnet101": 7_801_405_440,
    "mobilenet_v2": 300_774_272,
    "efficientnet_b0": 385_814_752,
}

# What each begins with: the first published weights, not the later ones of a longer recipe.
WEIGHTS: dict[str, Weights] = {
    "resnet18": torchvision("ResNet18_Weights.IMAGENET1K_V1"),
    "resnet34": torchvision("ResNet34_Weights.IMAGENET1K_V1"),
    "resnet50": torchvision("ResNet50_Weights.IMAGENET1K_V1"),
    "resnet101": torchvision("ResNet101_Weights.IMAGENET1K_V1"),
    "mobilenet_v2": torchvision("MobileNet_V2_Weights.IMAGENET1K_V1"),
    "efficientnet_b0": torchvision("EfficientNet_B0_Weights.IMAGENET1K_V1"),
}


def imagenet(name: str, classes: int = CLASSES, pixels: int = PIXELS) -> Priced:
    """A network by torchvision's name, for ``pixels`` x ``pixels`` images.

    Its operations are known at 224 pixels with 1,000 classes; others are left to be counted by the
    launcher. Raises ValueError for another name.
    """
    if name not in MACS:
        raise ValueError(f"{name!r} is none of the ImageNet networks: {', '.join(MACS)}")
    network = Network(
        name=name, factory=f"qkd.models.imagenet:{name}", arguments={"classes": classes}
    )
    return Priced(network, MACS[name] if (classes, pixels) == (CLASSES, PIXELS) else 0)
