// Inputs that belong to the call and not to a sample, and states whose samples lie on another axis than the first.
import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { type Tensor, tensor } from "../../src/base/tensor.ts";
import { arrayDataset } from "../../src/data/array-dataset.ts";
import type { Dataset } from "../../src/data/dataset.ts";
import { Graph, int, ints } from "../../src/graph/graph.ts";
import type { Model } from "../../src/onnx/model.ts";
import { readModel } from "../../src/onnx/read-model.ts";
import { writeGraph } from "../../src/onnx/write-graph.ts";
import { batchAxesOf } from "../../src/prepare/batch-axes.ts";
import type { Fix } from "../../src/prepare/fixed-inputs.ts";
import { beginsLayer } from "../../src/prepare/initial-states.ts";
import { nodeRuntime } from "../../src/runtime/ort-node.ts";
import { taskNamed } from "../../src/tasks/index.ts";
import { evaluateModel } from "../../src/train/evaluate-model.ts";
import type { DistillOptions } from "../../src/train/options.ts";
import { randomTensor } from "../compile/compile-model.ts";
import { collect, only } from "./helpers.ts";

interface Flat {
  readonly dims: number[];
  readonly values: number[];
}
interface Trained {
  readonly losses: number[];
  readonly after: number;
}
const at = (file: string) => new URL(`../fixtures/call-inputs/${file}`, import.meta.url);
const bytes = readFileSync(at("model.onnx"));
const torch = JSON.parse(readFileSync(at("expected.json"), "utf8")) as Record<"x" | "y" | "h" | "c", Flat> & {
  readonly scales: number[];
  readonly sr: number;
  readonly given: Trained;
  readonly zeros: Trained;
};
const n = torch.x.dims[0] as number;
const named = (name: string, { dims, values }: Flat) => ({ ...tensor("float32", values, dims), name });
const alike = (name: string, dtype: "float32" | "int64", values: number[], dims: number[]) => ({
  ...tensor(dtype, Array.from({ length: n }, () => values).flat(), [n, ...dims]),
  name,
});
const frames = named("input", torch.x);
const states = [named("h", torch.h), named("c", torch.c)];
const scales = alike("scales", "float32", torch.scales, [3]);
const sr = alike("sr", "int64", [torch.sr], []);
const call = { scales: torch.scales, sr: torch.sr };
const labels = tensor("float32", torch.y.values, torch.y.dims);
const data = (...inputs: (Tensor & { name: string })[]): Dataset => arrayDataset({ inputs, labels });
const base = {
  student: bytes,
  task: "regression",
  batch: n,
  epochs: 3,
  optimizer: { name: "sgd", momentum: 0, weightDecay: 0, nesterov: false },
  learningRate: 0.1,
  schedule: { schedule: "constant" },
  keep: "last",
} satisfies Partial<DistillOptions>;

async function train(inputs: Dataset, more: Partial<DistillOptions> = {}) {
  const events = await collect({ ...base, data: inputs, evaluation: inputs, ...more });
  const [start] = only(events, "start");
  const [done] = only(events, "done");
  return {
    notes: start!.notes,
    losses: only(events, "step").map((e) => e.losses.loss as number),
    after: only(events, "evaluation").at(-1)?.metrics.mse,
    student: done!.student,
  };
}

function near(found: { losses: number[]; after: number | undefined }, expected: Trained): void {
  for (const [i, loss] of expected.losses.entries()) expect(found.losses[i]).toBeCloseTo(loss, 5);
  expect(found.after).toBeCloseTo(expected.after, 5);
}

