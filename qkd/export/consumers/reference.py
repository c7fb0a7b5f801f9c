"""onnx's reference evaluator: each operator as the standard says it, in numpy."""

from qkd.export.consumers.session import Consumer, Logits, Refused, Session, first_line
from qkd.export.graph.tracing import INPUT

FORMS = ("onnx", "onnx-int4", "onnx-folded")


def version() -> str:
    """The library's version. Raises ImportError."""
    import onnx

    return str(onnx.__version__)


def opened(content: bytes) -> Session:
    """An evaluator of the model. Raises Refused."""
    import onnx
    from onnx.reference import ReferenceEvaluator

    try:
        model = onnx.load_from_string(content)
        evaluator = ReferenceEvaluator(model)
    except Exception as error:  # its errors share no base but this
        raise Refused(first_line(error)) from error

    def run(images: Logits) -> Logits:
        (logits,) = evaluator.run(None, {INPUT: images})
        found: Logits = logits
        return found

    layers = sum(node.op_type in ("Conv", "Gemm", "MatMul") for node in model.graph.node)
    return Session(run, layers, 0)


CONSUMERS = (
    Consumer("onnx's reference evaluator", FORMS, version, opened, "nothing", most_seconds=20.0),
)
