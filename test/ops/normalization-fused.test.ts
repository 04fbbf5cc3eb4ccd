// Normalisations with a residual sum or embeddings in front, in ONNX Runtime's spelling.
import { describe, expect, it } from "vitest";
import { tensor } from "../../src/base/tensor.ts";
import { float, int } from "../../src/graph/graph.ts";
import { newBuilder } from "../../src/ops/index.ts";
import { fusedNormalizationOps } from "../../src/ops/normalization-fused.ts";
import { targets } from "../../src/ops/target.ts";
import { emit } from "./emit.ts";
import { data, microsoft, node, testNodes } from "./node-cases.ts";

const ids = tensor("int32", [1, 0, 4, 2, 2, 1], [2, 3]);
const segments = tensor("int32", [0, 1, 1, 0, 0, 1], [2, 3]);
const mask = tensor("int32", [1, 1, 0, 1, 1, 1], [2, 3]);
const positions = tensor("int32", [2, 1, 0, 0, 1, 3], [2, 3]);
const tables = [
  [5, 4],
  [4, 4],
  [2, 4],
];
/** ONNX Runtime's CPU kernel gives no mean and no deviation. */
const first = { outputs: 4, used: [0, 3] };

testNodes(fusedNormalizationOps, [
  node("SimplifiedLayerNormalization", [[2, 3, 4], [4]], {}, { opset: 11 }),
  node(
    "SimplifiedLayerNormalization",
    [[2, 3, 4], [4]],
    { axis: int(-1), epsilon: float(0.1) },
    { outputs: 2, opset: 17 },
  ),
  microsoft("SkipLayerNormalization", [[2, 3, 4], [2, 3, 4], [4]], { epsilon: float(0.1) }),
  microsoft("SkipLayerNormalization", [[2, 3, 4], [2, 3, 4], [4], [4], [4]], {}, first),
  microsoft("SkipLayerNormalization", [[2, 3, 4], [3, 4], [4], [4]]),
  microsoft("SkipSimplifiedLayerNormalization", [[2, 3, 4], [2, 3, 4], [4]], { epsilon: float(0.1) }),
  microsoft("SkipSimplifiedLayerNormalization", [[2, 3, 4], [1, 3, 4], [4], [4]], {}, first),
  microsoft("EmbedLayerNormalization", [data(ids), data(segments), ...tables, [4], [4]], {}, { outputs: 3 }),
  microsoft(
    "EmbedLayerNormalization",
    [ids, undefined, [5, 4], [4, 4], undefined, [4], [4], data(mask), data(positions)],
    { epsilon: float(0.01) },
    { outputs: 2 },
  ),
]);

describe("EmbedLayerNormalization", () => {
  it("refuses more tokens than positions", () => {
    const b = newBuilder("long", targets.cpu);
    const table = (rows: number) => b.graph.addInput(`t${rows}`, { dtype: "float32", dims: [rows, 4] });
    const scale = b.graph.addInput("scale", { dtype: "float32", dims: [4] });
    expect(() =>
      emit(
        b,
        "EmbedLayerNormalization",
        [ids, undefined, table(5), table(2), undefined, scale, scale],
        {},
        {
          domain: "com.microsoft",
        },
      ),
    ).toThrow(
      'EmbedLayerNormalization at node "node": 3 tokens, but the position embedding has 2 rows; feed shorter sequences',
    );
  });
});