describe("a student with states of [1, N, H], scales and a rate", () => {
  it("trains as in PyTorch, all of them in the data set; what it delivers has its own inputs", async () => {
    const found = await train(data(frames, ...states, scales, sr));
    near(found, torch.given);
    expect(found.notes).toContain(
      'the student\'s input "h" [1,n,4] has its samples on axis 1: they are put there',
    );
    expect(found.notes).toContain(
      'the student\'s input "scales" is [0.75,0.5,-1.25] for all samples, as the data set has it',
    );
    const own = readModel(bytes);
    const delivered = readModel(found.student);
    expect(delivered.inputs).toEqual(own.inputs);
    expect(delivered.graph.nodes.map((node) => node.op)).toEqual(own.graph.nodes.map((node) => node.op));
    expect(delivered.inputs.map((i) => i.name)).toEqual(["input", "h", "c", "scales", "sr"]);
  });

  it("begins at zero where the data set has no states, and takes what is said of the call", async () => {
    const found = await train(data(frames), { fix: call });
    near(found, torch.zeros);
    expect(found.notes).toContain(
      'the student\'s input "h", which the data set does not have, is the first state of LSTM at node "/r/LSTM": zeros',
    );
    near(await train(data(frames), { fix: { ...call, h: "zeros" }, studentFix: { c: 0 } }), torch.zeros);
    // What is said comes before what the data set has.
    near(await train(data(frames, ...states, scales, sr), { fix: { h: "zeros", c: "zeros" } }), torch.zeros);
  });

  it("trains in batches that are smaller than the data, the last one of an evaluation smaller still", async () => {
    const found = await train(data(frames, ...states, scales, sr), { batch: 4, epochs: 1 });
    expect(found.losses).toHaveLength(1);
    expect(found.after).toBeGreaterThan(0);
    // A tensor, in the model's own layout.
    const h = tensor("float32", [0, 0, 0, 0], [1, 1, 4]);
    near(await train(data(frames), { fix: { ...call, h, c: h } }), torch.zeros);
  });

  it("learns from a teacher of other states, each with its own", async () => {
    const taught = async (more: Partial<DistillOptions>) =>
      (await train(arrayDataset({ inputs: [frames] }), { teacher: bytes, evaluation: undefined, ...more }))
        .losses[0];
    expect(await taught({ fix: call })).toBeLessThan(1e-9);
    expect(await taught({ fix: call, teacherFix: { h: "ones", c: 5 } })).toBeGreaterThan(1e-5);
    const both = { teacherFix: { ...call, h: "ones" }, studentFix: { ...call, h: "ones" } } satisfies {
      [k: string]: Fix;
    };
    expect(await taught(both)).toBeLessThan(1e-9);
  });

  it("is evaluated by itself", async () => {
    const run = (set: Dataset, fix?: Fix) =>
      evaluateModel(readModel(bytes), set, {
        runtime: nodeRuntime,
        task: taskNamed("regression"),
        batch: 4,
        fix,
      });
    expect((await run(data(frames, ...states, scales, sr))).metrics.mse).toBeCloseTo(
      torch.given.losses[0]!,
      5,
    );
    expect((await run(data(frames), call)).metrics.mse).toBeCloseTo(torch.zeros.losses[0]!, 5);
  });
});

describe("what cannot be fed is refused", () => {
  const refused = (inputs: Dataset, more: Partial<DistillOptions> = {}) =>
    expect(train(inputs, more)).rejects;

  it("an input of the call that nothing says", async () => {
    await refused(data(frames)).toThrow(
      'student: nothing in the data set feeds input "scales", float32 [3]; it has input. Add an array of that name, or say what it is for all samples: --fix scales=<value>',
    );
  });

  it("an input of the call that differs from sample to sample", async () => {
    const rates = { ...tensor("int64", [1, 1, 2, 1, 1, 1], [n]), name: "sr" };
    await refused(data(frames, scales, rates)).toThrow(
      'student: input "sr" [] is one for all samples of a batch, but the data has 2 for sample 2 and 1 before; give data sets of one value each, or export the model with a value for each sample',
    );
  });

  it("values that do not fit, and names that are none", async () => {
    await refused(data(frames, sr), { fix: { scales: [1, 2] } }).toThrow(
      'student: input "scales" float32 [3] cannot be [1,2] for all samples: it takes 3 numbers, got 2',
    );
    await refused(data(frames, scales), { fix: { sr: 0.5 } }).toThrow(
      'student: input "sr" int64 [] cannot be 0.5 for all samples: int64 does not hold 0.5',
    );
    await refused(data(frames, scales), { fix: { sr: 1, rate: 2 } }).toThrow(
      '--fix rate: student has no input "rate". Inputs: input, h, c, scales, sr',
    );
  });
});

