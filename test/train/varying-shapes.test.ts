// Batches that are padded to their own longest sample: a step for each shape, one state for all.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { tensor } from "../../src/base/tensor.ts";
import type { Dataset, DatasetInput } from "../../src/data/dataset.ts";
import { Graph, int, ints } from "../../src/graph/graph.ts";
import { modelBytes } from "../../src/onnx/export-model.ts";
import type { Model } from "../../src/onnx/model.ts";
import { readModel } from "../../src/onnx/read-model.ts";
import { writeGraph } from "../../src/onnx/write-graph.ts";
import {
  CenteredKernelAlignmentStrategy,
  CombinedDistillationStrategy,
  NeuronSelectivityDistillationStrategy,
  ResponseDistillationStrategy,
} from "../../src/strategies/index.ts";
import { distill } from "../../src/train/distill.ts";
import type { DistillOptions } from "../../src/train/options.ts";
import { mostSteps } from "../../src/train/steps-by-shape.ts";
import { randomTensor } from "../compile/compile-model.ts";
import { collect, only } from "./helpers.ts";

const folder = mkdtempSync(join(tmpdir(), "shapes-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

type Inputs = Parameters<Graph["addNode"]>[0]["inputs"];

/** Embedded tokens through tanh; logits of each, or of their mean where the mask says so. `every`: of each second token alone. */
function texts(name: string, width: number, seed: number, tokens: boolean, every = 1): Model {
  const graph = new Graph(name, [["", 17]]);
  const ids = graph.addInput("input_ids");
  const mask = graph.addInput("attention_mask");
  const constant = (n: string, t: ReturnType<typeof tensor>) => graph.addConstant(n, t);
  const step = (op: string, inputs: Inputs, output: string, attributes = {}) =>
    graph.addNode({ op, name: `/${output}`, inputs, outputs: [output], attributes }).outputs[0]!;
  let h = step(
    "Tanh",
    [step("Gather", [constant("embedding", randomTensor(seed, [12, width])), ids], "e")],
    "h",
  );
  if (every > 1) {
    const at = (n: string, v: number) => constant(n, tensor("int64", [v]));
    h = step("Slice", [h, at("from", 0), at("to", 1000), at("axis", 1), at("each", every)], "some");
  }
  if (!tokens) {
    const column = step(
      "Unsqueeze",
      [step("Cast", [mask], "m", { to: int(1) }), constant("last", tensor("int64", [-1]))],
      "column",
    );
    const sum = step(
      "ReduceSum",
      [step("Mul", [h, column], "kept"), constant("one", tensor("int64", [1]))],
      "sum",
      {
        keepdims: int(0),
      },
    );
    const count = step("ReduceSum", [column, constant("axis_one", tensor("int64", [1]))], "count", {
      keepdims: int(0),
    });
    h = step("Div", [sum, count], "mean");
  }
  const y = step("MatMul", [h, constant("head", randomTensor(seed + 1, [width, 3]))], "logits");
  graph.addOutput(y);
  const declared = ["input_ids", "attention_mask"].map((n) => ({
    name: n,
    dtype: "int64" as const,
    dims: ["n", "t"],
  }));
  return readModel(writeGraph(graph, { declared }), { source: `${name}.onnx` });
}

interface TextOptions {
  /** All batches padded to so many tokens. */
  readonly longest?: number;
  readonly tokens?: boolean;
  readonly lengths?: (i: number) => number;
  readonly declared?: DatasetInput["dims"];
  readonly samples?: number;
}

const lengthOf = (i: number): number => 3 + (i % 5);

function padded(o: TextOptions = {}): Dataset {
  const { samples = 40, lengths = lengthOf, declared = [7] } = o;
  const labelsOf = (ix: number[], t: number) => {
    if (!o.tokens) return Int32Array.from(ix, (i) => i % 3);
    const all = new BigInt64Array(ix.length * t).fill(-100n);
    ix.forEach((i, k) => {
      for (let j = 0; j < lengths(i); j++) all[k * t + j] = BigInt((i + j) % 3);
    });
    return tensor("int64", all as never, [ix.length, t]);
  };
  const longestOf = (ix: number[]) => o.longest ?? Math.max(...ix.map(lengths));
  return {
    length: samples,
    hasLabels: true,
    classes: 3,
    inputs: ["input_ids", "attention_mask"].map((name) => ({
      name,
      dims: declared,
      dtype: "int64" as const,
    })),
    readLabels: (indices) => labelsOf(Array.from(indices), longestOf(Array.from(indices))),
    read(indices) {
      const ix = Array.from(indices);
      const t = longestOf(ix);
      const ids = new BigInt64Array(ix.length * t);
      const mask = new BigInt64Array(ix.length * t);
      ix.forEach((i, k) => {
        for (let j = 0; j < lengths(i); j++) {
          ids[k * t + j] = BigInt((i * 7 + j * 5) % 12);
          mask[k * t + j] = 1n;
        }
      });
      const dims = [ix.length, t];
      return {
        inputs: [ids, mask].map((data) => ({ dtype: "int64" as const, dims, data })),
        labels: labelsOf(ix, t),
      };
    },
  };
}

const teacher = modelBytes(texts("teacher", 8, 1, false));
const base = {
  student: texts("student", 4, 5, false),
  teacher,
  batch: 2,
  epochs: 2,
  seed: 3,
} satisfies Partial<DistillOptions>;

async function lossesOf(options: DistillOptions): Promise<number[]> {
  return only(await collect(options), "step").map((e) => e.losses.loss as number);
}
async function studentOf(options: DistillOptions): Promise<Uint8Array> {
  return only(await collect(options), "done")[0]!.student;
}

function expectClose(found: readonly number[], wanted: readonly number[]): void {
  expect(found).toHaveLength(wanted.length);
  for (const [i, loss] of found.entries())
    expect(Math.abs(loss - wanted[i]!), `step ${i}`).toBeLessThan(1e-5);
}

describe("batches padded to their own longest sample", () => {
  it("give the losses and metrics of the same texts padded to one length", async () => {
    const even = { ...base, data: padded({ longest: 7 }), evaluation: padded({ longest: 7 }) };
    const own = { ...base, data: padded(), evaluation: padded() };
    expectClose(await lossesOf(own), await lossesOf(even));
    const metrics = async (o: DistillOptions) => only(await collect(o), "evaluation").map((e) => e.metrics);
    const [found, wanted] = [await metrics(own), await metrics(even)];
    found.forEach((m, i) => {
      expect(m.top1).toBe(wanted[i]!.top1);
      expect(m.loss).toBeCloseTo(wanted[i]!.loss!, 5);
    });
  });

  it("and with a label for each token, padding left out", async () => {
    const tokens = {
      ...base,
      student: texts("student", 4, 5, true),
      teacher: modelBytes(texts("teacher", 8, 1, true)),
      task: "token-classification",
    } as const;
    const even = { ...tokens, data: padded({ longest: 7, tokens: true }) };
    const data = padded({ tokens: true, declared: [null] });
    expectClose(await lossesOf({ ...tokens, data }), await lossesOf(even));
    const [found, wanted] = await Promise.all(
      [data, even.data].map(async (evaluation) => {
        const events = await collect({ ...tokens, epochs: 1, data, evaluation });
        return only(events, "evaluation").map((e) => e.metrics);
      }),
    );
    expect(found!.map((m) => m.accuracy)).toEqual(wanted!.map((m) => m.accuracy));
  });

  it("are told of as they are compiled, once for each shape", async () => {
    const events = await collect({ ...base, data: padded({ declared: ["tokens"] }) });
    const compiled = only(events, "compiled");
    const shapes = compiled.map((e) => String(e.inputs.input_ids));
    expect(new Set(shapes).size).toBe(shapes.length);
    expect(compiled.map((e) => e.shapes)).toEqual(shapes.map((_, i) => i + 2));
    expect(compiled.every((e) => !e.again && e.seconds > 0)).toBe(true);
    expect(only(events, "start")[0]!.notes).toContain(
      "the teacher runs at every step: batches differ in shape, and what it says of a sample may depend on how far it is padded",
    );
    expect(only(events, "done")[0]!.notes.join()).toMatch(
      new RegExp(
        `batches had ${shapes.length + 1} shapes, each with a step of its own \\(compiled in [\\d.]+ s\\)$`,
      ),
    );
  });

  it("resume to the same bits, and are the same in a worker", async () => {
    const run = { ...base, data: padded(), epochs: 2 };
    const wanted = await studentOf(run);
    expect(await studentOf({ ...run, worker: true })).toEqual(wanted);
    const out = join(folder, "resumed");
    const stop = new AbortController();
    for await (const event of distill({ ...run, out, signal: stop.signal }))
      if (event.type === "step" && event.step === 7) stop.abort();
    expect(await studentOf({ ...run, out, resume: true })).toEqual(wanted);
  });

  it("keep what the teacher said only for batches padded alike", async () => {
    // The first batch and every one that fills the cache is of 7; other orders have shorter ones.
    const lengths = (i: number) => (i % 2 === 0 ? 7 : 3);
    const run = { ...base, epochs: 6, data: padded({ lengths, samples: 12 }) };
    const events = await collect(run);
    const asked = only(events, "done")[0]!.notes.filter((n) => n.includes("asked anew"));
    expect(asked.join()).toMatch(
      /^the teacher was asked anew for \d+ batches whose samples are padded otherwise than when its outputs were kept$/,
    );
    expect(await studentOf(run)).toEqual(await studentOf({ ...run, teacherCache: "off" }));
    // Other shapes turn up while the cache is filled: nothing is kept.
    const late = padded({ lengths: (i) => (i === 11 || i === 10 ? 4 : 7), samples: 12 });
    const later = await collect({ ...run, data: late, seed: 1 });
    expect(only(later, "done")[0]!.notes.join()).toContain(
      "the teacher runs at every step: batches differ in shape",
    );
  });

  it.each([
    [
      "taps pooled to the smaller",
      {
        strategy: new CombinedDistillationStrategy([
          { strategy: new ResponseDistillationStrategy() },
          { strategy: new CenteredKernelAlignmentStrategy(), part: "intermediate" },
        ]),
      },
    ],
    [
      "scores of the teacher",
      { strategy: new NeuronSelectivityDistillationStrategy({ metric: "variance" }) },
    ],
    [
      "classes and assignment",
      { strategy: new NeuronSelectivityDistillationStrategy({ metric: "variance", match: "assignment" }) },
    ],
  ] as const)("with %s", async (_, more) => {
    const wide = texts("student", 8, 5, false, 2);
    const taps = [{ name: "tokens", teacher: "h", student: "some" }];
    const run = {
      ...base,
      student: texts("student", 8, 5, false),
      taps: [{ ...taps[0]!, student: "h" }],
      ...more,
    };
    const losses = await lossesOf({ ...run, data: padded() });
    expect(losses.every(Number.isFinite)).toBe(true);
    const pooled = await lossesOf({ ...run, student: tokensOf(wide), taps, data: padded() }).catch(
      (e: Error) => e,
    );
    expect(pooled).toSatisfy((p: unknown) => Array.isArray(p) && p.every(Number.isFinite));
  });

  it(`beyond ${mostSteps} shapes are compiled again, with the advice to have fewer`, async () => {
    const data = padded({ lengths: (i) => 1 + i, samples: 2 * mostSteps + 10, declared: [-1] });
    const events = await collect({ ...base, epochs: 2, data });
    expect(only(events, "compiled").some((e) => e.again)).toBe(true);
    expect(only(events, "compiled").flatMap((e) => e.advice ?? [])).toEqual([
      expect.stringMatching(
        /^(9|1\d) batches had 9 shapes: a step is compiled for nearly every batch \([\d.]+ s each\), and about 32 are kept in memory; pad samples or resize images to a few sizes, and put samples of like size into one batch$/,
      ),
    ]);
    expect(only(events, "done")[0]!.notes.join()).toMatch(
      /^batches had \d+ shapes, each with a step of its own \(compiled in [\d.]+ s, \d+ times anew, because no more are kept at once\); samples padded to multiples of 8, say, have fewer shapes$/,
    );
  });

  it("are refused where they are larger than declared, or no longer what the model takes", async () => {
    await expect(collect({ ...base, data: padded({ declared: [5] }) })).rejects.toThrow(
      'the data set declares samples of [5] for input "input_ids" and gave a batch [2,',
    );
  });
});

/** The mean over all tokens that are left: a mask would not fit them. */
function tokensOf(model: Model): Model {
  const graph = new Graph("student", [["", 17]]);
  const ids = graph.addInput("input_ids");
  const constants = new Map([...model.graph.constants].map(([v, t]) => [v.name, t]));
  const constant = (n: string) => graph.addConstant(n, constants.get(n)!);
  const step = (op: string, inputs: Inputs, output: string, attributes = {}) =>
    graph.addNode({ op, name: `/${output}`, inputs, outputs: [output], attributes }).outputs[0]!;
  const h = step("Tanh", [step("Gather", [constant("embedding"), ids], "e")], "h");
  const some = step(
    "Slice",
    [h, constant("from"), constant("to"), constant("axis"), constant("each")],
    "some",
  );
  const mean = step("ReduceMean", [some], "mean", { axes: ints([1]), keepdims: int(0) });
  graph.addOutput(step("MatMul", [mean, constant("head")], "logits"));
  const declared = [{ name: "input_ids", dtype: "int64" as const, dims: ["n", "t"] }];
  return readModel(writeGraph(graph, { declared }), { source: "student.onnx" });
}
