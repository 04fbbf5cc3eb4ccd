// The whole training step held to PyTorch: a small CNN with BatchNorm, distilled for three steps from the same weights
// on the same batches (test/fixtures/whole_step.py), in one graph and in two halves.
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { beforeAll, describe, expect, test } from "vitest";
import type { Tensor } from "../../src/base/tensor.ts";
import { type CompiledStep, type CompileOptions, names, slotKey } from "../../src/compile/compile-step.ts";
import { readNpz } from "../../src/data/npz.ts";
import { emissionOf, type LossEmission } from "../../src/losses/index.ts";
import type { Model } from "../../src/onnx/model.ts";
import { readModelFile } from "../../src/onnx/read-model-file.ts";
import { writeGraph } from "../../src/onnx/write-graph.ts";
import { type TargetName, targets } from "../../src/ops/target.ts";
import { adamW } from "../../src/optim/adamw.ts";
import type { Optimizer } from "../../src/optim/optimizer.ts";
import { learningRateSchedule } from "../../src/optim/schedules.ts";
import { sgd } from "../../src/optim/sgd.ts";
import { nodeRuntime } from "../../src/runtime/ort-node.ts";
import { NeuronSelectivityDistillationStrategy, type SelectivityMetric } from "../../src/strategies/index.ts";
import { labelRows } from "../../src/tasks/index.ts";
import { StepRunner } from "../../src/train/step-runner.ts";
import { compileModel, unpacked } from "./compile-model.ts";

const [batch, classes, steps] = [16, 5, 3];
const folder = new URL("../fixtures/whole-step/", import.meta.url);
const facts = readNpz(new Uint8Array(readFileSync(new URL("facts.npz", folder))), "facts.npz");
let student: Model;
beforeAll(async () => {
  student = await readModelFile(fileURLToPath(new URL("student.onnx", folder)));
});

const fact = (key: string): Tensor => {
  const found = facts.get(key);
  if (!found) throw new Error(`no fact ${key}`);
  return found;
};

function loss(metric: SelectivityMetric = "variance"): LossEmission {
  const strategy = new NeuronSelectivityDistillationStrategy({
    targetLayerName: "last",
    selectivityWeight: 0.5,
    metric,
    temperature: 3,
    alpha: 0.3,
  });
  return emissionOf(strategy) as LossEmission;
}

const options = (o: Partial<CompileOptions>): Partial<CompileOptions> => ({
  teacherLogits: true,
  taps: [
    { name: "last", student: "features", teacher: { dtype: "float32", dims: fact("batch/0/tap").dims } },
  ],
  loss: loss(),
  ...o,
});

function feeds(i: number): Record<string, Tensor> {
  return {
    images: fact(`batch/${i}/images`),
    [names.teacherLogits]: fact(`batch/${i}/logits`),
    [names.teacherTap("last")]: fact(`batch/${i}/tap`),
    [names.labels]: labelRows(fact(`batch/${i}/labels`), [batch, classes]),
  };
}

/** ‖a − e‖ < tolerance · ‖e‖ and max|a − e| < tolerance · max|e|. */
function expectSame(actual: ArrayLike<number>, wanted: Tensor, what: string, tolerance = 1e-5): void {
  const e = wanted.data as Float64Array;
  expect(actual.length, what).toBe(e.length);
  let [difference, norm, worst, largest] = [0, 0, 0, 0];
  for (let i = 0; i < e.length; i++) {
    const d = (actual[i] as number) - (e[i] as number);
    difference += d * d;
    norm += (e[i] as number) ** 2;
    worst = Math.max(worst, Math.abs(d));
    largest = Math.max(largest, Math.abs(e[i] as number));
  }
  expect(Math.sqrt(difference / norm), `${what}: relative error of the whole tensor`).toBeLessThan(tolerance);
  expect(worst / largest, `${what}: worst element against the largest`).toBeLessThan(tolerance);
}

function expectLosses(losses: Record<string, number>, wanted: Tensor, what: string): void {
  const terms = ["loss", "loss/hard", "loss/soft", "loss/selectivity/last"];
  expect(Object.keys(losses)).toEqual(terms);
  terms.forEach((term, i) => {
    const e = wanted.data[i] as number;
    expect(Math.abs((losses[term] as number) - e) / Math.abs(e), `${what}: ${term}`).toBeLessThan(1e-5);
  });
}

const runs: { name: string; optimizer: Optimizer; lr: number; clipNorm?: number; also: TargetName[] }[] = [
  {
    name: "sgd",
    optimizer: sgd({ momentum: 0.9, weightDecay: 5e-4 }),
    lr: 0.1,
    also: ["standard", "webgpu"],
  },
  { name: "adamw", optimizer: adamW({ weightDecay: 0.01 }), lr: 2e-3, clipNorm: 0.5, also: ["webgpu"] },
];
const initialisers = [...facts.keys()]
  .filter((k) => k.startsWith("sgd/0/"))
  .map((k) => k.slice("sgd/0/".length))
  .filter((k) => k !== "losses" && k !== "rate");

