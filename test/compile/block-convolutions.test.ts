// Convolutions in the runtime's blocked layout give what the plain ones give: node by node, and in a whole step.
import { beforeAll, describe, expect, test } from "vitest";
import { type Tensor, tensor } from "../../src/base/tensor.ts";
import { blockConvolutions } from "../../src/compile/block-convolutions.ts";
import { Graph, int, ints, type Value } from "../../src/graph/graph.ts";
import { buildModel, nn } from "../../src/index.ts";
import { writeGraph } from "../../src/onnx/write-graph.ts";
import { convWeightGradient } from "../../src/ops/convolution-gradients.ts";
import { newBuilder } from "../../src/ops/index.ts";
import { targets } from "../../src/ops/target.ts";
import { outputSizes, type Window } from "../../src/ops/window.ts";
import { nodeRuntime } from "../../src/runtime/ort-node.ts";
import { StepRunner } from "../../src/train/step-runner.ts";
import { compileModel, randomTensor } from "./compile-model.ts";

// x86 processors have blocks of 8 or 16. Elsewhere the layout may be missing; the plain form is then what is run.
let block: number;
beforeAll(async () => {
  block = (await nodeRuntime.convolutionBlock?.()) ?? 0;
});

interface Case {
  readonly x: readonly number[];
  readonly w: readonly number[];
  readonly attributes?: Record<string, readonly number[]>;
  readonly group?: number;
  readonly bias?: boolean;
  /** What becomes of the node. */
  readonly blocked: boolean;
}

const cases: Record<string, Case> = {
  "3×3": { x: [2, 32, 7, 9], w: [48, 32, 3, 3], attributes: { pads: [1, 1, 1, 1] }, blocked: true },
  "1×1": { x: [3, 16, 5, 5], w: [32, 16, 1, 1], blocked: true },
  "strides, uneven pads, bias": {
    x: [2, 16, 9, 8],
    w: [16, 16, 3, 2],
    attributes: { pads: [0, 1, 2, 0], strides: [2, 3] },
    bias: true,
    blocked: true,
  },
  dilations: { x: [2, 16, 9, 9], w: [32, 16, 3, 3], attributes: { dilations: [2, 1] }, blocked: true },
  depthwise: {
    x: [2, 32, 8, 8],
    w: [32, 1, 3, 3],
    group: 32,
    attributes: { pads: [1, 1, 1, 1] },
    blocked: true,
  },
  "fewer channels than a block": { x: [2, 3, 8, 8], w: [32, 3, 3, 3], blocked: true },
  "channels between blocks": { x: [2, 20, 6, 6], w: [32, 20, 3, 3], blocked: false },
  "maps between blocks": { x: [2, 16, 6, 6], w: [24, 16, 3, 3], blocked: false },
  groups: { x: [2, 32, 6, 6], w: [32, 16, 3, 3], group: 2, blocked: false },
  "one axis": { x: [2, 16, 9], w: [16, 16, 3], blocked: false },
};

describe.each(Object.entries(cases))("a convolution, %s", (_, c) => {
  test("is the same in the blocked layout", async () => {
    const attributes = Object.fromEntries(Object.entries(c.attributes ?? {}).map(([k, v]) => [k, ints(v)]));
    const b = newBuilder("conv", targets.cpu);
    const feeds: Record<string, Tensor> = { x: randomTensor(1, c.x), w: randomTensor(2, c.w) };
    if (c.bias) feeds.bias = randomTensor(3, [c.w[0] as number]);
    const given = Object.entries(feeds).map(([name, t]) => b.graph.addInput(name, t));
    const axes = c.w.length - 2;
    const y = b.node("Conv", given, {
      kernel_shape: ints(c.w.slice(2)),
      pads: ints(Array(2 * axes).fill(0)),
      strides: ints(Array(axes).fill(1)),
      dilations: ints(Array(axes).fill(1)),
      ...attributes,
      group: int(c.group ?? 1),
    });
    // Two users of x and of y, so that what is shared stays shared.
    b.graph.addOutput(b.add(y, b.relu(y)));
    const graph = block > 0 ? blockConvolutions(b.graph, block) : b.graph;
    expect(graph.nodes.some((n) => n.domain === "com.microsoft.nchwc")).toBe(c.blocked && block > 0);
    const [plain, rewritten] = await Promise.all([b.graph, graph].map((g) => runOnce(g, feeds)));
    expectClose(rewritten as Float32Array, plain as Float32Array);
  });
});

