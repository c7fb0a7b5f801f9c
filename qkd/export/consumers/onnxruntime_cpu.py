"""onnxruntime on a CPU, at every level of its optimisation and with the options that matter."""

import tempfile
from functools import partial
from pathlib import Path

import torch

from qkd.export.consumers.session import Consumer, Logits, Refused, Session, first_line
from qkd.export.graph.tracing import INPUT

FORMS = ("onnx", "onnx-int4", "onnx-folded")
LEVELS = ("DISABLE_ALL", "ENABLE_BASIC", "ENABLE_EXTENDED", "ENABLE_LAYOUT", "ENABLE_ALL")
INTEGER_KERNELS = ("QLinearConv", "QLinearMatMul", "QGemm", "ConvInteger", "MatMulInteger")
FLOAT_KERNELS = ("Conv", "FusedConv", "Gemm", "FusedGemm", "MatMul", "FusedMatMul", "MatMulNBits")
NO_QDQ, X64 = "session.disable_quant_qdq", "session.x64quantprecision"


def version() -> str:
    """The library's version. Raises ImportError."""
    import onnxruntime

    return str(onnxruntime.__version__)


def opened(content: bytes, level: str = "ENABLE_ALL", option: str = "") -> Session:
    """A session at a level of graph optimisation, with one of its options at 1.

    Raises Refused.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 4
    options.graph_optimization_level = getattr(onnxruntime.GraphOptimizationLevel, f"ORT_{level}")
    if option:
        options.add_session_config_entry(option, "1")
    with tempfile.TemporaryDirectory() as folder:
        written = Path(folder) / "optimised.onnx"
        options.optimized_model_filepath = str(written)
        try:
            session = onnxruntime.InferenceSession(
                content, options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # its errors share no base but this
            raise Refused(first_line(error)) from error
        kinds = _kinds(written)
    integers = sum(kind in INTEGER_KERNELS for kind in kinds)
    floats = sum(kind in FLOAT_KERNELS for kind in kinds)

    def run(images: Logits) -> Logits:
        (logits,) = session.run(None, {INPUT: images})
        found: Logits = logits
        return found

    return Session(run, integers + floats, integers)


def _kinds(model: Path) -> list[str]:
    """The operators of the graph that the session runs."""
    import onnx

    return [node.op_type for node in onnx.load(model).graph.node]


CONSUMERS = (
    *(
        Consumer(
            f"onnxruntime, {level}",
            FORMS,
            version,
            partial(opened, level=level),
            "nothing: this is the default"
            if level == "ENABLE_ALL"
            else f"graph_optimization_level = ORT_{level}",
        )
        for level in LEVELS
    ),
    Consumer(
        "onnxruntime, without its quantized operators",
        FORMS,
        version,
        partial(opened, option=NO_QDQ),
        f"{NO_QDQ} = 1",
    ),
    Consumer(
        "onnxruntime, exact on every x86",
        FORMS,
        version,
        partial(opened, option=X64),
        f"{X64} = 1: 8-bit sums may overflow on a processor without VNNI otherwise",
    ),
)
