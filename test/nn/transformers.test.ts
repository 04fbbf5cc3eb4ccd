// Layers of sequences: values held to the formulas on plain arrays, shapes, training, refusals.
import { describe, expect, it } from "vitest";
import type { Tensor } from "../../src/base/tensor.ts";
import { compileStep } from "../../src/compile/compile-step.ts";
import {
  buildModel,
  embedding,
  type Layer,
  layerNorm,
  linear,
  meanPool,
  positionEmbedding,
  selfAttention,
  sequential,
  textTransformer,
  tokens,
  transformerBlock,
  visionTransformer,
} from "../../src/nn/index.ts";
import { modelBytes } from "../../src/onnx/export-model.ts";
import type { Model } from "../../src/onnx/model.ts";
import { targets } from "../../src/ops/target.ts";
import { sgd } from "../../src/optim/sgd.ts";
import { exampleFeeds } from "../../src/runtime/example-feeds.ts";
import { observe } from "../../src/runtime/observe.ts";
import { nodeRuntime } from "../../src/runtime/ort-node.ts";
import { supervised } from "../compile/compile-model.ts";
import { testRandom } from "../gradient-checker.ts";

const build = (layer: Layer, dims: readonly (number | string)[], dtype: "float32" | "int64" = "float32") =>
  buildModel({ input: { name: "x", dims, dtype }, name: "test" }, layer);

const weight = (model: Model, name: string): Float32Array => {
  const found = [...model.graph.constants].find(([v]) => v.name === name);
  if (!found) throw new Error(`no weight ${name}`);
  return found[1].data as Float32Array;
};

async function run(model: Model, x: Tensor): Promise<Tensor> {
  const session = await nodeRuntime.load(modelBytes(model));
  const out = await session.run({ [model.inputs[0]!.name]: x });
  await session.release();
  return out[model.outputs[0]!.name] as Tensor;
}

function noise(dims: readonly number[]): Tensor {
  const random = testRandom(3);
  const size = dims.reduce((a, b) => a * b, 1);
  return { dtype: "float32", dims, data: Float32Array.from({ length: size }, () => 2 * random() - 1) };
}

describe("values", () => {
  it("embedding looks rows up, positions are added, meanPool averages", async () => {
    const model = build(sequential(embedding(5, 2), positionEmbedding(), meanPool()), ["batch", 3], "int64");
    const ids = { dtype: "int64", dims: [2, 3], data: BigInt64Array.of(4n, 0n, 1n, 2n, 2n, 3n) } as const;
    const y = await run(model, ids);
    const [table, positions] = [weight(model, "embedding1.weight"), weight(model, "position1.weight")];
    const wanted = [0, 1].flatMap((n) =>
      [0, 1].map((c) => {
        let sum = 0;
        for (let t = 0; t < 3; t++)
          sum += table[2 * Number(ids.data[3 * n + t]) + c]! + positions[2 * t + c]!;
        return sum / 3;
      }),
    );
    expect(y.dims).toEqual([2, 2]);
    wanted.forEach((w, i) => {
      expect((y.data as Float32Array)[i]).toBeCloseTo(w, 6);
    });
  });

  it("layerNorm has mean 0 and variance 1 over the last axis", async () => {
    const y = (await run(build(layerNorm(), [2, 3, 8]), noise([2, 3, 8]))).data as Float32Array;
    for (let r = 0; r < 6; r++) {
      const row = Array.from(y.subarray(8 * r, 8 * r + 8));
      expect(row.reduce((a, b) => a + b, 0)).toBeCloseTo(0, 5);
      expect(row.reduce((a, b) => a + b * b, 0) / 8).toBeCloseTo(1, 3);
    }
  });

  it("tokens are the positions of a map", async () => {
    const x = noise([1, 2, 2, 3]);
    const y = await run(build(tokens(), ["batch", 2, 2, 3]), x);
    expect(y.dims).toEqual([1, 6, 2]);
    const [from, to] = [x.data as Float32Array, y.data as Float32Array];
    for (let t = 0; t < 6; t++) for (let c = 0; c < 2; c++) expect(to[2 * t + c]).toBe(from[6 * c + t]);
  });

  it.each([false, true])("selfAttention is softmax(q·kᵀ/√d)·v of each head, causal %s", async (causal) => {
    const [length, width, heads] = [4, 6, 2];
    const model = build(selfAttention(heads, { causal }), ["batch", length, width]);
    const x = noise([2, length, width]);
    const y = (await run(model, x)).data as Float32Array;
    const each = width / heads;
    const affine = (row: readonly number[], name: string): number[] => {
      const [w, b] = [weight(model, `attention1/${name}.weight`), weight(model, `attention1/${name}.bias`)];
      return Array.from({ length: width }, (_, j) =>
        row.reduce((sum, v, i) => sum + v * w[i * width + j]!, b[j]!),
      );
    };
    for (let n = 0; n < 2; n++) {
      const rows = Array.from({ length }, (_, t) =>
        Array.from((x.data as Float32Array).subarray((n * length + t) * width, (n * length + t + 1) * width)),
      );
      const [q, k, v] = ["q", "k", "v"].map((name) => rows.map((r) => affine(r, name)));
      for (let t = 0; t < length; t++) {
        const mixed: number[] = [];
        for (let h = 0; h < heads; h++) {
          const seen = causal ? t + 1 : length;
          const scores = Array.from({ length: seen }, (_, s) => {
            let dot = 0;
            for (let d = 0; d < each; d++) dot += q![t]![h * each + d]! * k![s]![h * each + d]!;
            return Math.exp(dot / Math.sqrt(each));
          });
          const total = scores.reduce((a, b) => a + b, 0);
          for (let d = 0; d < each; d++)
            mixed.push(scores.reduce((sum, e, s) => sum + (e / total) * v![s]![h * each + d]!, 0));
        }
        affine(mixed, "out").forEach((w, c) => {
          expect(y[(n * length + t) * width + c]).toBeCloseTo(w, 5);
        });
      }
    }
  });
});

