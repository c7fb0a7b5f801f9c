#!/bin/sh
# qonnx 1.0.0: QCDQToQuant turns a Clip that is no full range of its container's sign into another function.
#
# Expected: QCDQToQuant replaces QuantizeLinear -> Clip -> DequantizeLinear by a Quant node that computes the same, as
#   its description says ("If a Clip node is found ..., this will be taken into account for the Quant bitwidth calculation"), or leaves or
#   refuses what a Quant node cannot say.
# Behaviour: only the number of levels is kept, rounded up to a power of two. The sign comes from the container. So
#   codes 0..3 in INT8 (a ReLU at 2 bits) become -2..1: negative inputs come back and 2, 3 are cut to 1.
#   Codes -2..2 in INT8 (5 levels) become -3..3, codes 0..6 in UINT8 become 0..7. No word is said.
#   Full ranges (-2..1 and -1..1 in INT8, 0..3 in UINT8) are right.
# Work-around: unsigned codes in UINT8 and full ranges only, or Quant nodes written directly.
#
# Seen on 2026-11-29 (Linux, x86-64, Python 3.11):
#   x                              [-9. -2. -1.  0.  1.  2.  6.  9.]
#   int8 -2..1   expected          [-2. -2. -1.  0.  1.  1.  1.  1.]
#   int8 -2..1   after conversion  [-2. -2. -1.  0.  1.  1.  1.  1.]
#   int8 -1..1   expected          [-1. -1. -1.  0.  1.  1.  1.  1.]
#   int8 -1..1   after conversion  [-1. -1. -1.  0.  1.  1.  1.  1.]
#   uint8 0..3   expected          [0. 0. 0. 0. 1. 2. 3. 3.]
#   uint8 0..3   after conversion  [0. 0. 0. 0. 1. 2. 3. 3.]
#   int8 0..3    expected          [0. 0. 0. 0. 1. 2. 3. 3.]
#   int8 0..3    after conversion  [-2. -2. -1.  0.  1.  1.  1.  1.]
#   int8 -2..2   expected          [-2. -2. -1.  0.  1.  2.  2.  2.]
#   int8 -2..2   after conversion  [-3. -2. -1.  0.  1.  2.  3.  3.]
#   uint8 0..6   expected          [0. 0. 0. 0. 1. 2. 6. 6.]
#   uint8 0..6   after conversion  [0. 0. 0. 0. 1. 2. 6. 7.]
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


def quantize_and_clip(kind, low, high):
    """x -> QuantizeLinear(scale 1, zero point 0) -> Clip(low, high) -> DequantizeLinear -> y."""
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "scale", "zero"], ["q"]),
        helper.make_node("Clip", ["q", "low", "high"], ["c"]),
        helper.make_node("DequantizeLinear", ["c", "scale", "zero"], ["y"]),
    ]
    constants = [
        numpy_helper.from_array(np.float32(1), "scale"),
        numpy_helper.from_array(np.array(0, kind), "zero"),
        numpy_helper.from_array(np.array(low, kind), "low"),
        numpy_helper.from_array(np.array(high, kind), "high"),
    ]
    graph = helper.make_graph(
        nodes,
        "quantize_and_clip",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [8])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [8])],
        constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)])
    model.ir_version = 10
    onnx.checker.check_model(model, full_check=True)
    return model


x = np.array([-9, -2, -1, 0, 1, 2, 6, 9], np.float32)
as_described = True
print("x                             ", x)
for kind, low, high, became in (
    (np.int8, -2, 1, (-2, 1)),
    (np.int8, -1, 1, (-1, 1)),
    (np.uint8, 0, 3, (0, 3)),
    (np.int8, 0, 3, (-2, 1)),
    (np.int8, -2, 2, (-3, 3)),
    (np.uint8, 0, 6, (0, 7)),
):
    model = quantize_and_clip(kind, low, high)
    expected = np.clip(np.rint(x), low, high)
    before, after = before_and_after(model, x)
    name = f"{kind.__name__} {low}..{high}"
    print(f"{name:12} expected         ", expected)
    print(f"{name:12} after conversion ", after)
    as_described &= np.array_equal(ReferenceEvaluator(model).run(None, {"x": x})[0], expected)
    as_described &= np.array_equal(before, expected)
    as_described &= np.array_equal(after, np.clip(np.rint(x), *became))

print("as described" if as_described else "CHANGED: no longer as described")
sys.exit(0 if as_described else 1)
EOF
"$dir/venv/bin/python" "$dir/finding.py"
