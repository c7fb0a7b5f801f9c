"""The networks of the ImageNet tables, with their operations and sizes (torch-free).

A plan estimates GPU-hours and disk from these numbers. Operations were counted once by
`qkd.measures.macs`; tests count all of them again, and hold operations of 224 x 224 pixels and
1,000 classes against torchvision's own.
"""

from benchmarks.pairs import Priced
from qkd.spec import Network, Weights
from qkd.weights.published import torchvision

PIXELS, CLASSES = 224, 1000
FEW_PIXELS, FEW_CLASSES = 64, 10

# Multiply-accumulates of the convolutions and linear layers for one image.
MACS = {
    "resnet18": 1_814_073_344,
    "resnet34": 3_663_761_408,
    "resnet50": 4_089_184_256,
    "resnet101": 7_801_405_440,
    "mobilenet_v2": 300_774_272,
    "efficientnet_b0": 385_814_752,
}

# The same of the smallest images that the networks take, with ten classes.
FEW_MACS = {"resnet18": 148_050_944, "resnet34": 299_045_888, "mobilenet_v2": 24_461_312}

# Parameters, batch norms' running statistics, and features that the last layer reads; of 1,000
# classes.
NUMBERS = {
    "resnet18": (11_689_512, 9_600, 512),
    "resnet34": (21_797_672, 17_024, 512),
    "resnet50": (25_557_032, 53_120, 2048),
    "resnet101": (44_549_160, 105_344, 2048),
    "mobilenet_v2": (3_504_872, 34_112, 1280),
    "efficientnet_b0": (5_288_548, 42_016, 1280),
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

    Its operations are known at 224 pixels, and of some at 64; others are left to be counted by the
    launcher. Raises ValueError for another name.
    """
    if name not in MACS:
        raise ValueError(f"{name!r} is none of the ImageNet networks: {', '.join(MACS)}")
    network = Network(
        name=name, factory=f"qkd.models.imagenet:{name}", arguments={"classes": classes}
    )
    counted = {PIXELS: (MACS, CLASSES), FEW_PIXELS: (FEW_MACS, FEW_CLASSES)}
    known, known_classes = counted.get(pixels, ({}, 0))
    if name not in known:
        return Priced(network)
    _, _, features = NUMBERS[name]  # each is multiplied once for each class
    return Priced(network, known[name] + (classes - known_classes) * features)
