#!/usr/bin/env bash
# onnxruntime 1.30.0, onnx 1.23.1, CPU: beside one NaN, ReduceMax and TopK lose numbers that have nothing to do with it.
#
# Guess: NaN, as numpy and PyTorch have it, or the largest of the others; ONNX does not say which (onnx/onnx#4716). TopK: NaN first
# or NaN last.
# Seen: neither. ReduceMax gives NaN, the right maximum or a smaller one, by where NaN stands (part of it: microsoft/onnxruntime
# #10514). The two smallest of 5, NaN, 3, 1 are 5 and NaN. Whoever looks for NaN in a maximum does not find it.
#
# Output:
#   ReduceMax of 0 … 16 with 100 in place 3 and NaN in place 0: nan
#   ReduceMax of 0 … 16 with 100 in place 3 and NaN in place 1: 16
#   ReduceMax of 0 … 16 with 100 in place 3 and NaN in place 8: 100
#   the two smallest of 5, nan, 3, 1: 5 nan
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT; cd "$folder"
python3 -m venv venv && venv/bin/pip install -qq --retries 0 onnxruntime==1.30.0 onnx==1.23.1 numpy
cat > try.py <<'PY'
import numpy as np, onnxruntime as ort
from onnx import TensorProto as T, helper as h, numpy_helper as nh

def run(op, x, second, outputs, **attributes):
    node = h.make_node(op, ["x", "second"], outputs, **attributes)
    value = h.make_tensor_value_info("y", T.FLOAT, None)
    graph = h.make_graph([node], "extremes", [h.make_tensor_value_info("x", T.FLOAT, x.shape)], [value], [nh.from_array(np.array([second]), "second")])
    model = h.make_model(graph, opset_imports=[h.make_opsetid("", 18)], ir_version=8)
    return ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"]).run(["y"], {"x": x})[0].ravel()

found = []
for place in (0, 1, 8):
    x = np.arange(17, dtype="float32")
    x[3], x[place] = 100, np.nan
    found += [*run("ReduceMax", x, 0, ["y"])]
    print(f"ReduceMax of 0 … 16 with 100 in place 3 and NaN in place {place}: {found[-1]:.0f}")
found += [*run("TopK", np.array([5, np.nan, 3, 1], "float32"), 2, ["y", "places"], largest=0)]
print(f"the two smallest of 5, nan, 3, 1: {found[-2]:.0f} {found[-1]:.0f}")
np.testing.assert_array_equal(found, [np.nan, 16, 100, 5, np.nan])
PY
venv/bin/python try.py
