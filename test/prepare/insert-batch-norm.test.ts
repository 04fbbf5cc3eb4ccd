// BatchNormalization inserted for training and folded back: the same function, the user's own graph, exact gradients.
import { describe, expect, it } from "vitest";
import { type Tensor, tensor } from "../../src/base/tensor.ts";
import { compileStep, names } from "../../src/compile/compile-step.ts";
import { Graph, int, ints } from "../../src/graph/graph.ts";
import { modelBytes, withWeights } from "../../src/onnx/export-model.ts";
import type { Model } from "../../src/onnx/model.ts";
import { readModel } from "../../src/onnx/read-model.ts";
import { writeGraph } from "../../src/onnx/write-graph.ts";
import { targets } from "../../src/ops/target.ts";
import { sgd } from "../../src/optim/sgd.ts";
import {
  type PreparedStudent,
  type PrepareStudentOptions,
  prepareStudent,
} from "../../src/prepare/prepare-student.ts";
import { nodeRuntime } from "../../src/runtime/ort-node.ts";
import type { Runtime, Session } from "../../src/runtime/session.ts";
import { type NodeLine, randomTensor, smallStudent, supervised } from "../compile/compile-model.ts";
import { testRandom } from "../gradient-checker.ts";
import { evaluate } from "../reference/index.ts";

/** Every kind of convolution: without a bias, with its own, in groups, two with one bias, transposed; then a classifier. */
const lines: NodeLine[] = [
  { op: "Conv", inputs: ["x", "a.weight"], output: "a" },
  { op: "Relu", inputs: ["a"], output: "ar" },
  { op: "Conv", inputs: ["ar", "b.weight", "b.bias"], output: "b", attributes: { group: int(2) } },
  { op: "Relu", inputs: ["b"], output: "br" },
  { op: "Conv", inputs: ["br", "c.weight", "shared"], output: "c" },
  { op: "Conv", inputs: ["br", "d.weight", "shared"], output: "d" },
  { op: "Add", inputs: ["c", "d"], output: "s" },
  {
    op: "ConvTranspose",
    inputs: ["s", "e.w", "e.bias"],
    output: "e",
    attributes: { group: int(2), strides: ints([2, 2]) },
  },
  { op: "Relu", inputs: ["e"], output: "er" },
  { op: "Conv", inputs: ["er", "head", "head.bias"], output: "map" },
  { op: "GlobalAveragePool", inputs: ["map"], output: "pooled" },
  { op: "Flatten", inputs: ["pooled"], output: "logits" },
];
const constants = {
  "a.weight": randomTensor(1, [4, 2, 3, 3]),
  "b.weight": randomTensor(2, [6, 2, 3, 3]),
  "b.bias": randomTensor(3, [6]),
  "c.weight": randomTensor(4, [4, 6, 1, 1]),
  "d.weight": randomTensor(5, [4, 6, 1, 1]),
  shared: randomTensor(6, [4]),
  "e.w": randomTensor(7, [4, 3, 2, 2]),
  "e.bias": randomTensor(8, [6]),
  head: randomTensor(9, [3, 6, 1, 1]),
  "head.bias": randomTensor(10, [3]),
};
const student = (extra: readonly NodeLine[] = lines, more: Record<string, Tensor> = {}): Model =>
  smallStudent([4, 2, 8, 8], { ...constants, ...more }, extra);

/** The same model with its initialisers as the outputs of Constant nodes, as PaddlePaddle's exporter writes it. */
function inConstantNodes(model: Model): Model {
  const graph = new Graph("student", model.graph.opsets);
  for (const input of model.graph.inputs) graph.addInput(input.name, input.type);
  for (const [v, value] of model.graph.constants)
    graph.addNode({
      op: "Constant",
      inputs: [],
      outputs: [v.name],
      attributes: { value: { kind: "tensor", value } },
    });
  for (const node of model.graph.nodes)
    graph.addNode({
      ...node,
      inputs: node.inputs.map((v) => v && graph.find(v.name)),
      outputs: node.outputs.map((v) => v?.name ?? ""),
    });
  for (const v of model.graph.outputs) graph.addOutput(graph.find(v.name)!);
  return readModel(writeGraph(graph), { source: "student.onnx" });
}

