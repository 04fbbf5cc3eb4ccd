// Where neurons can be compared: the ends of blocks, found by how data flows, whatever the ops are called.
import { describe, expect, test } from "vitest";
import { int, ints } from "../../src/graph/graph.ts";
import { buildModel } from "../../src/nn/build-model.ts";
import * as nn from "../../src/nn/index.ts";
import type { TapCandidate } from "../../src/taps/candidates.ts";
import { batch, candidatesOf, Draft, transformer } from "./graphs.ts";

const names = (list: readonly TapCandidate[]) => list.map((c) => c.name);
const blocks = (list: readonly TapCandidate[]) => names(list.filter((c) => c.block));
const suggested = (list: readonly TapCandidate[]) => names(list.filter((c) => c.suggested));

test("a plain chain: one candidate a layer, after normalisation and activation; the last of each resolution", async () => {
  const model = buildModel(
    { input: { name: "x", dims: ["n", 1, 8, 8] }, seed: 0 },
    nn.sequential(
      nn.conv(4, 3, { padding: 1 }),
      nn.batchNorm(),
      nn.relu({ name: "first" }),
      nn.conv(4, 3, { padding: 1 }),
      nn.relu({ name: "second" }),
      nn.maxPool(2),
      nn.conv(8, 3, { padding: 1 }),
      nn.relu({ name: "third" }),
      nn.globalAveragePool(),
      nn.linear(3),
    ),
  );
  const found = await candidatesOf(model);
  expect(found).toContainEqual({
    name: "second",
    shape: [2, 4, 8, 8],
    axis: 1,
    neurons: 4,
    resolution: [8, 8],
    positions: 64,
    depth: 2 / 3,
    block: true,
    end: true,
    suggested: true,
  });
  expect(blocks(found).filter((n) => !/ool/i.test(n))).toEqual(["first", "second", "third"]);
  expect(suggested(found).slice(0, 2)).toEqual(["second", "third"]);
  expect(found.at(-1)).toMatchObject({ resolution: [], positions: 1, neurons: 8, suggested: true });
});

test("residual blocks: the activation after each sum; values of a branch are listed, and are no blocks", async () => {
  const d = new Draft();
  const stem = d.node("stem", "Relu", [d.conv("c0", d.input("x", [batch, 3, 8, 8]), 3, 4)]);
  const branch = d.node("branch", "Relu", [d.conv("c1", stem, 4, 4)]);
  const sum = d.node("sum", "Add", [d.conv("c2", branch, 4, 4), stem]);
  const end = d.node("end", "Relu", [sum]);
  const down = d.node("down", "Add", [d.conv("c3", end, 4, 6, 2), d.conv("c4", end, 4, 6, 2, 1)]);
  const last = d.node("last", "Relu", [down]);
  const found = await d.candidates(d.node("logits", "GlobalAveragePool", [d.conv("head", last, 6, 5)]));
  expect(blocks(found)).toEqual(["stem", "end", "last", "head"]);
  expect(names(found)).toContain("branch");
  // The classifying convolution is a block at its resolution too, but residual blocks are where stages end.
  expect(suggested(found)).toEqual(["end", "last"]);
});

test("a gate is no end of a block: the sum before it stays the end of its resolution", async () => {
  const d = new Draft();
  const stem = d.conv("stem", d.input("x", [batch, 3, 8, 8]), 3, 4);
  const sum = d.node("sum", "Add", [d.conv("c1", stem, 4, 4), stem]);
  const wide = d.conv("wide", sum, 4, 8);
  const swish = d.node("swish", "Mul", [wide, d.node("gate", "Sigmoid", [wide])]);
  const found = await d.candidates(d.conv("head", d.conv("down", swish, 8, 4, 2), 4, 2));
  expect(blocks(found)).toEqual(["stem", "sum", "swish", "down"]);
  expect(suggested(found)).toEqual(["sum", "down"]);
});

test("skip connections across resolutions: levels without a block are suggested by their last value", async () => {
  const d = new Draft();
  const top = d.node("top", "Relu", [d.conv("c0", d.input("x", [batch, 1, 8, 8]), 1, 4)]);
  const middle = d.node("middle", "Relu", [d.conv("c1", top, 4, 4, 2)]);
  const bottom = d.node("bottom", "Relu", [d.conv("c2", middle, 4, 6, 2)]);
  const up = (name: string, x: typeof top, from: number) =>
    d.node(name, "ConvTranspose", [x, d.weight(from, 4, 2, 2)], { strides: ints([2, 2]) });
  const cat1 = d.node("cat1", "Concat", [up("up1", bottom, 6), middle], { axis: int(1) });
  const middle2 = d.node("middle2", "Relu", [d.conv("c3", cat1, 8, 4)]);
  const cat2 = d.node("cat2", "Concat", [up("up2", middle2, 4), top], { axis: int(1) });
  const top2 = d.node("top2", "Relu", [d.conv("c4", cat2, 8, 4)]);
  const found = await d.candidates(d.conv("mask", top2, 4, 2, 1, 1));
  expect(suggested(found).sort()).toEqual(["bottom", "middle2", "top2"].sort());
  expect(found.find((c) => c.name === "middle2")?.block).toBe(false);
});

