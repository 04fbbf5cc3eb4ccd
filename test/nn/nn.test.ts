// Layers: the graph that they make, its shapes as ONNX Runtime finds them, names, initialisation, refusals.
import { describe, expect, it } from "vitest";
import { type Tensor, tensor } from "../../src/base/tensor.ts";
import {
  averagePool,
  batchNorm,
  block,
  buildModel,
  conv,
  type Dim,
  demoStudent,
  demoTeacher,
  depthwiseConv,
  dropout,
  flatten,
  gelu,
  globalAveragePool,
  globalMaxPool,
  hardSwish,
  type Initialization,
  type Layer,
  leakyRelu,
  linear,
  maxPool,
  relu,
  relu6,
  residual,
  resnet,
  sequential,
  sigmoid,
  silu,
  tanh,
} from "../../src/nn/index.ts";
import { modelBytes, withOutputs } from "../../src/onnx/export-model.ts";
import type { Model } from "../../src/onnx/model.ts";
import { opTable } from "../../src/ops/index.ts";
import { nodeRuntime } from "../../src/runtime/ort-node.ts";
import { testRandom } from "../gradient-checker.ts";

const build = (layer: Layer, dims: readonly Dim[] = ["batch", 4, 8, 8], seed = 0) =>
  buildModel({ input: { name: "x", dims }, seed, name: "test" }, layer);

const weights = (model: Model): Map<string, Tensor> =>
  new Map([...model.graph.constants].map(([value, t]) => [value.name, t]));
const weight = (model: Model, name: string): Float32Array => weights(model).get(name)?.data as Float32Array;

/** Trainable numbers: all but the running statistics and scalars. */
function parameters(model: Model): number {
  let count = 0;
  for (const [name, t] of weights(model))
    if (!name.includes(".running_") && t.dims.length > 0) count += t.data.length;
  return count;
}

async function run(model: Model, dims: readonly number[], fetch?: readonly string[]) {
  const session = await nodeRuntime.load(modelBytes(model));
  try {
    const random = testRandom(5);
    const x = Float32Array.from({ length: dims.reduce((n, d) => n * d, 1) }, () => 4 * random() - 2);
    const [input] = model.inputs;
    const out = await session.run({ [input!.name]: { dtype: "float32", dims, data: x } }, fetch);
    return { x, y: out[model.outputs[0]!.name] as Tensor };
  } finally {
    await session.release();
  }
}

describe("shapes are those that ONNX Runtime finds", () => {
  const cases: [string, Layer, readonly Dim[], (readonly number[])?][] = [
    ["conv", conv(6, 3), ["batch", 4, 8, 8]],
    ["conv same", conv(6, 3, { padding: "same" }), ["batch", 4, 7, 8]],
    ["conv same, even kernel", conv(6, [2, 4], { padding: "same" }), ["batch", 4, 7, 8]],
    ["conv same, stride", conv(6, 3, { padding: "same", stride: 2 }), ["batch", 4, 7, 8]],
    ["conv same, stride beyond the kernel", conv(2, 1, { padding: "same", stride: 3 }), ["batch", 4, 7, 8]],
    [
      "conv per axis",
      conv(6, [3, 1], { stride: [1, 2], padding: [2, 0], dilation: [2, 1] }),
      ["batch", 4, 7, 8],
    ],
    ["conv groups, no bias", conv(6, 3, { groups: 2, bias: false }), ["batch", 4, 7, 8]],
    ["conv 1-D", conv(6, 3, { padding: 1, stride: 2 }), ["batch", 4, 9]],
    ["conv 3-D", conv(2, 2), ["batch", 1, 3, 4, 5]],
    ["depthwise", depthwiseConv(3, { multiplier: 2, padding: 1 }), ["batch", 4, 7, 8]],
    ["max pool", maxPool(2), ["batch", 4, 7, 8]],
    ["max pool, padded", maxPool(3, { stride: 2, padding: 1 }), ["batch", 4, 7, 8]],
    ["average pool", averagePool([2, 3], { stride: 1, padding: 1 }), ["batch", 4, 7, 8]],
    ["global average", globalAveragePool(), ["batch", 4, 7, 8]],
    ["global maximum, as a map", globalMaxPool({ flatten: false }), ["batch", 4, 7, 8]],
    ["flatten and linear", sequential(flatten(), linear(3)), ["batch", 4, 2, 3]],
    ["linear without bias", linear(3, { bias: false }), ["batch", 5]],
    ["batch norm", batchNorm({ epsilon: 1e-3, momentum: 0.99 }), ["batch", 4, 7, 8]],
    [
      "residual with a shortcut",
      residual(conv(6, 3, { padding: 1 }), { shortcut: conv(6, 1) }),
      ["batch", 4, 7, 8],
    ],
    [
      "open height and width",
      sequential(conv(6, 3), globalAveragePool(), linear(2)),
      ["batch", 4, "h", "w"],
      [2, 4, 9, 7],
    ],
    [
      "activations",
      sequential(relu(), leakyRelu(0.2), relu6(), sigmoid(), tanh(), hardSwish(), silu(), gelu()),
      ["batch", 5],
    ],
  ];
  it.each(cases)("%s", async (_, layer, dims, at) => {
    const model = build(layer, dims);
    const fed = at ?? dims.map((d) => (typeof d === "number" ? d : 2));
    const { y } = await run(model, fed);
    const declared = model.outputs[0]!.dims;
    expect(y.dims).toEqual(declared.map((d, i) => (typeof d === "number" ? d : y.dims[i])));
    expect([y.dims[0], declared[0]]).toEqual([2, "batch"]);
    expect(Array.from(y.data as Float32Array).every(Number.isFinite)).toBe(true);
  });
});