it("fixed numbers are never trained, vectors of them neither", async () => {
  const graph = new Graph("scaled", [["", 17]]);
  const [x, s] = [graph.addInput("x"), graph.addInput("s")];
  const y = graph.addNode({
    op: "MatMul",
    name: "/fc",
    inputs: [x, graph.addConstant("w", randomTensor(1, [3, 2]))],
    outputs: ["y"],
  }).outputs[0]!;
  const [z] = graph.addNode({ op: "Mul", name: "/scale", inputs: [y, s], outputs: ["logits"] }).outputs;
  graph.addOutput(z!);
  const declared = [
    { name: "x", dtype: "float32" as const, dims: ["n", 3] },
    { name: "s", dtype: "float32" as const, dims: [2] },
  ];
  const student: Model = readModel(writeGraph(graph, { declared }), { source: "scaled.onnx" });
  const events = await collect({
    student,
    data: arrayDataset({
      inputs: [{ ...randomTensor(2, [8, 3]), name: "x" }],
      labels: [0, 1, 0, 1, 0, 1, 0, 1],
    }),
    fix: { s: [2, 3] },
    batch: 4,
    epochs: 1,
  });
  expect(only(events, "start")[0]).toMatchObject({ trained: 6 });
});

it("keys of no tokens before are empty, named by a pattern", async () => {
  const graph = new Graph("decoder", [["", 17]]);
  const [x, past] = [graph.addInput("x"), graph.addInput("past.0.key")];
  const [all] = graph.addNode({
    op: "Concat",
    name: "/all",
    inputs: [past, x],
    outputs: ["all"],
    attributes: { axis: int(1) },
  }).outputs;
  const [mean] = graph.addNode({
    op: "ReduceMean",
    name: "/mean",
    inputs: [all],
    outputs: ["mean"],
    attributes: { axes: ints([1]), keepdims: int(0) },
  }).outputs;
  const w = graph.addConstant("w", randomTensor(1, [3, 2]));
  graph.addOutput(
    graph.addNode({ op: "MatMul", name: "/fc", inputs: [mean, w], outputs: ["y"] }).outputs[0]!,
  );
  const declared = [
    { name: "x", dtype: "float32" as const, dims: ["n", "t", 3] },
    { name: "past.0.key", dtype: "float32" as const, dims: ["n", "p", 3] },
  ];
  const student = readModel(writeGraph(graph, { declared }), { source: "decoder.onnx" });
  const inputs = [{ ...randomTensor(2, [8, 4, 3]), name: "x" }];
  const run = async (fix: Fix) => {
    const set = arrayDataset({ inputs, labels: [0, 1, 0, 1, 0, 1, 0, 1] });
    return only(await collect({ student, data: set, fix, batch: 8, epochs: 1 }), "step")[0]!.losses.loss;
  };
  const empty = await run({ "past.*": "empty" });
  expect(await run({ "past.0.key": tensor("float32", [], [1, 0, 3]) })).toBe(empty);
  // Means over one more row of zeros are 4/5 of those.
  expect(await run({ "past.0.key": [0, 0, 0] })).not.toBe(empty);
  await expect(run({ "past.*": "zeros" })).rejects.toThrow(
    'decoder.onnx: input "past.0.key" float32 [n,p,3] cannot be zeros for all samples: the size of its axis 1 is left open; give all its numbers, a tensor, or empty (nothing there)',
  );
});

