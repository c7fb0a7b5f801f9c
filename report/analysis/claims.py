"""The paper's claims: sentences with their marks, and the test by which each is decided here."""

from typing import NamedTuple

from qkd.marks import Mark
from report.analysis.claim_tests import Contrasted, Interaction
from report.analysis.evidence import ClaimTest
from report.analysis.thresholds import Drops, Reaches, Recovers


class Claim(NamedTuple):
    """A claim. ``mark`` says whose words the sentence goes by, ``source`` where they stand."""

    name: str
    sentence: str
    mark: Mark
    source: str
    test: ClaimTest


_ABSTRACT = "abstract"
_WHOLE = "follows from the phases' claims, as the comparison at equal student epochs"

CLAIMS = (
    Claim(
        "beats-qat",
        "QKD is better than quantization-aware training without a teacher.",
        "derived",
        _WHOLE,
        Contrasted("qkd", "qat"),
    ),
    Claim(
        "beats-kd",
        "QKD is better than distillation from a fixed teacher alone.",
        "derived",
        _WHOLE,
        Contrasted("qkd", "kd"),
    ),
    Claim(
        "self-studying",
        "Self-studying first gives the quantized student a good initialization.",
        "paper",
        _ABSTRACT,
        Contrasted("qkd", "cs+tu"),
    ),
    Claim(
        "co-studying",
        "Co-studying makes the teacher more fit for quantization than a fixed one.",
        "paper",
        _ABSTRACT,
        Contrasted("qkd", "ss+tu"),
    ),
    Claim(
        "tutoring",
        "Tutoring by the co-trained teacher transfers its knowledge.",
        "paper",
        _ABSTRACT,
        Contrasted("qkd", "ss+cs"),
    ),
    Claim(
        "kd-alone",
        "Distillation alone may not work on a quantized network as desired.",
        "paper",
        _ABSTRACT,
        Interaction("kd", "qat", "fp-kd", "fp-tuned"),
    ),
    Claim(
        "resnet18",
        "ResNet-18, ImageNet, W4A4: 1.3 points above the state of the art.",
        "paper",
        "abstract; the number is Figure 1's, read off the drawing",
        Reaches("imagenet", "resnet18", 4),
    ),
    Claim(
        "mobilenetv2",
        "MobileNetV2, ImageNet, W4A4: 2.6 points above the state of the art.",
        "paper",
        "abstract; the number is Figure 1's, read off the drawing",
        Reaches("imagenet", "mobilenetv2", 4),
    ),
    Claim(
        "resnet-recovers",
        "ResNet recovers its full-precision accuracy down to W3A3.",
        "paper",
        _ABSTRACT,
        Recovers("resnet", 3),
    ),
    Claim(
        "mobilenetv2-recovers",
        "MobileNetV2 recovers its full-precision accuracy down to W6A6.",
        "paper",
        _ABSTRACT,
        Recovers("mobilenetv2", 6),
    ),
    Claim(
        "mobilenetv2-drops",
        "MobileNetV2 loses drastically at W2A2.",
        "paper",
        "text",
        Drops("mobilenetv2", 2, 10.0),
    ),
)