describe("values", () => {
  const erf = (x: number): number => {
    // Simpson's rule: independent of any closed approximation.
    const n = 2000;
    const f = (t: number) => Math.exp(-t * t);
    let sum = f(0) + f(x);
    for (let i = 1; i < n; i++) sum += (i % 2 ? 4 : 2) * f((x * i) / n);
    return (2 / Math.sqrt(Math.PI)) * ((x / (3 * n)) * sum);
  };
  const logistic = (x: number) => 1 / (1 + Math.exp(-x));
  it.each<[string, Layer, (x: number) => number]>([
    ["relu", relu(), (x) => Math.max(x, 0)],
    ["leakyRelu", leakyRelu(), (x) => (x < 0 ? 0.01 * x : x)],
    ["relu6", sequential(leakyRelu(8), relu6()), (x) => Math.min(Math.max(x < 0 ? 8 * x : x, 0), 6)],
    ["sigmoid", sigmoid(), logistic],
    ["tanh", tanh(), Math.tanh],
    ["hardSwish", hardSwish(), (x) => x * Math.min(Math.max(x / 6 + 0.5, 0), 1)],
    ["silu", silu(), (x) => x * logistic(x)],
    ["gelu", gelu(), (x) => (x / 2) * (1 + erf(x / Math.SQRT2))],
    ["dropout, not training", dropout(0.9), (x) => x],
    ["batchNorm, untrained", batchNorm(), (x) => x / Math.sqrt(1 + 1e-5)],
    ["residual around nothing but relu", residual(relu()), (x) => x + Math.max(x, 0)],
    [
      "residual with activation",
      residual(tanh(), { activation: relu() }),
      (x) => Math.max(0, x + Math.tanh(x)),
    ],
  ])("%s", async (_, layer, f) => {
    const { x, y } = await run(build(layer, ["batch", 6]), [3, 6]);
    Array.from(x, f).forEach((wanted, i) => {
      expect(y.data[i]).toBeCloseTo(wanted, 5);
    });
  });

  it("conv and linear multiply by weights of PyTorch's layout", async () => {
    const model = build(sequential(conv(2, 1), flatten(), linear(2)), ["batch", 3, 1, 1]);
    const { x, y } = await run(model, [1, 3, 1, 1]);
    const apply = (name: string, input: number[]) =>
      Array.from(weight(model, `${name}.bias`), (bias, k) =>
        input.reduce((s, v, i) => s + v * weight(model, `${name}.weight`)[k * input.length + i]!, bias),
      );
    const wanted = apply("linear1", apply("conv1", [...x]));
    wanted.forEach((v, i) => {
      expect(y.data[i]).toBeCloseTo(v, 5);
    });
  });
});

it("every op that a layer writes can be part of a student", () => {
  const layers = [
    conv(4, 3),
    batchNorm(),
    relu(),
    relu6(),
    leakyRelu(),
    sigmoid(),
    tanh(),
    hardSwish(),
    silu(),
  ];
  const more = [gelu(), maxPool(2), residual(averagePool(1)), globalMaxPool({ flatten: false })];
  const model = build(sequential(...layers, ...more, globalAveragePool(), dropout(), linear(3)));
  expect(model.graph.nodes.map((n) => n.op).filter((op) => !opTable.has(op))).toEqual([]);
});