test("a value that feeds two convolutions is brought into the layout once", async () => {
  const b = newBuilder("shared", targets.cpu);
  const x = b.graph.addInput("x", { dtype: "float32", dims: [1, 16, 4, 4] });
  const conv = (seed: number): Value => b.node("Conv", [x, b.constant(randomTensor(seed, [16, 16, 1, 1]))]);
  b.graph.addOutput(b.add(conv(1), conv(2)));
  const ops = blockConvolutions(b.graph, 16).nodes.map((n) => n.op);
  expect(ops.filter((op) => op === "ReorderInput")).toHaveLength(1);
  expect(ops.filter((op) => op === "ReorderOutput")).toHaveLength(1);
});

test("what lies between convolutions stays in the layout, sums over positions too", async () => {
  const b = newBuilder("between", targets.cpu);
  const dims = [2, 32, 5, 6];
  const feeds = { x: randomTensor(1, dims), bias: randomTensor(2, [32]) };
  const [x, bias] = Object.entries(feeds).map(([name, t]) => b.graph.addInput(name, t)) as [Value, Value];
  const conv = (of: Value, seed: number, rest: readonly Value[] = []): Value =>
    b.node("Conv", [of, b.constant(randomTensor(seed, [32, 32, 1, 1])), ...rest]);
  const first = b.relu(conv(x, 3, [bias]));
  const second = b.sub(b.scale(b.mul(first, conv(first, 4)), 2), first);
  const clipped = b.node("Clip", [second, b.like(x, -3), b.like(x, 3)]);
  const sums = b.reduceSum(clipped, [2, 3]);
  b.graph.addOutput(b.add(sums, b.reduceSum(conv(clipped, 5), [2, 3])));
  const graph = block > 0 ? blockConvolutions(b.graph, block) : b.graph;
  if (block > 0) {
    const ops = graph.nodes.map((n) => n.op);
    expect(ops.filter((op) => op === "ReorderInput")).toHaveLength(1);
    expect(ops).not.toContain("ReorderOutput");
    expect(ops).not.toContain("Relu");
  }
  const [plain, rewritten] = await Promise.all([b.graph, graph].map((g) => runOnce(g, feeds)));
  expectClose(rewritten as Float32Array, plain as Float32Array);
});

test("a graph without an eligible convolution is left as it is", () => {
  const b = newBuilder("none", targets.cpu);
  b.graph.addOutput(b.relu(b.graph.addInput("x", { dtype: "float32", dims: [2, 3] })));
  expect(blockConvolutions(b.graph, 16)).toBe(b.graph);
});

interface GradientCase {
  readonly x: readonly number[];
  readonly maps: number;
  readonly window: Partial<Window> & Pick<Window, "kernel">;
  /** Whether the gradient becomes a blocked convolution. */
  readonly blocked: boolean;
}

const gradientCases: Record<string, GradientCase> = {
  "3×3": {
    x: [32, 5, 7, 9],
    maps: 32,
    window: { kernel: [3, 3], begin: [1, 1], end: [1, 1] },
    blocked: true,
  },
  "strides that leave inputs unseen": {
    x: [16, 3, 9, 12],
    maps: 16,
    window: { kernel: [3, 2], strides: [2, 3], begin: [0, 1], end: [0, 0] },
    blocked: true,
  },
  "dilations, uneven pads": {
    x: [16, 16, 8, 9],
    maps: 16,
    window: { kernel: [3, 3], dilations: [2, 1], begin: [3, 0], end: [1, 2] },
    blocked: true,
  },
  "samples between blocks": {
    x: [30, 4, 6, 6],
    maps: 16,
    window: { kernel: [3, 3], begin: [1, 1], end: [1, 1] },
    blocked: true,
  },
  "few samples": { x: [4, 4, 6, 6], maps: 16, window: { kernel: [3, 3] }, blocked: false },
  "maps between blocks": { x: [16, 4, 6, 6], maps: 20, window: { kernel: [3, 3] }, blocked: false },
  "1×1": { x: [16, 4, 6, 6], maps: 16, window: { kernel: [1, 1] }, blocked: false },
};

