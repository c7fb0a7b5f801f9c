"""The method, and the machinery that trains one stage of it.

``qkd.quantize`` and the other names of `qkd.library` serve a training loop of one's own. They are
imported when they are asked for: what plans and reports needs no torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from qkd.library import (
        audit,
        calibrate,
        loss,
        onnx_bytes,
        packed_bytes,
        parameter_groups,
        positive_intervals,
        quantize,
    )
    from qkd.phases import CO_STUDY, SELF_STUDY, TUTORING

__all__ = [
    "CO_STUDY",
    "SELF_STUDY",
    "TUTORING",
    "audit",
    "calibrate",
    "loss",
    "onnx_bytes",
    "packed_bytes",
    "parameter_groups",
    "positive_intervals",
    "quantize",
]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'qkd' has no attribute {name!r}: it has {', '.join(__all__)}")
    return getattr(import_module("qkd.phases" if name.isupper() else "qkd.library"), name)