const x = randomTensor(20, [4, 2, 8, 8]);
const prepare = (model: Model, options: Partial<PrepareStudentOptions> = {}): Promise<PreparedStudent> =>
  prepareStudent(model, {
    runtime: nodeRuntime,
    batch: 4,
    feeds: { x },
    activation: "softmax",
    taps: [],
    insertBatchNorm: true,
    ...options,
  });

async function run(bytes: Uint8Array, name = "logits"): Promise<Float32Array> {
  const session = await nodeRuntime.load(bytes);
  const out = await session.run({ x: randomTensor(21, [4, 2, 8, 8]) }, [name]);
  await session.release();
  return out[name]?.data as Float32Array;
}

function expectClose(actual: Float32Array, wanted: Float32Array, tolerance = 1e-5): void {
  const largest = Math.max(...wanted.map(Math.abs));
  expect(largest).toBeGreaterThan(0.01);
  actual.forEach((v, i) => {
    expect(Math.abs(v - (wanted[i] as number)), `element ${i}`).toBeLessThan(tolerance * largest);
  });
}

/** What training holds: every constant of the trained model, optionally moved at random, variances kept above 0. */
function stateOf(prepared: PreparedStudent, move = 0): Map<string, Tensor> {
  const random = testRandom(30);
  return new Map(
    [...prepared.model.graph.constants].flatMap(([v, t]) => {
      if (t.dtype !== "float32" || v.name === "shared" || v.name.startsWith("b.bias")) return [];
      const moved = Float32Array.from(t.data as Float32Array, (w) => {
        const next = w + move * (random() - 0.5);
        return v.name.endsWith("variance") ? Math.abs(next) + 0.1 * move : next;
      });
      return v.name === "e.bias" ? [] : [[v.name, { ...t, data: moved }] as const];
    }),
  );
}

/** The trained model in inference form, with a state in it. */
async function unfolded(
  prepared: PreparedStudent,
  state: ReadonlyMap<string, Tensor>,
): Promise<Float32Array> {
  return run(withWeights(prepared.model, state).bytes);
}

