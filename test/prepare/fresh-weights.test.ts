// Fresh weights: the spread of every kind against the formula, and what must stay.
import { describe, expect, it } from "vitest";
import { type Tensor, tensor } from "../../src/base/tensor.ts";
import { int, ints, string } from "../../src/graph/graph.ts";
import type { Model } from "../../src/onnx/model.ts";
import { type FreshWeights, freshWeights } from "../../src/prepare/fresh-weights.ts";
import type { WeightInit } from "../../src/prepare/weight-init.ts";
import { exampleFeeds } from "../../src/runtime/example-feeds.ts";
import { observe } from "../../src/runtime/observe.ts";
import { nodeRuntime } from "../../src/runtime/ort-node.ts";
import { type NodeLine, randomTensor, smallStudent } from "../compile/compile-model.ts";

async function fresh(
  model: Model,
  init: Exclude<WeightInit, "keep"> = "kaiming",
  options: { freeze?: readonly string[]; seed?: number } = {},
): Promise<FreshWeights> {
  const { known } = await observe(model, nodeRuntime, exampleFeeds(model, 2));
  const { freeze = [], seed = 0 } = options;
  return freshWeights(model, { init, seed, freeze, wanted: model.graph.outputs, known });
}

const data = (found: FreshWeights, name: string): Float32Array =>
  found.values.get(name)?.data as Float32Array;
const deviation = (x: Float32Array): number => Math.sqrt(x.reduce((sum, v) => sum + v * v, 0) / x.length);

/** Holds the sample deviation to `sigma` within four of its own standard errors. */
function expectDeviation(x: Float32Array, sigma: number): void {
  expect(Math.abs(deviation(x) / sigma - 1)).toBeLessThan(4 / Math.sqrt(2 * x.length));
}

const noise = (seed: number, ...dims: number[]): Tensor => randomTensor(seed, dims);
const shape = (...dims: number[]): Tensor => tensor("int64", dims);

interface Case {
  readonly what: string;
  readonly input: readonly number[];
  readonly weight: Tensor;
  readonly lines: readonly NodeLine[];
  readonly fanIn: number;
  readonly fanOut: number;
}

const cases: Case[] = [
  {
    what: "a convolution in groups",
    input: [2, 32, 6, 6],
    weight: noise(1, 64, 8, 3, 3),
    lines: [{ op: "Conv", inputs: ["x", "w"], output: "y", attributes: { group: int(4) } }],
    fanIn: 72,
    fanOut: 576,
  },
  {
    what: "a transposed convolution with strides",
    input: [2, 32, 6, 6],
    weight: noise(1, 32, 64, 2, 2),
    lines: [{ op: "ConvTranspose", inputs: ["x", "w"], output: "y", attributes: { strides: ints([2, 2]) } }],
    fanIn: 32,
    fanOut: 256,
  },
  {
    what: "a Gemm, transposed",
    input: [2, 40],
    weight: noise(1, 100, 40),
    lines: [{ op: "Gemm", inputs: ["x", "w"], output: "y", attributes: { transB: int(1) } }],
    fanIn: 40,
    fanOut: 100,
  },
  {
    what: "a MatMul",
    input: [2, 40],
    weight: noise(1, 40, 100),
    lines: [{ op: "MatMul", inputs: ["x", "w"], output: "y" }],
    fanIn: 40,
    fanOut: 100,
  },
  {
    what: "a MatMul behind a Transpose",
    input: [2, 40],
    weight: noise(1, 100, 40),
    lines: [
      { op: "Transpose", inputs: ["w"], output: "wt", attributes: { perm: ints([1, 0]) } },
      { op: "MatMul", inputs: ["x", "wt"], output: "y" },
    ],
    fanIn: 40,
    fanOut: 100,
  },
  {
    what: "a MatMul with its weight on the left",
    input: [2, 40, 3],
    weight: noise(1, 100, 40),
    lines: [{ op: "MatMul", inputs: ["w", "x"], output: "y" }],
    fanIn: 40,
    fanOut: 100,
  },
  {
    what: "an Einsum",
    input: [2, 5, 40],
    weight: noise(1, 4, 40, 30),
    lines: [
      { op: "Einsum", inputs: ["x", "w"], output: "y", attributes: { equation: string("btc,hcd->bhtd") } },
    ],
    fanIn: 40,
    fanOut: 120,
  },
];

