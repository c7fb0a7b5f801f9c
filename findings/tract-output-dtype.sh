#!/bin/sh
# tract 0.23.9 ignores output_dtype of QuantizeLinear: INT8, INT4, UINT4 and INT2 without a zero point become UINT8.
#
# Expected: a QuantizeLinear without a zero point gives the type that output_dtype names, saturated to its range (since
#   opset 21, for symmetric quantization without a tensor of zeros, https://github.com/onnx/onnx/pull/5956).
# Behaviour: tract loads the model without a word and quantizes to UINT8. Negative inputs come out as 0 in the signed
#   types, and values above a 4- or 2-bit range are not saturated. The DequantizeLinear behind it hides the type.
#   With a zero point of 0 in INT8 the answer is right; with one in INT4 the model is refused, as a type tract lacks.
# Work-around: write the zero point, in INT8 or UINT8, with a Clip to the range in front.
#
# Seen on 2026-11-29 (Linux, x86-64, Python 3.11):
#   x                           [-9. -1.  0.  1.  9. 20.]
#   UINT8 zero point   expected [ 0.  0.  0.  1.  9. 20.]
#   UINT8 zero point   tract    [ 0.  0.  0.  1.  9. 20.]
#   INT8  zero point   expected [-9. -1.  0.  1.  9. 20.]
#   INT8  zero point   tract    [-9. -1.  0.  1.  9. 20.]
#   UINT8 output_dtype expected [ 0.  0.  0.  1.  9. 20.]
#   UINT8 output_dtype tract    [ 0.  0.  0.  1.  9. 20.]
#   INT8  output_dtype expected [-9. -1.  0.  1.  9. 20.]
#   INT8  output_dtype tract    [ 0.  0.  0.  1.  9. 20.]
#   UINT4 output_dtype expected [ 0.  0.  0.  1.  9. 15.]
#   UINT4 output_dtype tract    [ 0.  0.  0.  1.  9. 20.]
#   INT4  output_dtype expected [-8. -1.  0.  1.  7.  7.]
#   INT4  output_dtype tract    [ 0.  0.  0.  1.  9. 20.]
#   INT2  output_dtype expected [-2. -1.  0.  1.  1.  1.]
#   INT2  output_dtype tract    [ 0.  0.  0.  1.  9. 20.]
#   as described
#
# Exit status: 0 while this is so, 1 when it changes.
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
"${PYTHON:-python3}" -m venv "$dir/venv"
"$dir/venv/bin/pip" install --quiet --no-compile --disable-pip-version-check \
    onnx==1.23.2 numpy==2.4.6 ml_dtypes==0.6.0 protobuf==7.36.2 typing_extensions==4.16.0 \
    tract==0.23.9
cat > "$dir/finding.py" <<'EOF'
import sys

import numpy as np
import onnx
import tract
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

PATH = sys.argv[1]
RANGES = {"UINT8": (0, 255), "INT8": (-128, 127), "UINT4": (0, 15), "INT4": (-8, 7), "INT2": (-2, 1)}


def run(model, x):
    """The model's output in tract."""
    onnx.save(model, PATH)
    return tract.onnx().load(PATH).into_model().into_runnable().run([x])[0].to_numpy()


def quantizer(name, with_zero_point):
    """x -> QuantizeLinear(scale 1) -> DequantizeLinear -> y, of the type by zero point or attribute."""
    kind = getattr(TensorProto, name)
    zero = ["zero"] if with_zero_point else []
    attributes = {} if with_zero_point else {"output_dtype": kind}
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "scale", *zero], ["q"], **attributes),
        helper.make_node("DequantizeLinear", ["q", "scale", *zero], ["y"]),
    ]
    constants = [numpy_helper.from_array(np.float32(1), "scale")]
    constants += [helper.make_tensor("zero", kind, [], [0]) for _ in zero]
    graph = helper.make_graph(
        nodes,
        "quantizer",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [6])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [6])],
        constants,
    )
    opset = 25 if name == "INT2" else 21
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])
    model.ir_version = 10 if opset == 21 else 13
    onnx.checker.check_model(model, full_check=True)
    return model


x = np.array([-9, -1, 0, 1, 9, 20], np.float32)
as_described = True
print("x                          ", x)
for name, with_zero_point in (
    ("UINT8", True),
    ("INT8", True),
    ("UINT8", False),
    ("INT8", False),
    ("UINT4", False),
    ("INT4", False),
    ("INT2", False),
):
    model = quantizer(name, with_zero_point)
    expected = np.clip(np.rint(x), *RANGES[name])
    found = run(model, x)
    label = f"{name:5} {'zero point' if with_zero_point else 'output_dtype':12}"
    print(label, "expected", expected)
    print(label, "tract   ", found)
    as_described &= np.array_equal(ReferenceEvaluator(model).run(None, {"x": x})[0], expected)
    as_uint8 = np.clip(np.rint(x), *RANGES["UINT8"])
    as_described &= np.array_equal(found, expected if with_zero_point else as_uint8)

print("as described" if as_described else "CHANGED: no longer as described")
sys.exit(0 if as_described else 1)
EOF
"$dir/venv/bin/python" "$dir/finding.py" "$dir/model.onnx"
