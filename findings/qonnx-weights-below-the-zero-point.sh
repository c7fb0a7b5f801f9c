#!/bin/sh
# qonnx 1.0.0: QCDQToQuant changes stored weights that lie below a zero point of UINT8.
#
# Expected: a weight stored as UINT8 with zero point 128 (asymmetric weights, as common quantizers write them) has
#   the same value after QCDQToQuant: (code - 128) * scale.
# Behaviour: the difference is taken in UINT8 and wraps: code 100 counts as +228 instead of -28, and the Quant node then
#   cuts it at the largest code. So every negative weight becomes the largest positive one, without a word.
#   Codes at or above the zero point, and zero point 0, are right.
# Work-around: store weights as INT8 with zero point 0.
#
# Seen on 2026-11-29 (Linux, x86-64, Python 3.11):
#   int8, zero 0     weights           [-14.   -0.5   0.   36. ]
#   int8, zero 0     after conversion  [-14.   -0.5   0.   36. ]
#   uint8, zero 128  weights           [-14.   -0.5   0.   36. ]
#   uint8, zero 128  after conversion  [63.5 63.5  0.  36. ]
#   as described
#
# Exit status: 0 while this is so, 1 when it changes.
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
"${PYTHON:-python3}" -m venv "$dir/venv"
"$dir/venv/bin/pip" install --quiet --no-compile --disable-pip-version-check \
    onnx==1.23.2 numpy==2.4.6 ml_dtypes==0.6.0 protobuf==7.36.2 typing_extensions==4.16.0 \
    onnxruntime==1.32.0 flatbuffers==25.12.19 packaging==26.4 \
    qonnx==1.0.0 attrs==26.1.0 bitstring==5.0.0 clize==5.0.2 docutils==0.23 importlib_metadata==10.2.0 \
    mpmath==1.3.0 od==2.0.2 onnx-ir==1.1.0 onnxscript==0.7.2 sigtools==4.0.1 sympy==1.14.0 tibs==2.0.2 \
    toposort==1.10 zipp==4.1.2 lazy-importer==0.1.0
cat > "$dir/finding.py" <<'EOF'
import sys

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.core.onnx_exec import execute_onnx
from qonnx.transformation.infer_shapes import InferShapes
from qonnx.transformation.qcdq_to_qonnx import QCDQToQuant


def before_and_after(model, x):
    """The output of the model and of qonnx's conversion of it, by qonnx's own executor."""
    wrapper = ModelWrapper(model).transform(InferShapes())
    converted = wrapper.transform(QCDQToQuant())
    assert any(node.op_type == "Quant" for node in converted.graph.node)
    return execute_onnx(wrapper, {"x": x})["y"], execute_onnx(converted, {"x": x})["y"]


SCALE = np.float32(0.5)


def stored_weights(codes, zero):
    """y = x * DequantizeLinear(codes): one stored weight for each input."""
    nodes = [
        helper.make_node("DequantizeLinear", ["w", "scale", "zero"], ["wd"]),
        helper.make_node("Mul", ["x", "wd"], ["y"]),
    ]
    constants = [
        numpy_helper.from_array(codes, "w"),
        numpy_helper.from_array(SCALE, "scale"),
        numpy_helper.from_array(codes.dtype.type(zero), "zero"),
    ]
    graph = helper.make_graph(
        nodes,
        "stored_weights",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [4])],
        constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)])
    model.ir_version = 10
    onnx.checker.check_model(model, full_check=True)
    return model


x = np.ones(4, np.float32)
as_described = True
for codes, zero in (
    (np.array([-28, -1, 0, 72], np.int8), 0),
    (np.array([100, 127, 128, 200], np.uint8), 128),
):
    model = stored_weights(codes, zero)
    expected = (codes.astype(np.float32) - zero) * SCALE  # the same four weights both times
    wrapped = np.where(expected < 0, (255 - zero) * SCALE, expected)
    before, after = before_and_after(model, x)
    name = f"{codes.dtype.name}, zero {zero}"
    print(f"{name:16} weights          ", expected)
    print(f"{name:16} after conversion ", after)
    as_described &= np.array_equal(ReferenceEvaluator(model).run(None, {"x": x})[0], expected)
    as_described &= np.array_equal(before, expected)
    as_described &= np.array_equal(after, wrapped if zero else expected)

print("as described" if as_described else "CHANGED: no longer as described")
sys.exit(0 if as_described else 1)
EOF
"$dir/venv/bin/python" "$dir/finding.py"