describe.each(Object.entries(gradientCases))("the weight gradient of a convolution, %s", (_, c) => {
  test("is the same by a blocked convolution as by a product", async () => {
    const none = [0, 0];
    const window = { strides: [1, 1], dilations: [1, 1], begin: none, end: none, ...c.window };
    const out = outputSizes(c.x.slice(2), window, "test");
    const feeds = { x: randomTensor(1, c.x), dy: randomTensor(2, [c.x[0] as number, c.maps, ...out]) };
    const [plain, blocked] = await Promise.all(
      [undefined, block || undefined].map(async (convolutionBlock) => {
        const b = newBuilder("gradient", { ...targets.cpu, convolutionBlock });
        const [x, dy] = Object.entries(feeds).map(([name, t]) => b.graph.addInput(name, t)) as [Value, Value];
        const dims = [c.maps, c.x[1] as number, ...window.kernel];
        b.graph.addOutput(convWeightGradient(b, x, dy, window, 1, dims));
        b.graph.prune();
        const graph = convolutionBlock ? blockConvolutions(b.graph, convolutionBlock) : b.graph;
        const products = graph.nodes.filter((n) => n.op === "FusedMatMul").length;
        expect(products).toBe(convolutionBlock && c.blocked ? 0 : 1);
        return runOnce(graph, feeds);
      }),
    );
    expectClose(blocked as Float32Array, plain as Float32Array);
  });
});

test("names that the graph has already are not given again", async () => {
  const graph = new Graph("names", [["", 21]]);
  const dims = [1, 16, 3, 3];
  const x = graph.addInput("x", { dtype: "float32", dims });
  const w = graph.addConstant("w", randomTensor(4, [16, 16, 1, 1]));
  const type = { dtype: "float32", dims } as const;
  const [a] = graph.addNode({ op: "Conv", name: "c", inputs: [x, w], outputs: ["a"], types: [type] }).outputs;
  const [r] = graph.addNode({
    op: "Relu",
    name: "c/Reshape",
    inputs: [a],
    outputs: ["c/ReorderInput"],
    types: [type],
  }).outputs;
  graph.addOutput(r as Value);
  const rewritten = blockConvolutions(graph, 16);
  const names = rewritten.nodes.map((n) => n.name);
  expect(new Set(names).size).toBe(names.length);
  expect(rewritten.outputs[0]?.name).toBe("c/ReorderInput");
});

test("three steps of a network come to the same weights in either layout", async () => {
  const student = buildModel(
    { input: { name: "x", dims: ["batch", 3, 12, 12] }, seed: 1 },
    nn.sequential(
      nn.conv(16, 3, { padding: 1, bias: false }),
      nn.batchNorm(),
      nn.relu(),
      nn.residual(nn.sequential(nn.conv(16, 3, { padding: 1, bias: false }), nn.batchNorm()), {
        activation: nn.relu(),
      }),
      nn.conv(32, 3, { padding: 1, stride: 2 }),
      nn.batchNorm(),
      nn.conv(32, 1),
      nn.globalAveragePool(),
      nn.linear(4),
    ),
  );
  const batch = 32;
  const hot = Array.from({ length: 4 * batch }, (_, i) => (i % 4 === (i >> 2) % 4 ? 1 : 0));
  const feeds = { x: randomTensor(7, [batch, 3, 12, 12]), labels: tensor("float32", hot, [batch, 4]) };
  const trained = await Promise.all(
    [undefined, block || undefined].map(async (convolutionBlock) => {
      const compiled = await compileModel(student, batch, { convolutionBlock });
      expect(compiled.step.nodes.filter((n) => n.op === "ReorderOutput").length > 0).toBe(!!convolutionBlock);
      const runner = await StepRunner.load(compiled, nodeRuntime, 0);
      for (let step = 0; step < 3; step++)
        (await runner.run(feeds, { step, steps: 3, stepsPerEpoch: 3 }, 0.1)).accept();
      return runner.weights();
    }),
  );
  const [plain, blocked] = trained as [Map<string, Tensor>, Map<string, Tensor>];
  expect(plain.size).toBeGreaterThan(8);
  for (const [name, t] of plain)
    expectClose(blocked.get(name)?.data as Float32Array, t.data as Float32Array, name);
});

async function runOnce(graph: Graph, feeds: Record<string, Tensor>): Promise<Float32Array> {
  const session = await nodeRuntime.load(writeGraph(graph));
  const { [graph.outputs[0]?.name as string]: y } = await session.run(feeds);
  await session.release();
  return y?.data as Float32Array;
}

/** Within 1e-5 of the largest value: sums of up to 432 products in another order. */
function expectClose(actual: Float32Array, wanted: Float32Array, what = ""): void {
  expect(actual.length, what).toBe(wanted.length);
  const largest = wanted.reduce((a, v) => Math.max(a, Math.abs(v)), 0);
  const worst = wanted.reduce((a, v, i) => Math.max(a, Math.abs(v - (actual[i] as number))), 0);
  expect(worst, what).toBeLessThan(1e-5 * largest);
}