describe("names", () => {
  it("number layers by kind, in each scope anew, and give weights their layer's name", () => {
    const model = build(
      sequential(
        conv(4, 1, { bias: false }),
        batchNorm(),
        sequential(relu(), conv(4, 1)),
        block("stage1", conv(4, 1), residual(conv(4, 1), { name: "inner" }), residual(relu())),
        relu({ name: "features" }),
        globalAveragePool(),
        linear(3),
      ),
    );
    expect(model.graph.nodes.map((n) => `${n.name} -> ${n.outputs[0]?.name}`)).toEqual([
      "conv1 -> conv1",
      "bn1 -> bn1",
      "relu1 -> relu1",
      "conv2 -> conv2",
      "stage1/conv1 -> stage1/conv1",
      "stage1/inner/conv1 -> stage1/inner/conv1",
      "stage1/inner/add -> stage1/inner/add",
      "stage1/residual1/relu1 -> stage1/residual1/relu1",
      "stage1/residual1/add -> stage1/residual1/add",
      "features -> features",
      "globalAveragePool1/pool -> globalAveragePool1/pool",
      "globalAveragePool1 -> globalAveragePool1",
      "linear1 -> logits",
    ]);
    expect([...weights(model).keys()].slice(0, 7)).toEqual([
      "conv1.weight",
      "bn1.weight",
      "bn1.bias",
      "bn1.running_mean",
      "bn1.running_var",
      "conv2.weight",
      "conv2.bias",
    ]);
    expect(weights(model).has("stage1/inner/conv1.weight")).toBe(true);
    expect(model.inputs).toEqual([{ name: "x", dtype: "float32", dims: ["batch", 4, 8, 8] }]);
    expect(model.outputs).toEqual([{ name: "logits", dtype: "float32", dims: ["batch", 3] }]);
    expect(model.graph.opsets.get("")).toBe(17);
  });

  it("an inner name stays whole in its scope, so that a tap is easy", () => {
    const model = build(block("stage1", relu({ name: "features" }), relu()));
    const node = model.graph.nodes[0]!;
    expect([node.name, node.outputs[0]?.name]).toEqual(["stage1/features", "features"]);
  });

  it("the output takes its name from the option, else from the last layer, else it is logits", () => {
    const output = (options: { output?: string }, layer: Layer) =>
      buildModel({ input: { name: "x", dims: ["batch", 2] }, ...options }, layer).outputs[0]?.name;
    expect(output({}, relu())).toBe("logits");
    expect(output({}, relu({ name: "scores" }))).toBe("scores");
    expect(output({ output: "y" }, relu({ name: "scores" }))).toBe("y");
  });
});