describe("models", () => {
  const models: [string, Model, number][] = [
    [
      "visionTransformer",
      visionTransformer({ size: 8, width: 12, depth: 2, heads: 3, classes: 4, dropout: 0.1 }),
      4480,
    ],
    [
      "textTransformer",
      textTransformer({ vocabulary: 20, length: 6, width: 8, depth: 1, heads: 2, classes: 3 }),
      1123,
    ],
  ];
  it.each(models)("%s: every weight is trained, and nothing but weights", async (_, model, parameters) => {
    const { known } = await observe(model, nodeRuntime, exampleFeeds(model, 2));
    const compiled = compileStep({
      student: model,
      known,
      teacherLogits: false,
      labels: true,
      taps: [],
      loss: supervised,
      optimizer: sgd({}),
      freeze: [],
      trainStatistics: true,
      target: targets.cpu,
    });
    const trained = compiled.weights.flatMap((p) => p.tensors);
    expect(trained.reduce((n, t) => n + t.size, 0)).toBe(parameters);
    expect(trained.map((t) => t.name).sort()).toEqual(
      [...model.graph.constants]
        .filter(([, t]) => t.dtype === "float32" && t.dims.length > 0)
        .map(([v]) => v.name)
        .sort(),
    );
  });

  it("have a sequence named features, and logits", async () => {
    for (const [, model] of models) {
      expect(model.graph.find("features")).toBeDefined();
      expect(model.outputs).toEqual([
        { name: "logits", dtype: "float32", dims: ["batch", expect.any(Number)] },
      ]);
    }
  });
});

describe("refusals", () => {
  const cases: [string, () => unknown, string, string][] = [
    [
      "floats to embed",
      () => build(embedding(3, 2), ["batch", 4]),
      "E_SHAPE",
      'layer "embedding1": embedding expects ids int64 [N, T], got float32 [batch,4]; declare the model\'s input with dtype "int64"',
    ],
    [
      "a map to attend to",
      () => build(selfAttention(2), ["batch", 4, 8, 8]),
      "E_SHAPE",
      'layer "attention1": selfAttention expects a sequence [N, T, C], got [batch,4,8,8]; put embedding() or tokens() before it',
    ],
    [
      "heads that do not divide",
      () => build(selfAttention(4), ["batch", 3, 6]),
      "E_SHAPE",
      'layer "attention1": 4 heads do not divide a width of 6; choose a divisor',
    ],
    [
      "patches that do not divide",
      () => visionTransformer({ size: 30, width: 8, depth: 1, heads: 2, classes: 2 }),
      "E_ARGUMENT",
      "visionTransformer: patches of 4 do not divide an image of 30; choose a divisor",
    ],
    [
      "a misspelt option",
      () => transformerBlock(2, { expansions: 2 } as object),
      "E_OPTION",
      'transformerBlock: unknown option "expansions". Did you mean "expansion"?',
    ],
    [
      "an epsilon of 0",
      () => layerNorm({ epsilon: 0 }),
      "E_ARGUMENT",
      "layerNorm: epsilon must be a number above 0, got 0",
    ],
  ];
  it.each(cases)("%s", (_, make, code, message) => {
    expect(make).toThrow(expect.objectContaining({ code, message }));
  });

  it("a sequence without bias is a product alone", async () => {
    const model = build(linear(3, { bias: false }), [2, 4, 5]);
    expect(model.graph.nodes.map((n) => n.op)).toEqual(["MatMul"]);
    expect((await run(model, noise([2, 4, 5]))).dims).toEqual([2, 4, 3]);
  });
});