describe.each(runs.flatMap((r) => (["cpu", ...r.also] as TargetName[]).map((target) => ({ ...r, target }))))(
  "three steps of $name, emitted for $target",
  ({ name, optimizer, lr, clipNorm, target }) => {
    let compiled: CompiledStep;
    beforeAll(async () => {
      compiled = await compileModel(
        student,
        batch,
        options({ optimizer, clipNorm, target: targets[target] }),
      );
    });

    test("weights, running statistics and every loss term are PyTorch's", async () => {
      const runner = await StepRunner.load(compiled, nodeRuntime, 0);
      const rate = learningRateSchedule(lr, steps);
      for (let i = 0; i < steps; i++) {
        expect(rate(i)).toBeCloseTo(Number(fact(`${name}/${i}/rate`).data[0]), 12);
        const { losses, accept } = await runner.run(
          feeds(i),
          { step: i, steps: 1, stepsPerEpoch: 1 },
          rate(i),
        );
        accept();
        expectLosses(losses, fact(`${name}/${i}/losses`), `step ${i + 1}`);
        const weights = runner.weights();
        expect([...weights.keys()].sort()).toEqual([...initialisers].sort());
        for (const key of initialisers)
          expectSame(
            weights.get(key)?.data as Float32Array,
            fact(`${name}/${i}/${key}`),
            `${key} after step ${i + 1}`,
          );
      }
      await runner.release();
    });

    test("gradients, then apply, are the whole step", async () => {
      const runner = await StepRunner.load(compiled, nodeRuntime, 0);
      const half = await nodeRuntime.load(writeGraph(compiled.gradients));
      const rest = await nodeRuntime.load(writeGraph(compiled.apply));
      const rate = learningRateSchedule(lr, steps);
      const state = new Map(compiled.initial);
      const fed = (keys: string[]): Record<string, Tensor> =>
        Object.fromEntries(
          keys.map((k) => {
            const data = state.get(k) as Float32Array;
            return [names.state(k), { dtype: "float32", dims: [data.length], data }];
          }),
        );
      const slots = compiled.weights.flatMap((p) => optimizer.slots.map((s) => slotKey(s, p)));
      const weightKeys = compiled.weights.map((p) => p.key);
      const statisticKeys = compiled.statistics.map((p) => p.key);
      for (let i = 0; i < steps; i++) {
        const { losses, accept } = await runner.run(
          feeds(i),
          { step: i, steps: 1, stepsPerEpoch: 1 },
          rate(i),
        );
        accept();
        const found = await half.run({ ...feeds(i), ...fed([...weightKeys, ...statisticKeys]) });
        const scalars = Object.fromEntries(
          Object.entries(optimizer.scalars(i, rate(i))).map(([k, v]) => [
            names.scalar(k),
            { dtype: "float32", dims: [], data: Float32Array.of(v) } as Tensor,
          ]),
        );
        const gradients = Object.fromEntries(
          weightKeys.map((k) => [names.gradient(k), found[names.gradient(k)] as Tensor]),
        );
        const applied = await rest.run({ ...fed([...weightKeys, ...slots]), ...gradients, ...scalars });
        for (const k of statisticKeys) state.set(k, found[names.next(k)]?.data as Float32Array);
        for (const k of [...weightKeys, ...slots]) state.set(k, applied[names.next(k)]?.data as Float32Array);
        expect(Array.from(found[names.losses]!.data as Float32Array)).toEqual(Object.values(losses));
        for (const [key, whole] of runner.state)
          expectSame(
            state.get(key) as Float32Array,
            { dtype: "float32", dims: [whole.length], data: whole },
            key,
            1e-7,
          );
      }
      for (const s of [runner, half, rest]) await s.release();
    });
  },
);

describe("gradients of one step", () => {
  async function gradientsOf(o: Partial<CompileOptions>) {
    const compiled = await compileModel(student, batch, options(o));
    const session = await nodeRuntime.load(writeGraph(compiled.gradients));
    const state = Object.fromEntries(
      [...compiled.weights, ...compiled.statistics].map((p) => {
        const data = compiled.initial.get(p.key) as Float32Array;
        return [names.state(p.key), { dtype: "float32", dims: [data.length], data } as Tensor];
      }),
    );
    const out = await session.run({ ...feeds(0), ...state });
    await session.release();
    const values = out[names.losses]?.data as Float32Array;
    return {
      compiled,
      out,
      state,
      losses: Object.fromEntries(compiled.terms.map((t, i) => [t, values[i] as number])),
      gradients: unpacked(compiled.weights, out, names.gradient),
    };
  }

  test.each([
    ["variance", {}],
    ["sparsity", { loss: loss("sparsity") }],
    ["peak-to-average", { loss: loss("peak-to-average") }],
    ["frozen", { trainStatistics: false }],
  ] as [string, Partial<CompileOptions>][])("%s", async (name, o) => {
    const { losses, gradients } = await gradientsOf(o);
    expectLosses(losses, fact(`gradients/${name}/losses`), name);
    expect(gradients.size).toBe(11);
    for (const [key, g] of gradients)
      expectSame(g.data as Float32Array, fact(`gradients/${name}/${key}`), `gradient of ${key}`);
  });

  test("frozen statistics stay as they are, bit for bit", async () => {
    const { compiled, out, state } = await gradientsOf({ trainStatistics: false });
    for (const { key } of compiled.statistics)
      expect(out[names.next(key)]?.data).toEqual(state[names.state(key)]?.data);
  });
});
