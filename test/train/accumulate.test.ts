// Gradients added up over batches: as torch adds them up, as one large batch, and to the same bits when resumed.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { tensor } from "../../src/base/tensor.ts";
import { arrayDataset } from "../../src/data/array-dataset.ts";
import type { Dataset } from "../../src/data/dataset.ts";
import { buildModel, dropout, type Layer, linear, relu, sequential } from "../../src/nn/index.ts";
import { modelBytes } from "../../src/onnx/export-model.ts";
import {
  CombinedDistillationStrategy,
  HintStrategy,
  ResponseDistillationStrategy,
} from "../../src/strategies/index.ts";
import { distill } from "../../src/train/distill.ts";
import type { DistillOptions } from "../../src/train/options.ts";
import { expectClose, testRandom } from "../gradient-checker.ts";
import { collect, only } from "./helpers.ts";
import { expectAsTorch, facts, plainSgd, torchData, valuesIn, wholeBatches } from "./torch-run.ts";

const folder = mkdtempSync(join(tmpdir(), "accumulate-test-"));
afterAll(() => rmSync(folder, { recursive: true }));

/** 6 batches of 4 an epoch: a step of 4 and one of 2. */
const torch: DistillOptions = {
  ...wholeBatches,
  optimizer: { name: "adamw", weightDecay: 0.1 },
  noDecay: "none",
  learningRate: 0.02,
  batch: 4,
  accumulate: 4,
  epochs: 2,
};

describe("as torch", () => {
  it.each([false, true])("batches of 4, 4 and then 2 of them a step, worker %s", (worker) =>
    expectAsTorch("accumulated", { ...torch, worker }),
  );

  it("means over all rows that count, where batches have more and less of them, with weights of classes", () =>
    expectAsTorch("accumulated-ignored", {
      ...torch,
      data: torchData("ignored"),
      ignoreIndex: -100,
      classWeights: facts.weights,
    }));
});

const random = testRandom(4);
const noise = (dims: number[]) => tensor("float32", randomNumbers(dims), dims);
const randomNumbers = (dims: number[]) =>
  Float32Array.from({ length: dims.reduce((a, b) => a * b, 1) }, () => random() - 0.5);
const model = (seed: number, ...more: Layer[]) =>
  buildModel(
    { input: { name: "x", dims: ["n", 5] }, seed },
    sequential(linear(6), relu({ name: "features" }), ...more, linear(3)),
  );
const teacher = modelBytes(model(2));
const data = arrayDataset({
  inputs: [noise([24, 5])],
  labels: tensor(
    "int32",
    Array.from({ length: 24 }, (_, i) => (i % 7 === 0 ? -100 : i % 3)),
    [24],
  ),
});
const options: DistillOptions = {
  ...plainSgd,
  schedule: { schedule: "constant" },
  student: model(1),
  data,
  ignoreIndex: -100,
  epochs: 3,
};

/** On arrays alone, and so by the slower way round. */
class OnArrays extends ResponseDistillationStrategy {}

