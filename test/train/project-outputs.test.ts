// Outputs of another width than the teacher's: compared through a learned projection that the delivered student does not have.
// Held to the closed form in float64: s = xA, y = Ws + c, L = mean (y − t)², plain SGD.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { sampler } from "../../src/base/initialization.ts";
import { randomFor } from "../../src/base/random.ts";
import { tensor } from "../../src/base/tensor.ts";
import { arrayDataset } from "../../src/data/array-dataset.ts";
import { modelBytes } from "../../src/onnx/export-model.ts";
import { readModel } from "../../src/onnx/read-model.ts";
import { nodeRuntime } from "../../src/runtime/ort-node.ts";
import {
  CenteredKernelAlignmentStrategy,
  HintStrategy,
  type Matrix,
  RegressionDistillationStrategy,
} from "../../src/strategies/index.ts";
import { distill } from "../../src/train/distill.ts";
import type { DistillOptions } from "../../src/train/options.ts";
import { testRandom } from "../gradient-checker.ts";
import { studentFromText } from "../models/graph-text.ts";
import { collect, only } from "./helpers.ts";

const folder = mkdtempSync(join(tmpdir(), "project-outputs-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const random = testRandom(11);
const [N, X, S, T] = [16, 5, 2, 4];
const numbers = (n: number): number[] => Array.from({ length: n }, () => Math.fround(random() - 0.5));
const [x, a] = [numbers(N * X), numbers(X * S)];
const teacherWeight = numbers(X * T);
const linear = (weight: number[], columns: number, dims = [N, X]) =>
  studentFromText(
    "out = MatMul(x, layer.weight)",
    dims,
    { "layer.weight": tensor("float32", weight, [X, columns]) },
    17,
  );
const student = modelBytes(linear(a, S));
const teacher = modelBytes(linear(teacherWeight, T));
const data = arrayDataset({ inputs: [tensor("float32", x, [N, X])] });
const base: DistillOptions = {
  ...{ student, teacher, data, task: "regression", batch: N, epochs: 3, learningRate: 0.2, seed: 4 },
  optimizer: { name: "sgd", momentum: 0, weightDecay: 0, nesterov: false },
  schedule: { schedule: "constant" },
  evaluation: data,
  projectOutputs: true,
};

const product = (l: number[], r: number[], inner: number, columns: number): number[] =>
  Array.from({ length: (l.length / inner) * columns }, (_, i) => {
    let sum = 0;
    for (let k = 0; k < inner; k++)
      sum += l[Math.floor(i / columns) * inner + k]! * r[k * columns + (i % columns)]!;
    return sum;
  });
const transposed = (m: number[], columns: number): number[] =>
  Array.from(m, (_, i) => m[(i % (m.length / columns)) * columns + Math.floor(i / (m.length / columns))]!);

/** Losses before each of `steps` steps and after them, and the student's weight. */
function closedForm(steps: number) {
  const drawn = (name: string, n: number): number[] => {
    const draw = sampler("pytorch", { fanIn: S, fanOut: T }, randomFor(4, "projection", "(outputs)", name));
    return Array.from({ length: n }, () => Math.fround(draw()));
  };
  let [w, c, weight] = [drawn("weight", T * S), drawn("bias", T), a];
  const t = product(x, teacherWeight, X, T);
  const losses: number[] = [];
  for (let step = 0; step <= steps; step++) {
    const s = product(x, weight, X, S);
    const d = product(s, transposed(w, S), S, T).map((v, i) => v + c[i % T]! - t[i]!);
    losses.push(d.reduce((sum, v) => sum + v * v, 0) / d.length);
    if (step === steps) break;
    const dy = d.map((v) => (2 * v) / d.length);
    const dw = product(transposed(dy, T), s, N, S);
    const da = product(transposed(x, X), product(dy, w, T, S), N, S);
    w = w.map((v, i) => v - 0.2 * dw[i]!);
    c = c.map((v, o) => v - 0.2 * dy.filter((_, i) => i % T === o).reduce((p, q) => p + q, 0));
    weight = weight.map((v, i) => v - 0.2 * da[i]!);
  }
  return { losses, weight };
}

describe("a projection of outputs", () => {
  it("trains as the closed form, and is left out", async () => {
    const events = await collect(base);
    const expected = closedForm(3);
    const losses = only(events, "step").map((e) => e.losses.loss as number);
    losses.forEach((v, i) => {
      expect(v).toBeCloseTo(expected.losses[i]!, 6);
    });
    const own = only(events, "evaluation").filter((e) => e.who === "student");
    own.forEach((e, i) => {
      expect(e.metrics.teacherMse).toBeCloseTo(expected.losses[i + 1]!, 6);
    });
    const made = readModel(only(events, "done")[0]!.student);
    const constants = [...made.graph.constants];
    expect(constants.map(([v]) => v.name)).toEqual(["layer.weight"]);
    expected.weight.forEach((v, i) => {
      expect(constants[0]![1].data[i]).toBeCloseTo(v, 6);
    });
    const session = await nodeRuntime.load(only(events, "done")[0]!.student);
    const out = await session.run({ x: tensor("float32", x, [N, X]) });
    expect(out.out!.dims).toEqual([N, S]);
    await session.release();
  });

  it("goes on to the same bits after an interruption", async () => {
    const whole = only(await collect({ ...base, out: join(folder, "whole") }), "done")[0]!.student;
    const out = join(folder, "parts");
    const stop = new AbortController();
    for await (const e of distill({ ...base, out, signal: stop.signal }))
      if (e.type === "step" && e.step === 1) stop.abort();
    expect(only(await collect({ ...base, out, resume: true }), "done")[0]!.student).toEqual(whole);
  });

  it("is seen by a loss on arrays too", async () => {
    class OnArrays extends RegressionDistillationStrategy {
      override computeLoss(s: Matrix, t: Matrix): number {
        return super.computeLoss(s, t);
      }
    }
    const losses = only(await collect({ ...base, strategy: new OnArrays() }), "step");
    const { losses: expected } = closedForm(2);
    losses.forEach((e, i) => {
      expect(e.losses.loss).toBeCloseTo(expected[i]!, 6);
    });
  });
});

describe("refused", () => {
  const labels = tensor("float32", numbers(N * S), [N, S]);
  const labelled = arrayDataset({ inputs: [tensor("float32", x, [N, X])], labels });
  it.each<[Partial<DistillOptions>, string]>([
    [
      { projectOutputs: false },
      "the teacher gives 4 logits, the student student gives 2; both need the same, or --project-outputs (projectOutputs), a learned map of the student's",
    ],
    [
      { data: labelled },
      "distill: projectOutputs compares with the teacher alone, for labels are not of its width: leave the labels out",
    ],
    [
      { task: "classification" },
      "distill: projectOutputs is for outputs that are numbers (task regression); the logits of task classification are classes, of which classMap says which is which",
    ],
    [{ teacher: undefined, data: labelled }, "distill: projectOutputs needs a teacher"],
  ])("%o", async (o, line) => {
    await expect(collect({ ...base, ...o })).rejects.toThrow(expect.objectContaining({ message: line }));
  });
});

describe("outputs that the loss does not look at", () => {
  const alone: DistillOptions = {
    ...base,
    projectOutputs: false,
    evaluation: undefined,
    epochs: 20,
    batch: 8,
  };
  const losses = async (o: Partial<DistillOptions>) =>
    only(await collect({ ...alone, ...o }), "step").map((e) => e.losses.loss as number);

  it("may be of any width: embeddings of a tap, by a projection or by CKA", async () => {
    for (const o of [
      { taps: [{ teacher: "out", project: true }], strategy: new HintStrategy({ targetLayerName: "out" }) },
      {
        taps: [{ teacher: "out" }],
        strategy: new CenteredKernelAlignmentStrategy({ targetLayerName: "out" }),
      },
    ]) {
      const all = await losses(o);
      expect(all.at(-1)).toBeLessThan(all[0]!);
    }
  });

  it("and are not compared in evaluations", async () => {
    const taps = [{ teacher: "out", project: true }];
    const strategy = new HintStrategy({ targetLayerName: "out" });
    await expect(collect({ ...alone, taps, strategy, evaluation: data })).rejects.toThrow(
      "the evaluation data has no labels, and the teacher's outputs are of another width than the student's, so nothing can be measured on it; leave it out, or give labels",
    );
    const labels = Int32Array.from({ length: N }, (_, i) => i % S);
    const evaluation = arrayDataset({ inputs: [tensor("float32", x, [N, X])], labels, classes: S });
    const events = await collect({ ...alone, taps, strategy, task: "classification", evaluation, epochs: 1 });
    const found = only(events, "evaluation");
    expect(found.map((e) => e.who)).toEqual(["student"]);
    expect(Object.keys(found[0]!.metrics)).not.toContain("agreement");
  });
});

it("with a moving average the map is averaged too, so that what is measured fits the student", async () => {
  const measured = async (more: Partial<DistillOptions>) =>
    only(await collect({ ...base, ...more }), "evaluation")
      .filter((e) => e.who === "student")
      .map((e) => e.metrics.teacherMse as number);
  // An average that stays where it begins: at what the first step makes.
  const [first] = await measured({ epochs: 1 });
  for (const mse of await measured({ averageWeights: 1 - 1e-9 })) expect(mse).toBeCloseTo(first as number, 6);
});