test("channel shuffles are another dress of the same numbers", async () => {
  const d = new Draft();
  const relu = d.node("relu", "Relu", [d.conv("c0", d.input("x", [batch, 1, 4, 4]), 1, 6)]);
  const split = d.node("split", "Reshape", [relu, d.ints(batch, 2, 3, 4, 4)]);
  const turned = d.node("turned", "Transpose", [split], { perm: ints([0, 2, 1, 3, 4]) });
  const shuffled = d.node("shuffled", "Reshape", [turned, d.ints(batch, 6, 4, 4)]);
  const found = await d.candidates(d.conv("head", shuffled, 6, 2));
  expect(names(found)).toEqual(["shuffled"]);
});

describe("transformers", () => {
  test("the second of each two residual sums ends a block; four are suggested, evenly in depth", async () => {
    const { draft, output } = transformer(8);
    const found = await draft.candidates(output);
    expect(found.filter((c) => c.end && c.positions > 1).map((c) => c.name)).toEqual(
      Array.from({ length: 8 }, (_, i) => `block${i}`),
    );
    expect(suggested(found)).toEqual(["block1", "block3", "block5", "block7"]);
    const depths = found.filter((c) => c.suggested).map((c) => c.depth);
    // The embedding, and four weighted layers a block.
    expect(depths).toEqual([9, 17, 25, 33].map((layers) => layers / 33));
    expect(found.find((c) => c.name === "block1")).toMatchObject({
      neurons: 8,
      axis: 2,
      resolution: [6],
      positions: 6,
    });
  });

  test("a mask that goes into every block is no branch of the data", async () => {
    const { draft, output } = transformer(1);
    expect(blocks(await draft.candidates(output))).toEqual(["embed", "attended0", "block0", "pooled"]);
  });

  test("a model that ends in its residual stream keeps the last sum, though it has the output's shape", async () => {
    const { draft } = transformer(2);
    const last = draft.graph.find("block1")!;
    const found = await draft.candidates(draft.node("output", "Relu", [last]));
    expect(blocks(found)).toEqual(["embed", "attended0", "block0", "attended1", "block1"]);
  });
});

test("a perceptron: every hidden layer, four at most suggested", async () => {
  const d = new Draft();
  let x = d.input("x", [batch, 4]);
  for (let i = 0; i < 6; i++)
    x = d.node(`h${i}`, "Tanh", [d.node(`p${i}`, "Gemm", [x, d.weight(4, 4), d.weight(4)])]);
  const logits = d.node("logits", "Gemm", [x, d.weight(4, 3)]);
  const found = await d.candidates(d.node("probabilities", "Softmax", [logits]));
  expect(names(found)).toEqual(["h0", "h1", "h2", "h3", "h4", "h5"]);
  expect(suggested(found)).toEqual(["h1", "h2", "h4", "h5"]);
});

test("other outputs of the model are no taps, and do not hide the blocks before them", async () => {
  const d = new Draft();
  const first = d.node("first", "Relu", [d.conv("c0", d.input("x", [batch, 1, 4, 4]), 1, 4)]);
  const second = d.node("second", "Relu", [d.conv("c1", first, 4, 4)]);
  const third = d.node("third", "Relu", [d.conv("c2", second, 4, 4)]);
  const found = await d.candidates(d.conv("head", third, 4, 2), first);
  expect(names(found)).toEqual(["c0", "second", "third"]);
});

test("[N, H, W, C] maps count their last axis, across reshapes that leave it whole", async () => {
  const d = new Draft();
  const map = d.node("map", "MatMul", [d.input("x", [batch, 4, 6, 3]), d.weight(3, 8)]);
  const row = d.node("row", "Reshape", [map, d.ints(batch, 24, 8)]);
  const back = d.node("back", "Reshape", [row, d.ints(batch, 4, 6, 8)]);
  const rolled = d.node("rolled", "Concat", [back, back], { axis: int(1) });
  const relu = d.node("relu", "Relu", [rolled]);
  const pooled = d.node("pooled", "ReduceMean", [relu], { axes: ints([1, 2]), keepdims: int(0) });
  const found = await d.candidates(d.node("logits", "MatMul", [pooled, d.weight(8, 2)]));
  expect(found.find((c) => c.name === "relu")).toMatchObject({ axis: 3, neurons: 8, resolution: [8, 6] });
});
