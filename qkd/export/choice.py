"""Every form and every consumer, in the order of the table."""

from typing import Any, NamedTuple

from torch import nn

from qkd.export.consumers import onnxruntime_cpu, openvino_cpu, qonnx_executor, reference
from qkd.export.consumers.session import Consumer, first_line
from qkd.export.forms import clipped, folded, int4, quant
from qkd.export.graph.levels import NotExportable

# A form's file in the export's folder.
ONNX_FILES = {
    "onnx": "student.onnx",
    "onnx-int4": "student.int4.onnx",
    "onnx-folded": "student.folded.onnx",
    "qonnx": "student.qonnx.onnx",
}
PACKED_FILE, STUDENT_FILE = "student.packed.safetensors", "student.safetensors"
TEACHER_FILE = "teacher.safetensors"

CONSUMERS: tuple[Consumer, ...] = (
    *onnxruntime_cpu.CONSUMERS,
    *openvino_cpu.CONSUMERS,
    *reference.CONSUMERS,
    *qonnx_executor.CONSUMERS,
)


class Graphs(NamedTuple):
    """The files of the forms that a network has, and why it has not the others, by name."""

    files: dict[str, bytes]
    refused: dict[str, str]


def graphs(network: nn.Module, shape: tuple[int, int, int]) -> Graphs:
    """The network, quantized or not, on images (C, H, W) in every form of a graph."""
    made = Graphs({}, {})
    base = _model(made, "onnx", lambda: clipped.model(network, shape))
    if base is None:
        reason = made.refused["onnx"]
        return Graphs({}, dict.fromkeys(ONNX_FILES, reason))
    _model(made, "onnx-int4", lambda: int4.model(base))
    _model(made, "onnx-folded", lambda: folded.model(base))
    _model(made, "qonnx", lambda: quant.model(network, shape))
    return made


def _model(made: Graphs, name: str, build: Any) -> Any | None:
    """The model of a form, its file noted; None where it has none."""
    try:
        model = build()
    except NotExportable as error:
        made.refused[name] = str(error)
        return None
    except Exception as error:  # onnx's own, of a graph that nobody foresaw: the others stay
        made.refused[name] = f"{type(error).__name__}: {first_line(error)}"
        return None
    made.files[name] = bytes(model.SerializeToString())
    return model
