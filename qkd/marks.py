"""Every value that the paper's own words do not give, with its mark and its reason (torch-free).

The marks: **paper** (its own words), **second-hand** (others who had the paper say so),
**derived** (arithmetic on those), **assumed** (nobody says; our choice). The report lists them all.
A value is read from the code that uses it, so that the list cannot drift from what runs.
"""

from typing import Any, Literal, NamedTuple

import msgspec

from qkd.phases import CO_STUDY, PRE_TRAINING, TUTORING, qkd
from qkd.spec import Bits, Data, Phase, Photos, Quantization, Recipe
from qkd.spec.value import Value

Mark = Literal["paper", "second-hand", "derived", "assumed"]


class Marked(NamedTuple):
    """One value: what it is, its setting, where it is set, its mark and the reason."""

    what: str
    value: str
    where: str
    mark: Mark
    reason: str


def _default(kind: type[Value], name: str) -> Any:
    return next(f.default for f in msgspec.structs.fields(kind) if f.name == name)


def _field(kind: type[Value], name: str, what: str, mark: Mark, reason: str) -> Marked:
    value = _default(kind, name)
    return Marked(
        what,
        "none" if value is None else str(value),
        f"{kind.__module__}.{kind.__name__}.{name}",
        mark,
        reason,
    )


def _options(phase: Phase, name: str) -> str:
    return str(next(term.options[name] for term in phase.student if name in term.options))