describe.each(cases)("weights of $what", ({ input, weight, lines, fanIn, fanOut }) => {
  const model = () => smallStudent(input, { w: weight }, lines);
  it("are drawn by their own fans", async () => {
    expectDeviation(data(await fresh(model(), "kaiming"), "w"), Math.sqrt(2 / fanIn));
    const xavier = data(await fresh(model(), "xavier"), "w");
    const bound = Math.sqrt(6 / (fanIn + fanOut));
    expect(Math.max(...xavier.map(Math.abs))).toBeLessThanOrEqual(Math.fround(bound));
    expect(Math.max(...xavier.map(Math.abs))).toBeGreaterThan(0.98 * bound);
    expectDeviation(xavier, bound / Math.sqrt(3));
    const cut = data(await fresh(model(), "trunc-normal"), "w");
    expect(Math.max(...cut.map(Math.abs))).toBeLessThanOrEqual(Math.fround(0.04));
    // A normal distribution cut at two standard deviations has 0.8796 of its deviation left.
    expect(deviation(cut) / (0.02 * 0.8796)).toBeCloseTo(1, 1);
  });
});

describe("what is not a product's weight", () => {
  const one = (...dims: number[]): Tensor => noise(3, ...dims);
  const model = smallStudent(
    [2, 8, 6, 6],
    {
      k: one(16, 8, 3, 3),
      kb: one(16),
      scale: one(16),
      shift: one(16),
      mean: one(16),
      variance: tensor("float32", new Float32Array(16).fill(0.3)),
      slope: one(16, 1, 1),
      gamma: one(16, 1, 1),
      beta: one(16, 1, 1),
      place: one(1, 16, 4, 4),
      odd: one(1, 16, 4, 4),
      flat: shape(0, -1),
    },
    [
      { op: "Conv", inputs: ["x", "k", "kb"], output: "c" },
      { op: "BatchNormalization", inputs: ["c", "scale", "shift", "mean", "variance"], output: "n" },
      { op: "PRelu", inputs: ["n", "slope"], output: "p" },
      { op: "Mul", inputs: ["p", "gamma"], output: "g" },
      { op: "Add", inputs: ["g", "beta"], output: "b" },
      { op: "Add", inputs: ["b", "place"], output: "l" },
      { op: "Mul", inputs: ["l", "odd"], output: "o" },
      { op: "Reshape", inputs: ["o", "flat"], output: "y" },
    ],
  );

  it("gets the value of its part, and what has no known part stays", async () => {
    const found = await fresh(model);
    const all = (name: string) => [...new Set(data(found, name))];
    expect(all("kb")).toEqual([0]);
    expect([all("scale"), all("shift"), all("mean"), all("variance")]).toEqual([[1], [0], [0], [1]]);
    expect(all("slope")).toEqual([0.25]);
    expect([all("gamma"), all("beta")]).toEqual([[1], [0]]);
    expectDeviation(data(found, "place"), 0.02);
    expect(found.kept).toEqual(["odd"]);
  });

  it("stays where it is frozen, statistics too, both of a layer", async () => {
    const found = await fresh(model, "kaiming", { freeze: ["scale", "mean", "k*"] });
    expect([...found.values.keys()].sort()).toEqual(["beta", "gamma", "place", "shift", "slope"]);
  });

  it("depends on the seed and the name alone", async () => {
    const [a, again, other] = [
      await fresh(model),
      await fresh(model),
      await fresh(model, "kaiming", { seed: 1 }),
    ];
    expect(again).toEqual(a);
    expect(data(other, "k")).not.toEqual(data(a, "k"));
  });
});

describe("embeddings and recurrent layers", () => {
  it("an embedding stays one where its weight also gives the logits", async () => {
    const model = smallStudent([2, 3], { table: noise(1, 50, 24) }, [
      { op: "Cast", inputs: ["x"], output: "ids", attributes: { to: int(7) } },
      { op: "Gather", inputs: ["table", "ids"], output: "e" },
      { op: "Transpose", inputs: ["table"], output: "t", attributes: { perm: ints([1, 0]) } },
      { op: "MatMul", inputs: ["e", "t"], output: "y" },
    ]);
    expectDeviation(data(await fresh(model), "table"), 0.02);
  });

  it("recurrent weights are uniform by the hidden size, and the forget gate's bias is 1", async () => {
    const model = smallStudent(
      [2, 5, 6],
      { w: noise(1, 1, 64, 6), r: noise(2, 1, 64, 16), b: noise(3, 1, 128) },
      [{ op: "LSTM", inputs: ["x", "w", "r", "b"], output: "y", attributes: { hidden_size: int(16) } }],
    );
    const found = await fresh(model);
    for (const name of ["w", "r"]) {
      expect(Math.max(...data(found, name).map(Math.abs))).toBeLessThanOrEqual(0.25);
      expectDeviation(data(found, name), 0.25 / Math.sqrt(3));
    }
    const bias = data(found, "b");
    expect([...bias.slice(0, 64)]).toEqual(
      [32, 16, 16].flatMap((n, i) => new Array(n).fill(i === 1 ? 1 : 0)),
    );
    expect(new Set(bias.slice(64))).toEqual(new Set([0]));
  });
});
