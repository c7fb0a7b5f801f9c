"""qonnx: its executor, which runs Quant nodes, and its own count of what a network costs."""

from typing import Any, NamedTuple

import numpy as np

from qkd.export.consumers.session import Consumer, Logits, Refused, Session, first_line
from qkd.export.graph.tracing import INPUT, OUTPUT

FORMS = ("qonnx",)
# Every node is a session of onnxruntime of its own, made anew for each batch.
BATCH = 100


class QonnxCost(NamedTuple):
    """What qonnx counts of one image: multiply-accumulates, those times the bits of both factors,
    and the bits of all weights."""

    macs: int
    bit_operations: int
    weight_bits: int


def version() -> str:
    """The library's version. Raises ImportError."""
    from importlib.metadata import PackageNotFoundError
    from importlib.metadata import version as installed

    import qonnx  # noqa: F401

    try:
        return installed("qonnx")
    except PackageNotFoundError as error:
        raise ImportError(str(error)) from error


def _read(content: bytes) -> Any:
    import onnx
    from qonnx.core.modelwrapper import ModelWrapper

    return ModelWrapper(onnx.load_from_string(content))


def opened(content: bytes) -> Session:
    """The model for batches of a fixed size, shapes inferred by qonnx itself. Raises Refused."""
    try:
        from qonnx.core.onnx_exec import execute_onnx
        from qonnx.transformation.change_batchsize import ChangeBatchSize
        from qonnx.transformation.infer_shapes import InferShapes

        model = _read(content).transform(ChangeBatchSize(BATCH)).transform(InferShapes())
    except Exception as error:  # its errors share no base but this
        raise Refused(first_line(error)) from error

    def run(images: Logits) -> Logits:
        found = [execute_onnx(model, {INPUT: whole})[OUTPUT] for whole in _batches(images)]
        return np.concatenate(found)[: len(images)]

    layers = sum(node.op_type in ("Conv", "Gemm", "MatMul") for node in model.graph.node)
    return Session(run, layers, 0)


def _batches(images: Logits) -> list[Logits]:
    """The images in batches of the fixed size, the last filled up with zeros."""
    missing = -len(images) % BATCH
    filled = np.concatenate([images, np.zeros((missing, *images.shape[1:]), images.dtype)])
    return list(filled.reshape(-1, BATCH, *images.shape[1:]))


def counted(content: bytes) -> QonnxCost:
    """What qonnx's cost analysis says of a file in the form `qonnx`; zero weights count too."""
    from qonnx.util.inference_cost import inference_cost

    found = inference_cost(_read(content), discount_sparsity=False)["total_cost"]
    return QonnxCost(
        int(found["total_macs"]), int(found["total_bops"]), int(found["total_mem_w_bits"])
    )


CONSUMERS = (Consumer("qonnx's executor", FORMS, version, opened, "nothing", most_seconds=60.0),)