def marks() -> tuple[Marked, ...]:
    """All marked values, in the order of the report."""
    lengths = " / ".join(str(share.epochs) for share in qkd().shares)
    weights = ", ".join(f"{term.weight}" for term in (*CO_STUDY.student, *CO_STUDY.teacher))
    quantizer, quantize = "qkd.quantizers", "qkd.quantizers.quantize"
    return (
        Marked("phases of QKD", ", ".join(s.phase.name for s in qkd().shares), "qkd.phases.qkd",
               "paper", "the abstract names the three and what each is for"),
        Marked("loss of self-studying", "cross-entropy", "qkd.phases.SELF_STUDY",
               "paper", "the student alone, without KD"),
        Marked("loss of co-studying", "each side: cross-entropy + T^2 KL(other || own)",
               "qkd.phases.CO_STUDY", "second-hand", "two sources that cite the paper"),
        Marked("loss of tutoring", "cross-entropy + T^2 KL(teacher || student)",
               "qkd.phases.TUTORING", "second-hand", "two sources that cite the paper"),
        Marked("teacher in tutoring", "frozen, in eval mode", "qkd.training.begin",
               "assumed", "frozen is second-hand; nobody says which mode"),
        Marked("gradient across networks", "the other side's logits are detached",
               "qkd.training.step.train_step", "assumed", "implementers do so"),
        Marked("update order in co-studying", "both from the same forward passes",
               "qkd.training.step.train_step", "assumed",
               "one implementer updates the teacher first"),
        Marked("temperature", _options(TUTORING, "temperature"), "qkd.phases.distillation",
               "second-hand", "four sources"),
        Marked("weights of the loss terms in co-studying", weights, "qkd.phases.distillation",
               "second-hand", "two other implementers use one half each"),
        Marked("epochs of SS / CS / TU", lengths, "qkd.phases.qkd",
               "second-hand", "for CIFAR-10; weak for CIFAR-100, unknown for ImageNet"),
        Marked("a removed phase's epochs", "go to the next phase, or the one before",
               "qkd.phases.without", "assumed", "the student's total stays equal"),
        Marked("quantizer", "trainable uniform, one interval for a layer's weights and one for "
               "its input activations", quantizer, "paper", "similar to LSQ and TQT, it says"),
        Marked("levels", "weights and signed inputs 2^k - 1, unsigned inputs 2^k", quantizer,
               "assumed", "the text names a floor, perhaps floor(x + 1/2)"),
        Marked("gradient of the quantizer", "straight through the rounding, none outside the "
               "interval; the interval's follows from the equation, no gradient scale", quantizer,
               "assumed", "LSQ scales it; the paper's text is not known to"),
        Marked("positive intervals", "raised to 1 % of the initial value after each step",
               "qkd.training.step", "assumed", "a plain linear parameter; hits are counted"),
        _field(Quantization, "initial_interval", "initial interval", "assumed",
               "least squared error; second-hand is min-max, with which 98.9 % of ResNet-20's "
               "weights start at zero at W2A2"),
        Marked("quantized tensors", "inputs and weights of convolutions and linear layers",
               quantize, "assumed", "residual sums see float"),
        _field(Quantization, "in_float", "what stays in float beside norms", "assumed",
               "nothing: what multiplies by weights and is no layer is refused"),
        Marked("signed inputs", "unless the traced graph proves them non-negative",
               "qkd.quantizers.signs", "assumed", "not stated"),
        _field(Bits, "edge", "bits of the first and last layer", "assumed",
               "the practice of its day; the first layer's pixels stay exact"),
        _field(Bits, "depthwise", "bits of depthwise convolutions (none: as all others)", "assumed",
               "the paper's supplement may have kept them at others; nobody says at how many"),
        Marked("batch norm", "in float, not folded while training (a frozen teacher's is)",
               quantize, "assumed", "not stated"),
        _field(Recipe, "learning_rate", "learning rate of the weights", "second-hand",
               "one source"),
        _field(Recipe, "weight_interval_learning_rate", "learning rate of weight intervals",
               "second-hand", "two sources: 100 times smaller than the weights'"),
        _field(Recipe, "activation_interval_learning_rate", "learning rate of activation "
               "intervals", "second-hand", "one source"),
        _field(Phase, "teacher_learning_rate", "teacher's learning rate in co-studying, as a "
               "factor on the student's", "second-hand",
               "sources disagree: equal, 10 times smaller, 1e-6"),
        _field(Phase, "teacher_state", "which teacher tutors: as the phases before left it",
               "paper", "tutoring transfers knowledge from the trained teacher"),
        _field(Phase, "after_step", "what changes the student after a step, beside the optimiser",
               "assumed", "no source tells of anything"),
        _field(Recipe, "batch", "batch, CIFAR", "second-hand", "weak"),
        _field(Recipe, "momentum", "momentum of SGD, no Nesterov", "second-hand",
               "weak; that it runs on across phases is assumed"),
        _field(Recipe, "weight_decay", "weight decay, all but intervals", "assumed",
               "not stated"),
        Marked("schedule", "cosine over the whole run", "qkd.schedules.cosine", "assumed",
               "not stated"),
        _field(Recipe, "restarts", "steps at which that cosine begins anew", "assumed",
               "none; one cosine for each phase is a sensitivity run"),
        _field(Recipe, "precision", "precision of training", "assumed", "not stated"),
        _field(Recipe, "frozen_teacher_precision", "precision of a frozen teacher (none: that of "
               "training)", "assumed", "not stated"),
        _field(Recipe, "batch_norm", "batch norms' statistics where GPUs share a batch", "assumed",
               "not stated; local is torch's default, and one GPU's"),
        Marked("pre-training", f"{PRE_TRAINING.name}: 200 epochs at full length, learning rate "
               "0.1, weight decay 5e-4, cosine", "benchmarks.pairs.pretraining", "assumed",
               "the paper starts from full-precision networks and does not say whose"),
        Marked("pairs, CIFAR", "ResNet-20 with ResNet-32 and ResNet-56; MobileNetV2 at width 1 and "
               "0.5 with ResNet-56", "benchmarks.cifar", "assumed",
               "ResNet-20 is second-hand; MobileNetV2 is the paper's, its teacher unknown"),
        Marked("pairs, ImageNet", "ResNet-18 with ResNet-34, ResNet-34 with ResNet-50, ResNet-50 "
               "with ResNet-101, MobileNetV2 with ResNet-50", "benchmarks.imagenet", "assumed",
               "the students ResNet-18 and MobileNetV2 are the paper's"),
        Marked("epochs of SS / CS / TU and batch, ImageNet", "18 / 60 / 42; 256",
               "benchmarks.imagenet", "assumed", "unknown; the ratio of CIFAR-10's epochs"),
        Marked("ablation, ImageNet", "ResNet-18 and MobileNetV2 at W4A4", "benchmarks.imagenet",
               "assumed", "that there is one of both kinds of network is the paper's; the bits are "
               "those of its claims"),
        Marked("MobileNetV2 on small images", "stride 1 in the stem and the first two groups, no "
               "dropout", "qkd.models.mobilenet_cifar", "assumed", "usual, and not stated"),
        Marked("networks, ImageNet", "torchvision's, with their dropout and stochastic depth",
               "qkd.models.imagenet", "assumed",
               "ResNet-18 and MobileNetV2 are the paper's; whose code is not stated"),
        Marked("starting points, ImageNet", "torchvision's named weights, IMAGENET1K_V1",
               "qkd.weights.published", "assumed",
               "the paper fine-tunes; whose networks is not stated"),
        Marked("normalisation, CIFAR", "ImageNet's channel means and deviations",
               "qkd.data.standard.CIFAR10", "assumed",
               "that of ready networks as they are passed around"),
        _field(Data, "pad", "augmentation: pad, random crop", "assumed", "standard"),
        _field(Data, "flip", "augmentation: random horizontal flip", "assumed", "standard"),
        _field(Photos, "area", "augmentation, photos: share of the image that a random crop takes",
               "assumed", "torchvision's reference"),
        _field(Photos, "ratio", "augmentation, photos: a random crop's width over its height",
               "assumed", "torchvision's reference"),
        _field(Photos, "size", "pixels of a photo's side", "assumed", "standard"),
        _field(Photos, "resize", "evaluation, photos: the shorter side before the middle is taken",
               "assumed", "standard"),
        _field(Photos, "unreadable", "a photo that cannot be decoded", "assumed",
               "not stated"),
        Marked("reported epoch", "the last, in float32", "qkd.train", "assumed", "not stated"),
    )  # fmt: skip
