"""OpenVINO on a CPU: in float32, and as it comes."""

from functools import cache, partial
from typing import Any

import torch

from qkd.export.consumers.session import Consumer, Logits, Refused, Session, first_line

FORMS = ("onnx", "onnx-int4", "onnx-folded")
LAYERS = ("Convolution", "FullyConnected", "MatMul", "GroupConvolution")


def version() -> str:
    """The library's version. Raises ImportError."""
    import openvino

    return str(openvino.__version__).partition("-")[0]


@cache
def _core() -> Any:
    """The one core of this process. Each moves the thread's alternative signal stack to one of its
    own; of two, the oldest dropped first, a freed one is left, and the next signal that Python
    handles (a child that ends) is fatal (2026.4.1).
    """
    import openvino

    return openvino.Core()


def opened(content: bytes, precision: str = "") -> Session:
    """A compiled model; ``precision`` is f32, or "" for the processor's own. Raises Refused."""
    settings = {"INFERENCE_NUM_THREADS": torch.get_num_threads(), "PERFORMANCE_HINT": "LATENCY"}
    if precision:
        settings["INFERENCE_PRECISION_HINT"] = precision
    core = _core()
    try:
        compiled = core.compile_model(core.read_model(content, b""), "CPU", settings)
    except Exception as error:  # its errors share no base but this
        raise Refused(first_line(error)) from error
    kinds = [one.get_rt_info() for one in compiled.get_runtime_model().get_ops()]
    layers = [one for one in kinds if one["layerType"].astype(str) in LAYERS]
    integers = [one for one in layers if "8" in one["runtimePrecision"].astype(str)]

    def run(images: Logits) -> Logits:
        found: Logits = compiled(images)[0]
        return found

    return Session(run, len(layers), len(integers))


CONSUMERS = (
    Consumer(
        "OpenVINO, f32", FORMS, version, partial(opened, precision="f32"),
        'INFERENCE_PRECISION_HINT = "f32"',
    ),
    Consumer("OpenVINO, default", FORMS, version, opened, "nothing: this is the default"),
)  # fmt: skip
