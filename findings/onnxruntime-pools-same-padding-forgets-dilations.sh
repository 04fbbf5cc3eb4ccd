#!/usr/bin/env bash
# onnxruntime 1.30.0, onnx 1.23.1, CPU: MaxPool and AveragePool with auto_pad SAME_UPPER or SAME_LOWER pad as if nothing were dilated.
#
# Guess: as many values as the input has at stride 1: ONNX says ceil(input / stride), with the dilated kernel in the padding's sum.
# Seen: padding for the kernel without its dilations, which are then applied: the output is shorter, with no more than a warning where
# the value is an output whose shape was inferred. Conv refuses the same ("Dilation not supported for AutoPadType::SAME_UPPER …").
#
# Output (10 values, a kernel of 3, stride 1; how many come out):
#   MaxPool SAME_UPPER: 10 without, 8 with dilation 2
#   MaxPool SAME_LOWER: 10 without, 8 with dilation 2
#   AveragePool SAME_UPPER: 10 without, 8 with dilation 2
#   AveragePool SAME_LOWER: 10 without, 8 with dilation 2
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT; cd "$folder"
python3 -m venv venv && venv/bin/pip install -qq --retries 0 onnxruntime==1.30.0 onnx==1.23.1 numpy
cat > try.py <<'PY'
import numpy as np, onnx, onnxruntime as ort
from onnx import TensorProto as T, helper as h

x = np.arange(10, dtype="float32").reshape(1, 1, 10)
def length(op, auto_pad, dilation):
    node = h.make_node(op, ["x"], ["y"], kernel_shape=[3], auto_pad=auto_pad, dilations=[dilation])
    graph = h.make_graph([node], "pool", [h.make_tensor_value_info("x", T.FLOAT, x.shape)], [h.make_tensor_value_info("y", T.FLOAT, None)])
    model = h.make_model(graph, opset_imports=[h.make_opsetid("", 19)], ir_version=9)
    inferred = onnx.shape_inference.infer_shapes(model).graph.output[0].type.tensor_type.shape.dim[2].dim_value
    assert inferred == 10, inferred  # what ONNX itself says of both
    options = ort.SessionOptions()
    options.log_severity_level = 3
    return ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"]).run(None, {"x": x})[0].shape[2]

found = []
for op in ("MaxPool", "AveragePool"):
    for auto_pad in ("SAME_UPPER", "SAME_LOWER"):
        found.append((length(op, auto_pad, 1), length(op, auto_pad, 2)))
        print(f"{op} {auto_pad}: {found[-1][0]} without, {found[-1][1]} with dilation 2")
assert found == [(10, 8)] * 4, found
PY
venv/bin/python try.py
