// Taps of different resolution, through the whole loop: what is compared is the larger value pooled to the smaller.
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { measureSelectivity } from "../../src/analysis/measure-selectivity.ts";
import { formatBytes } from "../../src/base/format.ts";
import { sizeOf, type Tensor } from "../../src/base/tensor.ts";
import { batchOrder } from "../../src/data/batches.ts";
import { buildModel } from "../../src/nn/build-model.ts";
import * as nn from "../../src/nn/index.ts";
import { withOutputs } from "../../src/onnx/export-model.ts";
import type { Model } from "../../src/onnx/model.ts";
import { nodeRuntime } from "../../src/runtime/ort-node.ts";
import {
  Matrix,
  NeuronSelectivityDistillationStrategy,
  selectivityScores,
} from "../../src/strategies/index.ts";
import type { DistillOptions } from "../../src/train/options.ts";
import { bars, collect, only } from "./helpers.ts";

/** One convolution of the given stride: "map" is [N, 6, 16/stride, 16/stride]. */
const model = (stride: number, seed: number): Model =>
  buildModel(
    { input: { name: "x", dims: ["n", 1, 16, 16] }, seed },
    nn.sequential(
      nn.conv(6, 3, { padding: 1, stride }),
      nn.relu({ name: "map" }),
      nn.globalAveragePool(),
      nn.linear(5),
    ),
  );

const [large, small] = [model(2, 1), model(4, 2)];
const data = bars(64, 5);
const tap = { name: "features", teacher: "map", student: "map" };
const base = {
  data,
  batch: 16,
  epochs: 2,
  learningRate: 0.05,
  seed: 3,
  taps: [tap],
} satisfies Partial<DistillOptions>;
const strategy = () => new NeuronSelectivityDistillationStrategy({ selectivityWeight: 3 });

class OnArrays extends NeuronSelectivityDistillationStrategy {}

