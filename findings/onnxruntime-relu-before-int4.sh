#!/bin/sh
# onnxruntime 1.32.0 drops a Relu that stands before a QuantizeLinear to INT4 or INT2.
#
# Expected: Relu -> QuantizeLinear -> DequantizeLinear gives no negative number, whatever the session's
#   optimization level is.
# Behaviour: with the default level (and with ORT_ENABLE_EXTENDED) the Relu is gone: negative inputs come out
#   negative, and no message says so. With ORT_DISABLE_ALL and ORT_ENABLE_BASIC the answer is right.
#   INT8 with the same zero point is right at every level.
# Not meant so: the fold is for a zero point at the lowest code ("zero_point == -128 for int8"),
#   https://github.com/microsoft/onnxruntime/pull/21329; the same repaired for 16 bits: https://github.com/microsoft/onnxruntime/pull/20187
# Work-around: ORT_ENABLE_BASIC, or the UINT4 type with zero point 0.
#
# Seen on 2026-11-29 (Linux, x86-64, Python 3.11):
#   x                  [-3. -1.  0.  1.  9.]
#   INT8 expected       [0. 0. 0. 1. 9.]
#   INT8 not optimized  [0. 0. 0. 1. 9.]
#   INT8 default        [0. 0. 0. 1. 9.]
#   INT4 expected       [0. 0. 0. 1. 7.]
#   INT4 not optimized  [0. 0. 0. 1. 7.]
#   INT4 default        [-3. -1.  0.  1.  7.]
#   INT2 expected       [0. 0. 0. 1. 1.]
#   INT2 not optimized  [0. 0. 0. 1. 1.]
#   INT2 default        [-2. -1.  0.  1.  1.]
#   as described
#
# Exit status: 0 while this is so, 1 when it changes.
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
"${PYTHON:-python3}" -m venv "$dir/venv"
"$dir/venv/bin/pip" install --quiet --no-compile --disable-pip-version-check \
    onnx==1.23.2 numpy==2.4.6 ml_dtypes==0.6.0 protobuf==7.36.2 typing_extensions==4.16.0 \
    onnxruntime==1.32.0 flatbuffers==25.12.19 packaging==26.4
cat > "$dir/finding.py" <<'EOF'
import sys

import numpy as np
import onnx
import onnxruntime as ort
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

OFF = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
DEFAULT = ort.GraphOptimizationLevel.ORT_ENABLE_ALL


def run(model, x, level):
    """The model's output in a CPU session at one optimization level."""
    options = ort.SessionOptions()
    options.graph_optimization_level = level
    options.log_severity_level = 4  # errors are caught and printed below
    session = ort.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    return session.run(None, {"x": x})[0]


def relu_then_quantize(kind, opset):
    """x -> Relu -> QuantizeLinear(scale 1, zero point 0) -> DequantizeLinear -> y."""
    nodes = [
        helper.make_node("Relu", ["x"], ["r"]),
        helper.make_node("QuantizeLinear", ["r", "scale", "zero"], ["q"]),
        helper.make_node("DequantizeLinear", ["q", "scale", "zero"], ["y"]),
    ]
    constants = [
        numpy_helper.from_array(np.float32(1), "scale"),
        helper.make_tensor("zero", kind, [], [0]),
    ]
    graph = helper.make_graph(
        nodes,
        "relu_then_quantize",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [5])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [5])],
        constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])
    model.ir_version = 10 if opset < 25 else 13
    onnx.checker.check_model(model, full_check=True)
    return model


x = np.array([-3, -1, 0, 1, 9], np.float32)
as_described = True
print("x                 ", x)
for name, kind, opset, top in (
    ("INT8", TensorProto.INT8, 21, 127),
    ("INT4", TensorProto.INT4, 21, 7),
    ("INT2", TensorProto.INT2, 25, 1),
):
    model = relu_then_quantize(kind, opset)
    expected = np.clip(np.rint(np.maximum(x, 0)), -top - 1, top)
    without_relu = np.clip(np.rint(x), -top - 1, top)
    off, default = run(model, x, OFF), run(model, x, DEFAULT)
    print(f"{name} expected      ", expected)
    print(f"{name} not optimized ", off)
    print(f"{name} default       ", default)
    as_described &= np.array_equal(ReferenceEvaluator(model).run(None, {"x": x})[0], expected)
    as_described &= np.array_equal(off, expected)
    as_described &= np.array_equal(default, expected if name == "INT8" else without_relu)

print("as described" if as_described else "CHANGED: no longer as described")
sys.exit(0 if as_described else 1)
EOF
"$dir/venv/bin/python" "$dir/finding.py"