it("sequences with time in front are fed so: the samples are never taken for steps", async () => {
  const pooled = (dims: (number | string)[], axis: number): Model => {
    const graph = new Graph("pooled", [["", 17]]);
    const [h] = graph.addNode({
      op: "ReduceMax",
      name: "/max",
      inputs: [graph.addInput("x")],
      outputs: ["h"],
      attributes: { axes: ints([axis]), keepdims: int(0) },
    }).outputs;
    const w = graph.addConstant("w", randomTensor(1, [3, 2]));
    graph.addOutput(graph.addNode({ op: "MatMul", name: "/fc", inputs: [h, w], outputs: ["y"] }).outputs[0]!);
    const declared = [{ name: "x", dtype: "float32" as const, dims }];
    return readModel(writeGraph(graph, { declared }), { source: "pooled.onnx" });
  };
  // As many steps as samples.
  const set = arrayDataset({ inputs: [randomTensor(2, [4, 4, 3])], labels: [0, 1, 1, 0] });
  const losses = async (student: Model) =>
    only(await collect({ student, data: set, batch: 4, epochs: 2 }), "step").map((e) => e.losses.loss);
  const wanted = await losses(pooled(["batch", "time", 3], 1));
  expect(await losses(pooled(["time", "batch", 3], 0))).toEqual(wanted);
});

describe("the first state of a recurrent layer", () => {
  const model = (elsewhere: boolean): Model => {
    const graph = new Graph("gru", [["", 12]]);
    const [x, state] = [graph.addInput("x"), graph.addInput("state")];
    const at = (name: string, v: number) => graph.addConstant(name, tensor("int64", [v]));
    const [part] = graph.addNode({
      op: "Slice",
      name: "/slice",
      inputs: [state, at("from", 0), at("to", 1), at("axis", 0)],
      outputs: ["part"],
    }).outputs;
    const gru = graph.addNode({
      op: "GRU",
      name: "/gru",
      inputs: [
        x,
        graph.addConstant("w", randomTensor(1, [1, 6, 3])),
        graph.addConstant("r", randomTensor(2, [1, 6, 2])),
        undefined,
        undefined,
        part,
      ],
      outputs: ["", "h"],
      attributes: { hidden_size: int(2) },
    });
    graph.addOutput(gru.outputs[1]!);
    if (elsewhere)
      graph.addOutput(graph.addNode({ op: "Neg", name: "/neg", inputs: [part], outputs: ["n"] }).outputs[0]!);
    const declared = ["x", "state"].map((name) => ({ name, dtype: "float32" as const, dims: [1, "n", 3] }));
    return readModel(writeGraph(graph, { declared }));
  };

  it("is found behind what cuts it, and is none where it goes elsewhere too", () => {
    expect(beginsLayer(model(false), "state")?.name).toBe("/gru");
    expect(beginsLayer(model(false), "x")).toBeUndefined();
    expect(beginsLayer(model(true), "state")).toBeUndefined();
  });
});

describe("the axis of the samples", () => {
  const axes = (...dims: (number | string)[][]) =>
    batchAxesOf(dims.map((d, i) => ({ name: `i${i}`, dtype: "float32" as const, dims: d })));
  it.each([
    [
      "is the first, of inputs as most models have them",
      [
        ["n", 3],
        ["n", "t"],
      ],
      [0, 0],
    ],
    [
      "has the name that begins another input",
      [
        ["x", 5],
        [2, "x", 8],
      ],
      [0, 1],
    ],
    [
      "is told by a name of batches",
      [
        ["t", "batch", 3],
        ["layers", "batch_size", 3],
      ],
      [0, 0],
    ],
    [
      "is told by one such name in all",
      [
        ["t", "batch", 3],
        ["layers", "batch", 3],
      ],
      [1, 1],
    ],
    ["is the only one that is open", [["?", "?"], [2, "?", 128], []], [0, 1, undefined]],
    ["is not there in a vector of a model with open batches", [["n", 3], [3]], [0, undefined]],
    [
      "is not clear where two are open",
      [
        ["n", 3],
        [1, "a", "b"],
      ],
      [0, "unclear"],
    ],
    [
      "is the first of what has the fixed batch",
      [
        [1, 3, "h", "w"],
        [1, 4],
        [2, 1, 4],
      ],
      [0, 0, undefined],
    ],
  ] as const)("%s", (_, dims, expected) => {
    expect(axes(...(dims as unknown as (number | string)[][]))).toEqual(expected);
  });
});
