#!/bin/sh
# onnxruntime 1.32.0 multiplies by other weights where a MatMul on INT2 or UINT2 weights has columns that are no multiple of 4.
#
# Expected: DequantizeLinear (INT2 weights, scale 1) -> MatMul gives each input times the weights, at every optimization
#   level. The identity matrix as input gives back the weights.
# Behaviour: with the default level (and ORT_ENABLE_EXTENDED) the two become one MatMulNBits. Where the number of
#   columns is a multiple of 4 it has the right weights. With 9, 10 or 11 columns it takes each row to begin at a
#   whole byte, where ONNX packs the codes without gaps: from the second row on most weights are others, and no message
#   says so. ORT_DISABLE_ALL and ORT_ENABLE_BASIC are right. INT4 is right with any number of columns. A classifier of
#   ten classes on 2-bit weights is such a product.
# Work-around: ORT_ENABLE_BASIC; the INT4 type; or columns of zeros up to a multiple of 4.
#
# Seen on 2026-11-30 (Linux, x86-64, Python 3.11), the second row of weights:
#   INT2   9 columns, expected 1 0 1 0 0 1 0 0 0
#   INT2   9 columns, default  0 0 1 0 0 0 0 1 -1
#   INT2  10 columns, expected 0 1 0 0 1 0 0 0 0 1
#   INT2  10 columns, default  0 0 1 0 0 0 0 1 -1 1
#   INT2  12 columns, expected 0 0 1 0 0 0 0 1 -1 1 0 -2
#   INT2  12 columns, default  0 0 1 0 0 0 0 1 -1 1 0 -2
#   UINT2  9 columns, expected 3 2 3 2 2 3 2 2 2
#   UINT2  9 columns, default  2 2 3 2 2 2 2 3 1
#   UINT2 10 columns, expected 2 3 2 2 3 2 2 2 2 3
#   UINT2 10 columns, default  2 2 3 2 2 2 2 3 1 3
#   UINT2 12 columns, expected 2 2 3 2 2 2 2 3 1 3 2 0
#   UINT2 12 columns, default  2 2 3 2 2 2 2 3 1 3 2 0
#   INT4   9 columns, expected 5 2 6 0 1 7 3 2 0
#   INT4   9 columns, default  5 2 6 0 1 7 3 2 0
#   INT4  10 columns, expected 2 6 0 1 7 3 2 0 0 6
#   INT4  10 columns, default  2 6 0 1 7 3 2 0 0 6
#   INT4  12 columns, expected 0 1 7 3 2 0 0 6 -4 5 2 -8
#   INT4  12 columns, default  0 1 7 3 2 0 0 6 -4 5 2 -8
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

ROWS = 8
IDENTITY = np.eye(ROWS, dtype=np.float32)


def run(model, level):
    """The weights as a CPU session at one optimization level has them."""
    options = ort.SessionOptions()
    options.graph_optimization_level = level
    session = ort.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    return session.run(None, {"x": IDENTITY})[0]


def matmul(kind, codes):
    """x -> MatMul with DequantizeLinear(codes, scale 1) -> y."""
    nodes = [
        helper.make_node("DequantizeLinear", ["codes", "scale"], ["weights"]),
        helper.make_node("MatMul", ["x", "weights"], ["y"]),
    ]
    constants = [
        helper.make_tensor("codes", kind, codes.shape, codes.ravel().tolist()),
        numpy_helper.from_array(np.float32(1), "scale"),
    ]
    graph = helper.make_graph(
        nodes,
        "matmul",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [ROWS, ROWS])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [ROWS, codes.shape[1]])],
        constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 25)])
    model.ir_version = 13
    onnx.checker.check_model(model, full_check=True)
    return model


def read_by_whole_bytes(codes):
    """The rows that come out where each is taken to begin at a whole byte of four codes; those within the codes."""
    rows, columns = codes.shape
    starts = [row * -(-columns // 4) * 4 for row in range(rows)]
    flat = codes.ravel()
    return np.stack([flat[start : start + columns] for start in starts if start + columns <= flat.size])


as_described = True
for name, lowest, highest in (("INT2", -2, 1), ("UINT2", 0, 3), ("INT4", -8, 7)):
    for columns in (8, 9, 10, 11, 12):
        codes = np.random.default_rng(0).integers(lowest, highest + 1, (ROWS, columns))
        model = matmul(getattr(TensorProto, name), codes)
        as_described &= np.array_equal(ReferenceEvaluator(model).run(None, {"x": IDENTITY})[0], codes)
        basic = run(model, ort.GraphOptimizationLevel.ORT_ENABLE_BASIC)
        # MatMulNBits rounds its input to 8 bits: 1 comes back within 0.01 of itself.
        default = np.rint(run(model, ort.GraphOptimizationLevel.ORT_ENABLE_ALL)).astype(int)
        print(f"{name:5} {columns:2} columns, expected", *codes[1])
        print(f"{name:5} {columns:2} columns, default ", *default[1])
        seen = read_by_whole_bytes(codes) if name != "INT4" else codes
        as_described &= np.array_equal(basic, codes)
        as_described &= np.array_equal(default[: len(seen)], seen)
        as_described &= np.array_equal(default, codes) == (name == "INT4" or columns % 4 == 0)

print("as described" if as_described else "CHANGED: no longer as described")
sys.exit(0 if as_described else 1)
EOF
"$dir/venv/bin/python" "$dir/finding.py"