describe("initialisation", () => {
  const filled = (init: Initialization, seed = 0) =>
    build(sequential(conv(32, 3, { init }), flatten(), linear(50, { init })), ["batch", 16, 5, 5], seed);
  const spread = (w: Float32Array) => {
    const mean = w.reduce((s, v) => s + v, 0) / w.length;
    return {
      mean,
      sd: Math.sqrt(w.reduce((s, v) => s + (v - mean) ** 2, 0) / w.length),
      top: Math.max(...w.map(Math.abs)),
    };
  };
  /** fan_in 144 and 288, fan_out 288 and 50. */
  it.each<[Initialization, string, number, boolean]>([
    ["pytorch", "conv1", 1 / Math.sqrt(144), true],
    ["pytorch", "linear1", 1 / Math.sqrt(288), true],
    ["xavier-uniform", "conv1", Math.sqrt(6 / (144 + 288)), false],
    ["xavier-uniform", "linear1", Math.sqrt(6 / (288 + 50)), false],
  ])("%s of %s is uniform within its bound", (init, layer, bound, bias) => {
    const model = filled(init);
    const { mean, sd, top } = spread(weight(model, `${layer}.weight`));
    expect(top).toBeLessThanOrEqual(bound);
    expect(top).toBeGreaterThan(0.99 * bound);
    expect(sd / (bound / Math.sqrt(3))).toBeCloseTo(1, 1);
    expect(Math.abs(mean) / bound).toBeLessThan(0.03);
    const b = spread(weight(model, `${layer}.bias`));
    expect(b.top).toBeLessThanOrEqual(bias ? bound : 0);
    expect(b.top > 0).toBe(bias);
  });
  it("kaiming-normal has the deviation √(2/fan_in), and no bias", () => {
    const model = filled("kaiming-normal");
    const { sd, top } = spread(weight(model, "conv1.weight"));
    expect(sd / Math.sqrt(2 / 144)).toBeCloseTo(1, 1);
    expect(top / sd).toBeGreaterThan(3);
    expect(spread(weight(model, "conv1.bias")).top).toBe(0);
  });
  it("zeros are zeros", () => {
    for (const [name, t] of weights(filled("zeros")))
      expect({ name, all: [...(t.data as Float32Array)].every((v) => v === 0) }).toEqual({ name, all: true });
  });
  it("groups count the channels that a filter sees", () => {
    const w = weight(build(conv(64, 3, { groups: 4 }), ["batch", 16, 8, 8]), "conv1.weight");
    expect(w.length).toBe(64 * 4 * 9);
    expect(spread(w).top).toBeGreaterThan(0.99 / Math.sqrt(36));
    expect(spread(w).top).toBeLessThanOrEqual(1 / Math.sqrt(36));
  });
  it("follows the seed, to the byte, and the weight's name alone", () => {
    expect(modelBytes(filled("pytorch", 7))).toEqual(modelBytes(filled("pytorch", 7)));
    expect(weight(filled("pytorch", 8), "conv1.weight")).not.toEqual(
      weight(filled("pytorch", 7), "conv1.weight"),
    );
    const longer = build(
      sequential(conv(32, 3), relu(), conv(8, 1), flatten(), linear(50)),
      ["batch", 16, 5, 5],
      7,
    );
    expect(weight(longer, "conv1.weight")).toEqual(weight(filled("pytorch", 7), "conv1.weight"));
    expect(weight(longer, "conv2.weight").slice(0, 8)).not.toEqual(
      weight(longer, "conv1.weight").slice(0, 8),
    );
  });
  it("of batchNorm is scale 1, bias 0, mean 0, variance 1, with the attributes as given", () => {
    const model = build(batchNorm(), ["batch", 2, 3]);
    expect(
      Object.fromEntries([...weights(model)].map(([name, t]) => [name, [...(t.data as Float32Array)]])),
    ).toEqual({
      "bn1.weight": [1, 1],
      "bn1.bias": [0, 0],
      "bn1.running_mean": [0, 0],
      "bn1.running_var": [1, 1],
    });
    const { epsilon, momentum } = model.graph.nodes[0]!.attributes;
    expect([epsilon?.value, momentum?.value].map((v) => Math.fround(v as number))).toEqual(
      [1e-5, 0.9].map(Math.fround),
    );
  });
});

describe("models of the demo and the benchmarks", () => {
  it("have the parameters of the recipe, and maps that can be compared", async () => {
    const [teacher, student] = [demoTeacher(), demoStudent()];
    expect([parameters(teacher), parameters(student)]).toEqual([174_970, 11_266]);
    for (const model of [teacher, student]) {
      expect(model.inputs).toEqual([{ name: "image", dtype: "float32", dims: ["batch", 1, 28, 28] }]);
      const { y } = await run(model, [2, 1, 28, 28]);
      expect(y.dims).toEqual([2, 10]);
      const session = await nodeRuntime.load(withOutputs(model, ["features"]));
      const image = tensor("float32", new Float32Array(28 * 28), [1, 1, 28, 28]);
      expect((await session.run({ image }, ["features"])).features?.dims).toEqual([1, 64, 7, 7]);
      await session.release();
    }
  });
  it("resnet names its blocks, and projects where a stage begins", () => {
    const model = resnet({ widths: [16, 32], blocks: 1, inputChannels: 3, classes: 5 });
    expect(model.graph.nodes.map((n) => n.name)).toEqual([
      ...["stem/conv1", "stem/bn1", "stem/relu1"],
      ...["conv1", "bn1", "relu1", "conv2", "bn2", "add", "relu2"].map((n) => `stage1/block1/${n}`),
      ...["conv1", "bn1", "relu1", "conv2", "bn2"].map((n) => `stage2/block1/${n}`),
      ...["shortcut/conv1", "shortcut/bn1", "add", "features"].map((n) => `stage2/block1/${n}`),
      ...["globalAveragePool1/pool", "globalAveragePool1", "linear1"],
    ]);
    expect([...weights(model).keys()].filter((k) => /conv\d\.bias/.test(k))).toEqual([]);
  });
});

