#!/usr/bin/env bash
# onnxruntime 1.30.0, onnx 1.23.1, CPU: MeanVarianceNormalization of values that are all equal is NaN.
#
# Guess: 0. ONNX defines the op as a function whose body adds 1e-9 to the deviation, and its reference gives 0.
# Seen: NaN, without a warning (microsoft/onnxruntime#10228, closed as stale): a blank image, or a channel that a ReLU has emptied,
# spoils everything behind it.
#
# Output (value: onnxruntime, reference):
#   0: nan 0
#   3: nan 0
#   two values, 3 and 5: -1 -1
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT; cd "$folder"
python3 -m venv venv && venv/bin/pip install -qq --retries 0 onnxruntime==1.30.0 onnx==1.23.1 numpy
cat > try.py <<'PY'
import numpy as np, onnxruntime as ort
from onnx import TensorProto as T, helper as h
from onnx.reference import ReferenceEvaluator

shape = [1, 1, 2, 2]
node = h.make_node("MeanVarianceNormalization", ["x"], ["y"])
graph = h.make_graph([node], "mvn", [h.make_tensor_value_info("x", T.FLOAT, shape)], [h.make_tensor_value_info("y", T.FLOAT, shape)])
model = h.make_model(graph, opset_imports=[h.make_opsetid("", 13)], ir_version=8)
session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
found = []
for name, values in (("0", [0, 0, 0, 0]), ("3", [3, 3, 3, 3]), ("two values, 3 and 5", [3, 3, 5, 5])):
    x = np.array(values, "float32").reshape(shape)
    found.append([float(run(None, {"x": x})[0].flat[0]) for run in (session.run, ReferenceEvaluator(model).run)])
    print(f"{name}: {found[-1][0]:.0f} {found[-1][1]:.0f}")
assert np.isnan([f[0] for f in found]).tolist() == [True, True, False] and [round(f[1]) for f in found] == [0, 0, -1], found
PY
venv/bin/python try.py