describe("a BatchNormalization after each convolution", () => {
  it("leaves the function as it was, in training as in the exported file", async () => {
    const model = student();
    const prepared = await prepare(model);
    const before = await run(modelBytes(model));
    expectClose(await run(modelBytes(prepared.model)), before);
    expectClose(await run(prepared.export(stateOf(prepared)).bytes), before);
  });

  it("is measured in one run of the model, not in one for each", async () => {
    let runs = 0;
    const runtime: Runtime = {
      ...nodeRuntime,
      load: async (model, options) => {
        const session = await nodeRuntime.load(model, options);
        const run: Session["run"] = (...given) => {
          runs++;
          return session.run(...given);
        };
        return { ...session, run };
      },
    };
    await prepare(student(), { runtime, insertBatchNorm: false });
    const plain = runs;
    await prepare(student(), { runtime });
    // One more for the measurement, and one for the shapes of the model that is trained.
    expect(runs - plain).toBe(plain + 2);
  });

  it("is folded into the weights: exported and unfolded model agree wherever training has gone", async () => {
    const prepared = await prepare(student());
    const state = stateOf(prepared, 0.5);
    expectClose(await run(prepared.export(state).bytes), await unfolded(prepared, state));
  });

  it("is gone from the exported graph, which differs by the biases that were missing alone", async () => {
    const prepared = await prepare(student());
    expect(prepared.model.graph.nodes.filter((n) => n.op === "BatchNormalization")).toHaveLength(5);
    const [before, after] = [student().graph, readModel(prepared.export(stateOf(prepared, 0.5)).bytes).graph];
    const shown = (node: (typeof before.nodes)[number]) => ({
      op: node.op,
      name: node.name,
      outputs: node.outputs.map((y) => y?.name),
      attributes: node.attributes,
    });
    expect(after.nodes.map(shown)).toEqual(before.nodes.map(shown));
    const inputs = (graph: typeof before) => graph.nodes.flatMap((n) => n.inputs.map((v) => v?.name));
    const added = inputs(after).filter((n) => !inputs(before).includes(n));
    expect(added).toEqual(["a.bias", "c.bias", "d.bias"]);
    const names = (graph: typeof before) => [...graph.constants.keys()].map((v) => v.name);
    expect(names(after).filter((n) => !names(before).includes(n))).toEqual(added);
    expect(after.opsets).toEqual(before.opsets);
  });

  it("goes where the file keeps its weights: into Constant nodes, if these hold them", async () => {
    const model = inConstantNodes(student());
    const prepared = await prepare(model);
    expect(prepared.model.constantNodes.size).toBe(10 + 5 * 4);
    const state = stateOf(prepared, 0.5);
    const exported = readModel(prepared.export(state).bytes);
    expect(exported.constantNodes.size).toBe(10 + 3);
    expectClose(await run(modelBytes(exported)), await unfolded(prepared, state));
  });

  it("is not put after the convolution that gives the logits, and the notes say so", async () => {
    const { notes, record } = await prepare(student());
    expect(notes).toEqual([
      'BatchNormalization after 5 of 6 convolutions while training, folded into their weights in the exported student; not after "/map" (gives the logits); the student begins as it is (fresh weights, --init, learn faster if it was not trained before)',
    ]);
    expect(record).toEqual({
      logits: "logits",
      batchNorm: ["a.weight", "b.weight", "c.weight", "d.weight", "e.w"],
    });
  });

  it("starts at scale 1 and bias 0 where the weights are fresh", async () => {
    const prepared = await prepare(student(), { init: "kaiming" });
    const constant = (name: string) =>
      Array.from(prepared.model.graph.constants.get(prepared.model.graph.find(name)!)!.data as Float32Array);
    expect(constant("a.weight/batchnorm/scale")).toEqual([1, 1, 1, 1]);
    expect(constant("a.weight/batchnorm/bias")).toEqual([0, 0, 0, 0]);
    expect(constant("a.weight/batchnorm/mean")).toEqual([0, 0, 0, 0]);
    expect(constant("a.weight/batchnorm/variance")).toEqual([1, 1, 1, 1]);
  });

  it("leaves out what is frozen, shared, computed or normalised, each with its reason", async () => {
    const model = smallStudent(
      [4, 2, 8, 8],
      {
        ...constants,
        scale: tensor("float32", [1, 1, 1, 1]),
        nought: tensor("float32", [0, 0, 0, 0]),
        n: randomTensor(11, [4, 4, 1, 1]),
        d4: randomTensor(13, [4, 4, 1, 1]),
        d5: randomTensor(14, [4, 4, 1, 1]),
        w: randomTensor(12, [4, 3]),
      },
      [
        { op: "Conv", inputs: ["x", "a.weight"], output: "frozen" },
        { op: "Conv", inputs: ["frozen", "n"], output: "first" },
        { op: "Relu", inputs: ["first"], output: "fr" },
        { op: "Conv", inputs: ["fr", "n"], output: "second" },
        { op: "Mul", inputs: ["n", "scale"], output: "scaled" },
        { op: "Conv", inputs: ["second", "scaled"], output: "computed" },
        { op: "Conv", inputs: ["computed", "d4"], output: "normal" },
        { op: "BatchNormalization", inputs: ["normal", "scale", "nought", "nought", "scale"], output: "bn" },
        { op: "GlobalAveragePool", inputs: ["bn"], output: "squeezed" },
        { op: "Conv", inputs: ["squeezed", "d5"], output: "excited" },
        { op: "Sigmoid", inputs: ["excited"], output: "p" },
        { op: "Flatten", inputs: ["p"], output: "flat" },
        { op: "MatMul", inputs: ["flat", "w"], output: "logits" },
      ],
    );
    await expect(prepare(model, { freeze: ["a.*"] })).rejects.toThrow(
      'student.onnx: no convolution can have a BatchNormalization inserted: "/frozen" (is frozen), "/first", "/second" (shares its weight), "/computed" (has computed weights), "/normal" (is normalised already), "/excited" (gives one value a sample and channel); leave out insertBatchNorm',
    );
  });

  it("is refused where there is no convolution", async () => {
    const model = smallStudent([4, 3], { w: randomTensor(1, [3, 3]) }, [
      { op: "MatMul", inputs: ["x", "w"], output: "y" },
    ]);
    await expect(prepare(model, { feeds: { x: randomTensor(1, [4, 3]) } })).rejects.toThrow(
      "student.onnx: no convolution can have a BatchNormalization inserted, for there is none; leave out insertBatchNorm",
    );
  });

  it("has exact gradients, of weights, scales and biases", async () => {
    const prepared = await prepare(student());
    const compiled = compileStep({
      student: prepared.model,
      known: prepared.observation.known,
      logits: prepared.logits.value,
      teacherLogits: false,
      labels: true,
      taps: [],
      loss: supervised,
      optimizer: sgd({ momentum: 0 }),
      freeze: [],
      trainStatistics: true,
      target: targets.standard,
    });
    const [pack] = compiled.weights;
    if (!pack) throw new Error("no weights");
    expect(pack.tensors.map((t) => t.name)).not.toContain("b.bias");
    const labels = tensor("float32", [1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0.5, 0.5], [4, 3]);
    const [statistics] = compiled.statistics;
    const value = (weights: Float64Array) => {
      const vector = (data: Float64Array): Tensor => ({ dtype: "float64", dims: [data.length], data });
      const found = evaluate(compiled.gradients, {
        x,
        [names.labels]: labels,
        [names.state(pack.key)]: vector(weights),
        [names.state(statistics!.key)]: vector(Float64Array.from(compiled.initial.get(statistics!.key)!)),
      });
      const output = (name: string) => found.get(compiled.gradients.find(name)!)?.data as Float64Array;
      return { loss: output(names.losses)[0] as number, gradient: output(names.gradient(pack.key)) };
    };
    const at = Float64Array.from(compiled.initial.get(pack.key)!);
    const { gradient } = value(at);
    const random = testRandom(5);
    const largest = Math.max(...gradient.map(Math.abs));
    // Every tensor, a few elements of each: ReLU's kinks are far from the step of 1e-5.
    for (const t of pack.tensors)
      for (let k = 0; k < 2; k++) {
        const i = t.offset + Math.floor(random() * t.size);
        const moved = (h: number) => {
          const w = at.slice();
          w[i]! += h;
          return value(w).loss;
        };
        const difference = (moved(1e-5) - moved(-1e-5)) / 2e-5;
        expect(Math.abs(difference - (gradient[i] as number)), `${t.name}[${i - t.offset}]`).toBeLessThan(
          1e-6 * largest + 1e-9,
        );
      }
  });
});