const folder = mkdtempSync(join(tmpdir(), "pooled-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

async function tapped(of: Model, samples: Uint32Array): Promise<Tensor> {
  const session = await nodeRuntime.load(withOutputs(of, ["map"]));
  const { inputs } = await data.read(samples);
  const { map } = await session.run({ x: inputs[0] as Tensor }, ["map"]);
  await session.release();
  return map as Tensor;
}

/** Means of 2×2 windows of [N, C, H, W]. */
function halved({ dims, data }: Tensor): Tensor {
  const [n, c, h, w] = dims as [number, number, number, number];
  const out = new Float32Array(sizeOf(dims) / 4);
  (data as Float32Array).forEach((v, k) => {
    const [y, x] = [Math.floor(k / w) % h, k % w];
    const i = Math.floor(k / (h * w)) * (h / 2) * (w / 2) + Math.floor(y / 2) * (w / 2) + Math.floor(x / 2);
    out[i] = (out[i] as number) + v / 4;
  });
  return { dtype: "float32", dims: [n, c, h / 2, w / 2], data: out };
}

function selectivityLoss(a: Tensor, b: Tensor): number {
  const [s, t] = [a, b].map((m) =>
    selectivityScores(Matrix.fromNCHW({ data: m.data as Float32Array, dims: [...m.dims] }), "variance"),
  ) as [Float64Array, Float64Array];
  return (3 / s.length) * [...s].reduce((sum, v, i) => sum + (v - (t[i] as number)) ** 2, 0);
}

describe.each([
  ["the teacher's larger map", large, small],
  ["the student's larger map", small, large],
])("%s", (name, teacherModel, student) => {
  const teacher = async () => withOutputs(teacherModel, ["map"]);

  it("is pooled: the first step's loss is that of the pooled values", async () => {
    const [first] = only(
      await collect({ ...base, teacher: await teacher(), student, strategy: strategy() }),
      "step",
    );
    const samples = batchOrder(data.length, 16, 3, 0)[0] as Uint32Array;
    const [ofLarge, ofSmall] = [halved(await tapped(large, samples)), await tapped(small, samples)];
    expect(first?.losses["loss/selectivity/features"]).toBeCloseTo(selectivityLoss(ofLarge, ofSmall), 6);
  });

  it("gives the same losses from arrays", async () => {
    const run = async (s: NeuronSelectivityDistillationStrategy) =>
      only(await collect({ ...base, teacher: await teacher(), student, strategy: s }), "step");
    const [emitted, arrays] = [
      await run(strategy()),
      await run(new OnArrays({ selectivityWeight: 3, targetLayerName: "features" })),
    ];
    emitted.forEach((e, i) => {
      expect((arrays[i]?.losses.loss as number) / (e.losses.loss as number), `step ${i + 1}`).toBeCloseTo(
        1,
        4,
      );
    });
  });

  it("is kept pooled: the same bits with the teacher at every step", async () => {
    const run = async (teacherCache: "memory" | "off") =>
      collect({ ...base, teacher: await teacher(), student, strategy: strategy(), teacherCache });
    const [kept, fresh] = [await run("memory"), await run("off")];
    expect(only(kept, "done")[0]?.student).toEqual(only(fresh, "done")[0]?.student);
    // 64 samples of 5 logits and 6·4·4 activations.
    expect(only(kept, "start")[0]?.notes).toContain(
      `teacher outputs are computed once and kept in memory (${formatBytes(64 * 4 * (5 + 6 * 4 * 4))})`,
    );
  });

  it("is told before training, and kept in run.json", async () => {
    const out = join(folder, name.replaceAll(" ", "-"));
    const events = await collect({ ...base, epochs: 1, teacher: await teacher(), student, out });
    const start = only(events, "start")[0];
    const side = name.includes("teacher") ? "teacher" : "student";
    expect(start?.notes).toContain(`tap "features": the ${side}'s [16,6,8,8] is pooled to 4x4`);
    const forms = { student: {}, teacher: {}, [side]: { pool: [4, 4] } };
    expect(start?.taps).toEqual([{ ...tap, forms }]);
    const { config } = JSON.parse(readFileSync(join(out, "run.json"), "utf8"));
    expect(config.taps).toEqual([{ ...tap, forms }]);
  });
});

it("pools what a teacher function gives, whatever its batch", async () => {
  const session = await nodeRuntime.load(withOutputs(large, ["map"]));
  const [logits] = session.outputs.map((o) => o.name) as [string];
  const evaluation = bars(20, 9);
  const events = await collect({
    ...base,
    student: small,
    evaluation,
    teacher: async (inputs) => {
      const said = await session.run({ x: inputs[0] as Tensor });
      return { logits: said[logits] as Tensor, taps: { features: said.map as Tensor } };
    },
    strategy: strategy(),
  });
  await session.release();
  expect(only(events, "done")).toHaveLength(1);
  expect(only(events, "start")[0]?.notes).toContain(
    'tap "features": the teacher\'s [16,6,8,8] is pooled to 4x4',
  );
});

it("is refused where no form fits, before training, with both shapes", async () => {
  const taught = (dims: number[]) => (inputs: readonly Tensor[]) => {
    const n = inputs[0]?.dims[0] as number;
    const zeros = (shape: number[]): Tensor => ({
      dtype: "float32",
      dims: [n, ...shape],
      data: new Float32Array(n * sizeOf(shape)),
    });
    return { logits: zeros([5]), taps: { features: zeros(dims) } };
  };
  await expect(collect({ ...base, student: small, teacher: taught([]) })).rejects.toThrow(
    'tap "features": the student\'s "map" (model) is [16,6,4,4] and the teacher\'s value [16]: a value of shape [16] has no neurons; tap one of rank 2 or more',
  );
});

it("is measured pooled, for the report", async () => {
  const values = { features: "map" };
  const [pooled, plain] = [
    await measureSelectivity({
      model: large,
      runtime: nodeRuntime,
      dataset: data,
      values,
      forms: { features: { pool: [4, 4] } },
      batch: 48,
    }),
    await measureSelectivity({ model: large, runtime: nodeRuntime, dataset: data, values }),
  ];
  expect([pooled.features?.rows, plain.features?.rows]).toEqual([64 * 16, 64 * 64]);
  const all = halved(
    await tapped(
      large,
      Uint32Array.from({ length: 64 }, (_, i) => i),
    ),
  );
  const wanted = selectivityScores(
    Matrix.fromNCHW({ data: all.data as Float32Array, dims: [...all.dims] }),
    "variance",
  );
  pooled.features?.scores.variance?.forEach((v, i) => {
    expect(v).toBeCloseTo(wanted[i] as number, 6);
  });
});
