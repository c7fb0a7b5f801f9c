"""qonnx: its executor, which runs Quant nodes, and its own count of what a network costs."""

from typing import Any, NamedTuple

from qkd.export.consumers.session import Consumer, Logits, Refused, Session, first_line
from qkd.export.graph.tracing import INPUT, OUTPUT

FORMS = ("qonnx",)


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
    """The model, made anew for each size of a batch that comes; qonnx infers its shapes itself.

    Raises Refused.
    """
    try:
        from qonnx.core.onnx_exec import execute_onnx

        models = {1: _of_size(content, 1)}
    except Exception as error:  # its errors share no base but this
        raise Refused(first_line(error)) from error

    def run(images: Logits) -> Logits:
        size = len(images)
        if size not in models:
            models[size] = _of_size(content, size)
        found: Logits = execute_onnx(models[size], {INPUT: images})[OUTPUT]
        return found

    layers = sum(node.op_type in ("Conv", "Gemm", "MatMul") for node in models[1].graph.node)
    return Session(run, layers, 0)


def _of_size(content: bytes, size: int) -> Any:
    from qonnx.transformation.change_batchsize import ChangeBatchSize
    from qonnx.transformation.infer_shapes import InferShapes

    return _read(content).transform(ChangeBatchSize(size)).transform(InferShapes())


def counted(content: bytes) -> QonnxCost:
    """What qonnx's cost analysis says of a file in the form `qonnx`; zero weights count too."""
    from qonnx.util.inference_cost import inference_cost

    found = inference_cost(_read(content), discount_sparsity=False)["total_cost"]
    return QonnxCost(
        int(found["total_macs"]), int(found["total_bops"]), int(found["total_mem_w_bits"])
    )


CONSUMERS = (Consumer("qonnx's executor", FORMS, version, opened, "nothing", most_seconds=60.0),)
