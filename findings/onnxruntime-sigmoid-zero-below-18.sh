#!/usr/bin/env bash
# onnxruntime 1.30.0, CPU: Sigmoid in float32 is exactly 0 below -18 and about twice the value at -17.
#
# Guess: e^x / (1 + e^x) to a few units in the last place, as the same op in float64 and numpy in float32 give it, down to -87.
# Seen: 0 from -18 on, so that the gradient of a rare label's binary cross-entropy, which is this value, vanishes without a word.
#
# Output (x, float32 Sigmoid over the right value):
#   -10 1.00
#   -17 2.16
#   -18 0.00
#   -40 0.00
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT; cd "$folder"
python3 -m venv venv && venv/bin/pip install -qq --retries 0 onnxruntime==1.30.0 onnx==1.23.1 numpy
cat > try.py <<'PY'
import numpy as np, onnxruntime as ort
from onnx import TensorProto as T, helper as h

node = h.make_node("Sigmoid", ["x"], ["y"])
graph = h.make_graph([node], "sigmoid", [h.make_tensor_value_info("x", T.FLOAT, [4])], [h.make_tensor_value_info("y", T.FLOAT, [4])])
model = h.make_model(graph, opset_imports=[h.make_opsetid("", 17)], ir_version=8)
x = np.array([-10, -17, -18, -40], "float32")
y = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"]).run(None, {"x": x})[0]
ratio = y.astype("float64") / (1 / (1 + np.exp(-x.astype("float64"))))
for at, r in zip(x, ratio):
    print(f"{at:.0f} {r:.2f}")
assert abs(ratio[0] - 1) < 0.01 and abs(ratio[1] - 1) > 0.1 and (ratio[2:] == 0).all(), ratio
PY
venv/bin/python try.py