describe("as one large batch", () => {
  it.each<[string, Partial<DistillOptions>]>([
    ["labels", {}],
    [
      "clipped, averaged and in groups",
      { clipNorm: 0.1, averageWeights: 0.5, parameterGroups: [{ match: "*bias", learningRate: 0.3 }] },
    ],
    [
      "a teacher and its layers",
      {
        teacher,
        taps: [{ teacher: "features", project: true }],
        strategy: new CombinedDistillationStrategy([
          { strategy: new ResponseDistillationStrategy({ alpha: 0.3 }) },
          { strategy: new HintStrategy(), weight: 0.5 },
        ]),
      },
    ],
    ["a loss on arrays", { teacher, data: unlabelled(), strategy: new OnArrays(), ignoreIndex: undefined }],
  ])("%s", async (_, more) => {
    const whole = await collect({ ...options, ...more, batch: 24 });
    const parts = await collect({ ...options, ...more, batch: 6, accumulate: 4 });
    const steps = (events: typeof whole) => only(events, "step");
    expect(steps(parts).map((e) => [e.step, e.epoch, e.learningRate])).toEqual(
      steps(whole).map((e) => [e.step, e.epoch, e.learningRate]),
    );
    for (const [i, e] of steps(whole).entries())
      for (const [term, value] of Object.entries(e.losses))
        expect(steps(parts)[i]!.losses[term], term).toBeCloseTo(value, 5);
    const [a, b] = [parts, whole].map((e) => valuesIn(only(e, "done")[0]!.student));
    for (const [name, values] of b!) expectClose(a!.get(name)!, values, 2e-5, name);
  });

  it("where batches are padded to lengths of their own, and so have more and fewer tokens", async () => {
    const lengths = [3, 5, 2, 4, 5, 3, 2, 4];
    const tokens = lengths.map((n) => randomNumbers([n, 4]));
    const read = (indices: ArrayLike<number>, length: number) => {
      const n = indices.length;
      const [x, y] = [new Float32Array(n * length * 4), new Int32Array(n * length).fill(-100)];
      for (let i = 0; i < n; i++) {
        const sample = indices[i] as number;
        x.set(tokens[sample] as Float32Array, i * length * 4);
        for (let t = 0; t < lengths[sample]!; t++) y[i * length + t] = (sample + t) % 3;
      }
      return {
        inputs: [{ dtype: "float32" as const, dims: [n, length, 4], data: x }],
        labels: { dtype: "int32" as const, dims: [n, length], data: y },
      };
    };
    const dataset = (longest: (indices: ArrayLike<number>) => number): Dataset => ({
      length: 8,
      inputs: [{ dims: [null, 4], dtype: "float32" }],
      hasLabels: true,
      read: (indices) => read(indices, longest(indices)),
    });
    const own = dataset((indices) => Math.max(...Array.from(indices, (i) => lengths[i] as number)));
    const student = buildModel(
      { input: { name: "x", dims: ["n", "t", 4] }, seed: 1 },
      sequential(linear(6), relu(), linear(3)),
    );
    const run = async (more: Partial<DistillOptions>) =>
      collect({ ...options, student, task: "token-classification", ...more });
    const whole = await run({ batch: 8, data: dataset(() => 5) });
    const parts = await run({ batch: 2, accumulate: 4, data: own });
    for (const [i, e] of only(whole, "step").entries())
      expect(only(parts, "step")[i]!.losses.loss).toBeCloseTo(e.losses.loss as number, 5);
    const [a, b] = [parts, whole].map((e) => valuesIn(only(e, "done")[0]!.student));
    for (const [name, values] of b!) expectClose(a!.get(name)!, values, 2e-5, name);
  });
});

describe("a run", () => {
  const noisy: DistillOptions = {
    ...options,
    student: model(1, dropout(0.5)),
    batch: 4,
    accumulate: 4,
    epochs: 3,
  };

  it("goes on to the same bits, by steps of the optimizer, and says what a step takes", async () => {
    const out = join(folder, "run");
    const stop = new AbortController();
    for await (const e of distill({ ...noisy, out, signal: stop.signal }))
      if (e.type === "step" && e.step === 3) stop.abort();
    await expect(collect({ ...noisy, accumulate: 2, out, resume: true })).rejects.toThrow(
      `${out} was begun with accumulate 4, now it is 2`,
    );
    const rest = await collect({ ...noisy, out, resume: true });
    const whole = await collect(noisy);
    expect(only(whole, "start")[0]).toMatchObject({ steps: 6, stepsPerEpoch: 2 });
    expect(only(whole, "start")[0]!.notes).toEqual([
      "a step takes 4 batches of 4 samples, the last of an epoch 2; statistics of normalisation and losses between samples are those of each batch",
    ]);
    expect(only(rest, "step").map((e) => e.step)).toEqual([4, 5, 6]);
    expect(new Uint8Array(only(rest, "done")[0]!.student)).toEqual(
      new Uint8Array(only(whole, "done")[0]!.student),
    );
    expect(only(whole, "step")).toEqual(only(await collect({ ...noisy, worker: true }), "step"));
  });

  it("that diverges in one batch of a step keeps the state before it", async () => {
    const out = join(folder, "diverged");
    const broken = {
      ...data,
      read: async (i: ArrayLike<number>) => {
        const batch = await data.read(i);
        const at = Array.from(i).indexOf(23);
        if (at >= 0 && i.length > 1) (batch.inputs[0]!.data as Float32Array)[at * 5] = Number.NaN;
        return batch;
      },
    };
    await expect(collect({ ...noisy, data: broken, out })).rejects.toThrow(
      `: the data's input is NaN at sample 23. Repair such samples or leave them out. The state before it is saved in ${out}.`,
    );
  });

  it("with accumulate 1 is the run that it was", async () => {
    const one = await collect({ ...options, batch: 6, accumulate: 1 });
    expect(only(one, "step")).toEqual(only(await collect({ ...options, batch: 6 }), "step"));
  });

  it("refuses 0", async () => {
    await expect(collect({ ...options, accumulate: 0 })).rejects.toThrow(
      "distill: accumulate must be a whole number >= 1, got 0",
    );
  });
});

function unlabelled(): Dataset {
  return arrayDataset({ inputs: [noise([24, 5])] });
}
