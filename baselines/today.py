"""Rivals and controls that are asked for today, beside those of the paper's day (torch-free)."""

from msgspec.structs import replace

from baselines.methods import trainings, with_quantizer
from qkd.phases import CROSS_ENTROPY, RUN_EPOCHS
from qkd.spec import Hook, Method, Phase, Share, Term

QUANTIZERS = {
    "ewgs": "baselines.ewgs:EWGS",
    "n2uq": "baselines.n2uq:N2UQ",
    "pact-zero": "baselines.sawb_zero:PACTZero",
    "pact-plus": "baselines.pact_plus:PACTPlus",
}
TITLES = {
    "ewgs": "EWGS",
    "n2uq": "N2UQ",
    "pact-zero": "PACT with zero-aligned SAWB weights",
    "pact-plus": "PACT+ with zero-aligned SAWB weights",
}


def quantized() -> tuple[Method, ...]:
    """Plain QAT and QKD with every one of the quantizers: ``qat-ewgs``, ``qkd-ewgs``, ..."""
    return tuple(
        replace(
            with_quantizer(training, path, f"{training.name}-{name}"),
            note=f"{TITLES[name]}, {'plain QAT' if training.name == 'qat' else 'under QKD'}",
        )
        for name, path in QUANTIZERS.items()
        for training in trainings()
        if training.name != "kd"
    )


def apprentice() -> Method:
    """AP* of the paper's Figure 1, which is our ``kd`` by its name: the same stages.

    Source: Mishra and Marr: Apprentice: Using Knowledge Distillation Techniques To Improve
    Low-Precision Network Accuracy, ICLR 2018, arXiv 1711.05852: a quantized student learns from a
    fixed full-precision teacher and the labels. That AP* is that with the paper's own quantizer and
    its weights of the terms is derived.
    """
    return replace(_named("kd"), name="apprentice", note="AP*: plain KD by its name")


def self_taught() -> tuple[Method, Method]:
    """Plain KD and QKD with the student's own full-precision self as teacher, labels kept.

    Source: Esser et al.: Learned Step Size Quantization, ICLR 2020, arXiv 1902.08153, section 3
    (knowledge distillation from a full-precision network of the same architecture), as a practice;
    temperature and weights of the terms are those of our ``kd`` and ``qkd``.
    """
    kd, qkd = (
        replace(
            _named(name), name=f"{name}-self", teacher="self", note=f"{words}, its own float self"
        )
        for name, words in (("kd", "plain KD"), ("qkd", "QKD"))
    )
    return kd, qkd


def distilled() -> tuple[Method, Method]:
    """Plain KD from the fixed teacher by DKD and by DIST; options are those of their files."""
    return (
        _by("dkd", Term(loss="baselines.dkd:decoupled", target="both", options=_DKD), "DKD"),
        _by("dist", Term(loss="baselines.dist:correlation", target="peer", options=_DIST), "DIST"),
    )


_DKD: dict[str, bool | int | float | str] = {"alpha": 1.0, "beta": 8.0, "temperature": 4.0}
_DIST: dict[str, bool | int | float | str] = {"beta": 2.0, "gamma": 2.0, "temperature": 4.0}


def by_features() -> tuple[Method, Method]:
    """Plain KD by QFD: from the fixed teacher, and from the student's own float self.

    The second is nearer to the paper, whose teacher is the network that is then quantized (derived
    from its abstract): the features of two networks that were trained apart need not lie alike.
    """
    term = Term(loss="baselines.qfd:quantized_features", target="features", options={"bits": 4})
    pair = _by("qfd", term, "QFD")
    own = replace(pair, name="qfd-self", teacher="self", note=f"{pair.note}, its own float self")
    return pair, own


def dampened(weight: float = 0.01) -> Method:
    """Plain QAT with oscillation dampening (Nagel et al. 2022), by our quantizer.

    ``weight`` is lambda, constant (assumed: the paper lets it grow, and tunes it for each network).
    """
    term = Term(loss="baselines.dampening:dampening", target="weights", weight=weight)
    phase = Phase(name="dampened-study", student=(CROSS_ENTROPY, term))
    return Method(
        name="qat-dampened",
        shares=(Share(phase=phase, epochs=RUN_EPOCHS),),
        note=f"plain QAT, oscillations dampened by {weight:g}",
    )


def frozen() -> Method:
    """Plain QAT with iterative freezing (Nagel et al. 2022), by our quantizer.

    The thresholds and the momentum are those of the authors' code (`baselines.freezing`).
    """
    options: dict[str, bool | int | float | str] = {
        "threshold": 0.1,
        "final": 0.01,
        "momentum": 0.01,
        "max_bits": 4,
    }
    hook = Hook(hook="baselines.freezing:IterativeFreezing", options=options)
    phase = Phase(name="freezing-study", student=(CROSS_ENTROPY,), after_step=(hook,))
    return Method(
        name="qat-frozen",
        shares=(Share(phase=phase, epochs=RUN_EPOCHS),),
        note="plain QAT, oscillating weights frozen",
    )


def _by(name: str, term: Term, title: str) -> Method:
    phase = Phase(name=f"tutoring-{name}", student=(CROSS_ENTROPY, term))
    return Method(
        name=name,
        shares=(Share(phase=phase, epochs=RUN_EPOCHS),),
        note=f"plain KD by {title}",
    )


def _named(name: str) -> Method:
    return next(one for one in trainings() if one.name == name)


def rivals_of_today() -> tuple[Method, ...]:
    """All of them."""
    return (
        *quantized(),
        apprentice(),
        *self_taught(),
        *distilled(),
        *by_features(),
        dampened(),
        frozen(),
    )