describe("refusals", () => {
  const cases: [string, () => unknown, string, string][] = [
    [
      "a residual whose sides differ",
      () => build(block("stage2", residual(conv(8, 3, { stride: 2, padding: 1 }), { name: "block1" }))),
      "E_SHAPE",
      'layer "stage2/block1": residual: the body gives [batch,8,4,4], the shortcut [batch,4,8,8]; they must be equal, so add a shortcut such as conv(8, 1, { stride })',
    ],
    [
      "linear on a map",
      () => build(linear(3)),
      "E_SHAPE",
      'layer "linear1": linear expects a matrix [N, F] or a sequence [N, T, F], got [batch,4,8,8]; put flatten(), globalAveragePool() or tokens() before it',
    ],
    [
      "linear on an open size",
      () => build(sequential(flatten(), linear(3)), ["batch", 4, "h", 8]),
      "E_SHAPE",
      'layer "linear1": the features of its input [batch,?] must be a number, because weights depend on it; give it in the model\'s input',
    ],
    [
      "conv on a matrix",
      () => build(conv(3, 3), ["batch", 4]),
      "E_SHAPE",
      'layer "conv1": expected a map [N, C, H, W], got [batch,4]; put it before flatten and global pooling',
    ],
    [
      "a kernel larger than the map",
      () => build(conv(3, 5, { dilation: 2 })),
      "E_SHAPE",
      'layer "conv1": a window of [9,9] does not fit its input [batch,4,8,8], padding included; use a smaller kernel, less stride before it, or padding: "same"',
    ],
    [
      "groups that do not divide",
      () => build(conv(6, 3, { groups: 4 })),
      "E_SHAPE",
      'layer "conv1": 4 groups do not divide 4 channels in and 6 out; both must be multiples of the groups',
    ],
    [
      "a wrong number of strides",
      () => build(conv(6, 3, { stride: [1, 1, 1] })),
      "E_ARGUMENT",
      'layer "conv1": stride: expected a whole number from 1 on, or 2 of them, got [1,1,1]',
    ],
    ["no filters", () => conv(0, 3), "E_ARGUMENT", "conv: filters: expected a whole number from 1 on, got 0"],
    [
      "a misspelt option",
      () => conv(3, 3, { strides: 2 } as object),
      "E_OPTION",
      'conv: unknown option "strides". Did you mean "stride"?',
    ],
    [
      "an unknown initialisation",
      () => linear(3, { init: "kaiming" as Initialization }),
      "E_OPTION",
      'linear: no initialisation "kaiming"; use pytorch, kaiming-normal, xavier-uniform, normal, trunc-normal, zeros. Did you mean "kaiming-normal"?',
    ],
    ["a ratio of 1", () => dropout(1), "E_ARGUMENT", "dropout: ratio must be in [0, 1), got 1"],
    [
      "an epsilon of 0",
      () => batchNorm({ epsilon: 0 }),
      "E_ARGUMENT",
      "batchNorm: epsilon must be a number above 0, got 0",
    ],
    [
      "a name twice",
      () => build(sequential(relu({ name: "a" }), block("stage", relu({ name: "a" })))),
      "E_NAME",
      'layer "stage/a": the name "a" is taken already; names are unique in the whole model, choose another',
    ],
    [
      "a name with a slash",
      () => build(relu({ name: "a/b" })),
      "E_ARGUMENT",
      'relu: a layer\'s name must not be empty or hold a slash, got "a/b"',
    ],
    ["no layers", () => build(sequential()), "E_ARGUMENT", 'buildModel: "test" has no layers'],
    [
      "an impossible input",
      () => build(relu(), ["batch", 0]),
      "E_ARGUMENT",
      "buildModel: the input's dimensions must be whole numbers from 1 on, or names, got [batch,0]",
    ],
    [
      "no widths",
      () => resnet({ widths: [], blocks: 1, inputChannels: 1, classes: 2 }),
      "E_ARGUMENT",
      "resnet: widths must be one or more whole numbers from 1 on, got []",
    ],
  ];
  it.each(cases)("%s", (_, make, code, message) => {
    expect(make).toThrow(expect.objectContaining({ code, message }));
  });
});
