// Images of several sizes, one a step, and labels that follow them: a step for each size, as PyTorch trains.
import { readFileSync } from "node:fs";
import { expect, it } from "vitest";
import { tensor } from "../../src/base/tensor.ts";
import type { Dataset } from "../../src/data/dataset.ts";
import { modelBytes } from "../../src/onnx/export-model.ts";
import { readModel } from "../../src/onnx/read-model.ts";
import { nodeRuntime } from "../../src/runtime/ort-node.ts";
import { CenteredKernelAlignmentStrategy } from "../../src/strategies/index.ts";
import type { DistillOptions } from "../../src/train/options.ts";
import { collect, only } from "./helpers.ts";

const at = (file: string) => new URL(`../fixtures/image-sizes/${file}`, import.meta.url);
const torch = JSON.parse(readFileSync(at("expected.json"), "utf8")) as {
  readonly sizes: [number, number][];
  readonly images: number[][];
  readonly labels: number[][];
  readonly losses: number[];
  readonly outputs: number[][];
  readonly loss: number;
};
const imageOf = (i: number) => tensor("float32", torch.images[i]!, [1, 2, ...torch.sizes[i]!]);
const data: Dataset = {
  length: 6,
  inputs: [{ dims: [2, null, null], dtype: "float32" }],
  hasLabels: true,
  classes: 3,
  read: ({ 0: i }) => ({
    inputs: [imageOf(i!)],
    labels: tensor("int32", torch.labels[i!]!, [1, ...torch.sizes[i!]!]),
  }),
};
const base = {
  student: new Uint8Array(readFileSync(at("model.onnx"))),
  data,
  evaluation: data,
  task: "segmentation",
  batch: 1,
  epochs: 2,
  optimizer: { name: "adamw", weightDecay: 0 },
  learningRate: 0.01,
  schedule: { schedule: "constant" },
  keep: "last",
} satisfies DistillOptions;

it.each([{ worker: false }, { worker: true }])("give PyTorch's losses and weights, %o", async (more) => {
  const events = await collect({ ...base, ...more });
  const losses = only(events, "step").map((e) => e.losses.loss as number);
  for (const [i, loss] of torch.losses.entries()) expect(losses[i]).toBeCloseTo(loss, 5);
  expect(only(events, "compiled")).toHaveLength(4);
  const { student } = only(events, "done")[0]!;
  const session = await nodeRuntime.load(modelBytes(readModel(student)));
  for (const [i, wanted] of torch.outputs.entries()) {
    const { logits } = await session.run({ image: imageOf(i) });
    for (const [k, v] of wanted.entries()) expect(logits!.data[k]).toBeCloseTo(v, 4);
  }
  await session.release();
  expect(only(events, "evaluation").at(-1)!.metrics.loss).toBeCloseTo(torch.loss, 4);
});

it.each([
  { taps: [{ teacher: "/side/Conv_output_0" }, { teacher: "/down/Conv_output_0" }] },
  { taps: "auto" },
] as const)("learn from a teacher and between layers, whatever the size: %o", async (more) => {
  const events = await collect({
    ...base,
    teacher: base.student,
    strategy: new CenteredKernelAlignmentStrategy({ over: "samples-and-positions" }),
    ...more,
    epochs: 1,
  });
  const losses = only(events, "step").map((e) => e.losses.loss as number);
  expect(losses).toHaveLength(6);
  expect(losses.every(Number.isFinite)).toBe(true);
});
