#!/usr/bin/env bash
# onnxruntime 1.30.0, onnx 1.23.1, CPU: DFT with inverse = onesided = 1 takes wrong bins unless there are dft_length/2 + 1 of them.
#
# Guess: as numpy's and PyTorch's irfft, and by the text of DFT-20, a longer spectrum is cut and a shorter one filled up with zeros.
# Seen, deterministic, without a warning:
# - more bins than dft_length/2 + 1: wrong for every length;
# - fewer: wrong where dft_length is a power of two, right for other lengths;
# - exactly as many: right.
# So does an FNO that is evaluated at another resolution than its spectrum's (irfft(n=...)), unless it slices or pads itself.
#
# Output (largest error against numpy, of values around 1):
#   6 bins, length 4: wrong
#   6 bins, length 5: wrong
#   6 bins, length 9: wrong
#   6 bins, length 10: right
#   6 bins, length 15: right
#   6 bins, length 16: wrong
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT; cd "$folder"
python3 -m venv venv && venv/bin/pip install -qq --retries 0 onnxruntime==1.30.0 onnx==1.23.1 numpy
cat > try.py <<'PY'
import numpy as np, onnxruntime as ort
from onnx import TensorProto as T, helper as h, numpy_helper as nh

x = np.random.default_rng(0).standard_normal((3, 6, 2)).astype("float32")
found = []
for length in (4, 5, 9, 10, 15, 16):
    constants = [nh.from_array(np.array(length), "length"), nh.from_array(np.array(1), "axis")]
    node = h.make_node("DFT", ["x", "length", "axis"], ["y"], inverse=1, onesided=1)
    graph = h.make_graph([node], "irfft", [h.make_tensor_value_info("x", T.FLOAT, [3, 6, 2])], [h.make_tensor_value_info("y", T.FLOAT, [3, length, 1])], constants)
    model = h.make_model(graph, opset_imports=[h.make_opsetid("", 20)], ir_version=10)
    y = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"]).run(None, {"x": x})[0][..., 0]
    error = np.abs(y - np.fft.irfft(x[..., 0] + 1j * x[..., 1], length, 1)).max()
    found.append(error < 1e-5)
    print(f"6 bins, length {length}: {'right' if error < 1e-5 else 'wrong'}")
assert found == [False, False, False, True, True, False], found
PY
venv/bin/python try.py
