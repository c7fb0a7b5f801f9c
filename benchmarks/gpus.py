"""How many images a second a GPU trains, as others measured it: for a plan's hours (torch-free).

Measured were networks in float, with kernels free to differ from run to run. What quantizers add is
not known on a GPU (on a CPU 1.1 to 1.35 times), and reading photos is not counted.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from qkd.marks import Mark
from qkd.spec import Network, Precision

FACTORIES = "qkd.models.imagenet:"


class Speed(NamedTuple):
    """Images a second that one GPU trains, with its mark and where it is from."""

    images: float
    mark: Mark
    source: str


_NVIDIA = (
    "NVIDIA's DeepLearningExamples, PyTorch/Classification/ConvNets/resnet50v1.5/README.md, "
    "training performance"
)
# Float32 was measured on a V100 16GB: taken over to the A100 at the same share of its peak in
# float32, 19.5 of 15.7 TFLOPS (both NVIDIA's data sheets).
_V100, _PEAKS = 373.21, 19.5 / 15.7

GPU = "NVIDIA A100 80GB"
RESNET50: Mapping[Precision, Speed] = MappingProxyType({
    "float32": Speed(_V100 * _PEAKS, "derived", f"{_NVIDIA}: V100 16GB, one GPU, FP32"),
    "tf32": Speed(938.0, "second-hand", f"{_NVIDIA}: DGX A100 80GB, one GPU, TF32"),
    "bfloat16": Speed(2470.0, "second-hand", f"{_NVIDIA}: the same, mixed precision"),
})  # fmt: skip

# By which the others differ from ResNet-50, measured on another GPU in half precision.
TIMM = (
    "timm (huggingface/pytorch-image-models), results/benchmark-train-amp-nhwc-pt112-cu113-"
    "rtx3090.csv: RTX 3090, AMP, channels last, 224 pixels, batches of 256 or 512"
)
RTX_3090: Mapping[str, float] = MappingProxyType({
    "resnet18": 3481.78,
    "resnet34": 2036.51,
    "resnet50": 1218.01,
    "resnet101": 747.89,
    "mobilenet_v2": 2313.10,
    "efficientnet_b0": 1751.72,
})  # fmt: skip

# Of all other networks: a share of the A100's peak in float32, whatever the precision (assumed:
# small images reach less).
PEAK_MACS, ASSUMED_SHARE = 19.5e12 / 2, 0.30


def speed_of(network: Network, pixels: int, precision: Precision) -> Speed | None:
    """Images of ``pixels`` x ``pixels`` a second that an A100 trains of the network; None where
    nobody is known to have measured one like it.
    """
    name = network.factory.removeprefix(FACTORIES)
    if not network.factory.startswith(FACTORIES) or name not in RTX_3090 or pixels != 224:
        return None
    base = RESNET50[precision]
    if name == "resnet50":
        return base
    ratio = RTX_3090[name] / RTX_3090["resnet50"]
    return Speed(base.images * ratio, "derived", f"{base.source}, times that of {TIMM}")


def assumed_speed(macs: int) -> Speed:
    """Images a second by the operations of a forward pass alone: training takes three."""
    images = PEAK_MACS * ASSUMED_SHARE / (3 * macs) if macs else float("inf")
    return Speed(images, "assumed", f"{100 * ASSUMED_SHARE:.0f} % of the peak in float32")
