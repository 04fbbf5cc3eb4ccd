// Attention of ai.onnx and of com.microsoft: heads, shared key heads, masks of every form, windows, softcap, and refusals.
import { describe, expect, it } from "vitest";
import { tensor } from "../../src/base/tensor.ts";
import { float, int, ints, type Value } from "../../src/graph/graph.ts";
import { attentionOps } from "../../src/ops/attention.ts";
import type { Builder } from "../../src/ops/builder.ts";
import { newBuilder } from "../../src/ops/index.ts";
import { targets } from "../../src/ops/target.ts";
import { emit } from "./emit.ts";
import { data, microsoft, node, testNodes } from "./node-cases.ts";

const q = [2, 2, 3, 4];
const k = [2, 2, 5, 4];
const v = [2, 2, 5, 3];
const bools = (dims: readonly number[], ...values: number[]) => tensor("bool", values, dims);
const i32 = (dims: readonly number[], ...values: number[]) => tensor("int32", values, dims);
const i64 = (...values: number[]) => tensor("int64", values);
const some = bools([3, 5], 1, 0, 1, 1, 0, 1, 1, 1, 1, 1, 0, 0, 0, 1, 1);
const none = bools([2, 1, 3, 5], ...[1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1], ...Array(15).fill(1));
const [never, lowest] = [Number.NEGATIVE_INFINITY, -(2 - 2 ** -23) * 2 ** 127];
const forbidding = tensor(
  "float32",
  [Array(5).fill(never), [lowest, lowest, never, lowest, lowest], [0.5, never, 0, lowest, -0.5]].flat(),
  [3, 5],
);
const flat = { q_num_heads: int(2), kv_num_heads: int(2) };
const heads = { num_heads: int(2) };

testNodes(attentionOps, [
  node("Attention", [q, k, v], {}, { opset: 23 }),
  node(
    "Attention",
    [
      [2, 3, 8],
      [2, 5, 8],
      [2, 5, 6],
    ],
    flat,
    { opset: 23 },
  ),
  node("Attention", [q, k, v, [3, 5]], { scale: float(0.3) }, { opset: 23 }),
  node("Attention", [q, k, v, [2, 1, 3, 5]], { softcap: float(1.5) }, { opset: 24 }),
  node("Attention", [q, k, v, some], {}, { opset: 23 }),
  // Queries that may look at nothing, at a score beside the lowest float, and with a past.
  node("Attention", [q, k, v, data(forbidding)], {}, { opset: 23 }),
  node("Attention", [q, k, v, data(forbidding)], { is_causal: int(1), softcap: float(2) }, { opset: 24 }),
  node(
    "Attention",
    [[1, 2, 1, 4], [1, 2, 2, 4], [1, 2, 2, 3], undefined, [1, 2, 3, 4], [1, 2, 3, 3]],
    { is_causal: int(1) },
    { opset: 23, outputs: 3, used: [0] },
  ),
  node("Attention", [q, k, v, data(some)], { is_causal: int(1) }, { opset: 24 }),
  node(
    "Attention",
    [
      [2, 2, 4, 3],
      [2, 2, 4, 3],
      [2, 2, 4, 3],
    ],
    { is_causal: int(1) },
    { opset: 23 },
  ),
  node(
    "Attention",
    [
      [1, 4, 3, 2],
      [1, 2, 5, 2],
      [1, 2, 5, 3],
    ],
    {},
    { opset: 23 },
  ),
  node("Attention", [q, k, v, undefined, undefined, undefined, data(i64(2, 4))], {}, { opset: 24 }),
  node(
    "Attention",
    [q, k, v, undefined, [2, 2, 1, 4], [2, 2, 1, 3]],
    { is_causal: int(1) },
    { opset: 23, outputs: 3 },
  ),
  ...[0, 1, 2, 3].map((mode) =>
    node(
      "Attention",
      [q, k, v, [3, 5]],
      { qk_matmul_output_mode: int(mode), softcap: float(2) },
      { opset: 24, outputs: 4, used: [0, 3] },
    ),
  ),
  node("Attention", [q, k, v, data(none)], {}, { opset: 24 }),
  microsoft("Attention", [[2, 3, 4], [4, 12], [12]], heads),
  microsoft("Attention", [[2, 3, 4], [4, 12], [12]], { ...heads, unidirectional: int(1) }),
  microsoft("Attention", [[2, 3, 4], [4, 14], [14]], { ...heads, qkv_hidden_sizes: ints([4, 4, 6]) }),
  microsoft("Attention", [[2, 3, 4], [4, 12], [12], data(i32([2], 2, 3))], heads),
  microsoft("Attention", [[2, 3, 4], [4, 12], [12], data(i32([4], 2, 3, 0, 1))], heads),
  microsoft("Attention", [[2, 3, 4], [4, 12], [12], data(i32([2, 3], 1, 1, 0, 1, 0, 1))], {
    ...heads,
    mask_filter_value: float(-3),
  }),
  microsoft(
    "Attention",
    [[1, 3, 4], [4, 12], [12], i32([1, 3, 3], 1, 1, 0, 1, 0, 1, 1, 1, 1), undefined, [1, 2, 3, 3]],
    { ...heads, scale: float(0.4) },
  ),
  microsoft("Attention", [[2, 3, 4], [4, 12], [12]], heads, { outputs: 2 }),
  // More queries than keys and fewer: the last query sees all keys.
  microsoft(
    "MultiHeadAttention",
    [
      [2, 2, 4],
      [2, 4, 4],
      [2, 4, 6],
    ],
    { ...heads, unidirectional: int(1) },
  ),
  microsoft(
    "MultiHeadAttention",
    [
      [2, 3, 4],
      [2, 5, 4],
      [2, 5, 6],
    ],
    heads,
  ),
  microsoft("MultiHeadAttention", [[2, 3, 4], [2, 5, 4], [2, 5, 6], [14]], heads),
  microsoft(
    "MultiHeadAttention",
    [
      [2, 3, 4],
      [2, 2, 5, 2],
      [2, 2, 5, 2],
    ],
    heads,
  ),
  microsoft(
    "MultiHeadAttention",
    [[2, 3, 4], [2, 3, 4], [2, 3, 4], undefined, data(i32([2, 3], 1, 0, 1, 1, 1, 0)), [1, 2, 3, 3]],
    { ...heads, unidirectional: int(1) },
    { outputs: 3 },
  ),
]);

describe("refusals", () => {
  const start = (): [Builder, Value] => {
    const b = newBuilder("refusal", targets.cpu);
    return [b, b.graph.addInput("x", { dtype: "float32", dims: [2, 3, 4] })];
  };
  const mend = "export the model without a key/value cache and without graph optimizations";
  it("names what is not supported", () => {
    const [b, x] = start();
    const options = { domain: "com.microsoft" };
    expect(() => emit(b, "MultiHeadAttention", [x], heads, options)).toThrow(
      `MultiHeadAttention at node "node": packed queries, keys and values is not supported; ${mend}`,
    );
    const weights = b.graph.addInput("w", { dtype: "float32", dims: [4, 12] });
    const lengths = b.graph.addInput("m", { dtype: "int32", dims: [8] });
    expect(() => emit(b, "Attention", [x, weights, undefined, lengths], heads, options)).toThrow(
      `Attention at node "node": a mask of shape [8] is not supported; ${mend}`,
    );
    expect(() => emit(b, "Attention", [x, weights, undefined, undefined, x], heads, options)).toThrow(
      `Attention at node "node": a past is not supported; ${mend}`,
    );
  });
});
