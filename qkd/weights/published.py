"""torchvision's named weights: which file each of them is (torch-free: a plan reads no file)."""

from qkd.spec import Weights

ADDRESS = "https://download.pytorch.org/models/"

# By the name of torchvision's enum. What stands before .pth is how the file's sha256 begins.
FILES = {
    "ResNet18_Weights.IMAGENET1K_V1": "resnet18-f37072fd.pth",
    "ResNet34_Weights.IMAGENET1K_V1": "resnet34-b627a593.pth",
    "ResNet50_Weights.IMAGENET1K_V1": "resnet50-0676ba61.pth",
    "ResNet50_Weights.IMAGENET1K_V2": "resnet50-11ad3fa6.pth",
    "ResNet101_Weights.IMAGENET1K_V1": "resnet101-63fe2227.pth",
    "ResNet101_Weights.IMAGENET1K_V2": "resnet101-cd907fc2.pth",
    "MobileNet_V2_Weights.IMAGENET1K_V1": "mobilenet_v2-b0353104.pth",
    "MobileNet_V2_Weights.IMAGENET1K_V2": "mobilenet_v2-7ebf99e0.pth",
    "EfficientNet_B0_Weights.IMAGENET1K_V1": "efficientnet_b0_rwightman-7f5810bc.pth",
}


def torchvision(name: str) -> Weights:
    """The weights that torchvision names so: ``torchvision("ResNet18_Weights.IMAGENET1K_V1")``.

    Raises ValueError for a name that is not in `FILES`.
    """
    return Weights(source=f"torchvision:{name}", name=name, sha256=digest_of(file_of(name)))


def file_of(name: str) -> str:
    """The name of the file. Raises ValueError for a name that is not in `FILES`."""
    if name not in FILES:
        raise ValueError(f"{name!r} names no weights of torchvision: it may be {', '.join(FILES)}")
    return FILES[name]


def digest_of(file: str) -> str:
    """The first eight hexadecimal digits of the file's sha256, as its name says them."""
    return file.removesuffix(".pth").rpartition("-")[2]
