#!/usr/bin/env bash
# onnxruntime 1.30.0, onnx 1.23.1, CPU: Col2Im with dilations over one axis adds the blocks up at wrong places.
#
# Guess: what the same blocks give over two axes of which the first has length 1, and what ONNX's reference gives.
# Seen: right without dilations; with them other sums, deterministic, without a warning. Over two axes it is right.
#
# Output:
#   dilation 1, one axis: right
#   dilation 2, one axis: wrong
#   dilation 2, two axes: right
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT; cd "$folder"
python3 -m venv venv && venv/bin/pip install -qq --retries 0 onnxruntime==1.30.0 onnx==1.23.1 numpy
cat > try.py <<'PY'
import numpy as np, onnxruntime as ort
from onnx import TensorProto as T, helper as h, numpy_helper as nh

def wanted(x, size, block, dilation):
    y = np.zeros((x.shape[0], x.shape[1] // block, size), "float32")
    for o in range(x.shape[2]):
        for k in range(block):
            y[:, :, o + k * dilation] += x[:, k::block, o]
    return y

found = []
for dilation, axes in ((1, 1), (2, 1), (2, 2)):
    size, block = 8, 3
    x = np.random.default_rng(0).standard_normal((1, 2 * block, size - dilation * (block - 1))).astype("float32")
    lead = [1] * (axes - 1)
    constants = [nh.from_array(np.array([*lead, size]), "image"), nh.from_array(np.array([*lead, block]), "block")]
    node = h.make_node("Col2Im", ["x", "image", "block"], ["y"], dilations=[*lead, dilation])
    graph = h.make_graph([node], "fold", [h.make_tensor_value_info("x", T.FLOAT, list(x.shape))], [h.make_tensor_value_info("y", T.FLOAT, None)], constants)
    model = h.make_model(graph, opset_imports=[h.make_opsetid("", 18)], ir_version=10)
    y = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"]).run(None, {"x": x})[0]
    found.append(bool(np.abs(y.reshape(1, 2, size) - wanted(x, size, block, dilation)).max() < 1e-5))
    print(f"dilation {dilation}, {'one axis' if axes == 1 else 'two axes'}: {'right' if found[-1] else 'wrong'}")
assert found == [True, False, True], found
PY
venv/bin/python try.py
