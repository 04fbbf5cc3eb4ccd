// Rotary embeddings of both domains: halves and interleaved, whole heads and parts of them, given and offset positions.
import { describe, expect, it } from "vitest";
import { tensor } from "../../src/base/tensor.ts";
import { float, int } from "../../src/graph/graph.ts";
import { newBuilder } from "../../src/ops/index.ts";
import { rotaryOps } from "../../src/ops/rotary.ts";
import { targets } from "../../src/ops/target.ts";
import { emit } from "./emit.ts";
import { data, microsoft, node, testNodes } from "./node-cases.ts";

const positions = tensor("int64", [0, 4, 2, 1, 1, 3], [2, 3]);
const offset = tensor("int64", [2], [1]);
const x = [2, 2, 3, 4];

testNodes(rotaryOps, [
  node("RotaryEmbedding", [x, [2, 3, 2], [2, 3, 2]], {}, { opset: 23 }),
  node("RotaryEmbedding", [x, [5, 2], [5, 2], data(positions)], { interleaved: int(1) }, { opset: 23 }),
  node(
    "RotaryEmbedding",
    [[2, 3, 12], [5, 2], [5, 2], positions],
    { num_heads: int(2), rotary_embedding_dim: int(4) },
    { opset: 23 },
  ),
  microsoft("RotaryEmbedding", [x, data(positions), [5, 2], [5, 2]]),
  microsoft("RotaryEmbedding", [[2, 3, 8], data(offset), [5, 2], [5, 2]], {
    interleaved: int(1),
    scale: float(2),
  }),
  microsoft("RotaryEmbedding", [[2, 3, 8], offset, [5, 1], [5, 1]], {
    num_heads: int(2),
    rotary_embedding_dim: int(2),
  }),
]);

describe("refusals", () => {
  it("says what it found", () => {
    const b = newBuilder("refusal", targets.cpu);
    const v = b.graph.addInput("x", { dtype: "float32", dims: [2, 3, 8] });
    const cache = b.graph.addInput("cache", { dtype: "float32", dims: [5, 2] });
    expect(() => emit(b, "RotaryEmbedding", [v, cache, cache], { num_heads: int(3) }, { opset: 23 })).toThrow(
      'RotaryEmbedding at node "node": 8 elements do not divide into 3 heads; set its attribute num_heads',
    );
    expect(() =>
      emit(
        b,
        "RotaryEmbedding",
        [v, offset, cache, cache],
        { is_packed_batching: int(1) },
        {
          domain: "com.microsoft",
        },
      ),
    ).toThrow('RotaryEmbedding at node "node": is_packed_batching is not supported; export without it');
  });
});