describe("a convolutional student without normalisation", () => {
  it("is told of", async () => {
    const { notes } = await prepare(student(), { insertBatchNorm: false });
    expect(notes).toEqual([
      "6 convolutions and no normalisation: BatchNormalization was probably folded into them on export, and without it training from fresh weights is slow or fails; --insert-batchnorm trains with one after each and folds it back on export",
    ]);
  });

  it("and one that normalises, also written out, is not", async () => {
    const model = smallStudent(
      [4, 2, 8, 8],
      { "a.weight": constants["a.weight"], eps: tensor("float32", [1e-5], []), w: randomTensor(3, [4, 3]) },
      [
        { op: "Conv", inputs: ["x", "a.weight"], output: "a" },
        { op: "ReduceMean", inputs: ["a"], output: "m", attributes: { axes: ints([2, 3]) } },
        { op: "Sub", inputs: ["a", "m"], output: "d" },
        { op: "Mul", inputs: ["d", "d"], output: "q" },
        { op: "ReduceMean", inputs: ["q"], output: "v", attributes: { axes: ints([2, 3]) } },
        { op: "Add", inputs: ["v", "eps"], output: "ve" },
        { op: "Sqrt", inputs: ["ve"], output: "sd" },
        { op: "Div", inputs: ["d", "sd"], output: "n" },
        { op: "Relu", inputs: ["n"], output: "r" },
        {
          op: "ReduceMean",
          inputs: ["r"],
          output: "p",
          attributes: { axes: ints([2, 3]), keepdims: int(0) },
        },
        { op: "MatMul", inputs: ["p", "w"], output: "logits" },
      ],
    );
    expect((await prepare(model, { insertBatchNorm: false })).notes).toEqual([]);
  });
});
