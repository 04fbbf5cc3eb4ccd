// Kinds of PyTorch models in files of both exporters, by test/fixtures/pytorch_steps.py: three steps of SGD on what is taken
// for a parameter must leave the outputs that PyTorch's three steps on its own parameters, in float64, leave.
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import * as ort from "onnxruntime-node";
import { describe, expect, test } from "vitest";
import { type Tensor, toNumbers } from "../../src/base/tensor.ts";
import { readNpz } from "../../src/data/npz.ts";
import { arrayDataset, type DistillOptions, distill } from "../../src/index.ts";

const folder = fileURLToPath(new URL("../fixtures/pytorch-steps", import.meta.url));
const files = readdirSync(folder).filter((f) => f.endsWith(".onnx"));
const names = [...new Set(files.map((f) => f.slice(0, f.indexOf("."))))];

test("holds the kinds", () => expect(names.length).toBe(28));

const sgd: Partial<DistillOptions> = {
  learningRate: 0.1,
  optimizer: { name: "sgd", momentum: 0, nesterov: false, weightDecay: 0 },
};
const adamw: Partial<DistillOptions> = {
  learningRate: 0.05,
  optimizer: { name: "adamw", weightDecay: 0.2 },
  noDecay: "none",
};
const paddingRows = { "embed.weight": 0 };
/** How PyTorch trained it, where that is not by plain SGD. */
const options: Readonly<Record<string, Partial<DistillOptions>>> = {
  "padding-row-sgd": {
    paddingRows,
    learningRate: 0.1,
    optimizer: { name: "sgd", momentum: 0.9, nesterov: false, weightDecay: 0.05 },
  },
  "padding-row-adamw": { ...adamw, paddingRows },
  "padding-row-tied": { ...sgd, paddingRows: { "*": -11 } },
  "padding-row-tied-adamw": { ...adamw, paddingRows: { "*.weight": [0] } },
};

describe.each(names)("%s", (name) => {
  const arrays = readNpz(readFileSync(join(folder, `${name}.npz`)), name);
  const read = (key: string) => arrays.get(key) as Tensor;
  const [x, y] = [read("x"), read("y")];

  test.each(files.filter((f) => f.startsWith(`${name}.`)))("%s", async (file) => {
    let student: Uint8Array | undefined;
    for await (const event of distill({
      student: readFileSync(join(folder, file)),
      data: arrayDataset({ inputs: [x], labels: toNumbers(y) }),
      batch: x.dims[0] as number,
      epochs: 3,
      schedule: { schedule: "constant" },
      ...(options[name] ?? sgd),
      keep: "last",
      worker: false,
    }))
      if (event.type === "done") student = event.student;
    const after = await outputs(student as Uint8Array, x);
    const [want, before] = [toNumbers(read("after")), toNumbers(read("before"))];
    expect(distance(after, want) / distance(before, want)).toBeLessThan(1e-3);
  });
});

async function outputs(model: Uint8Array, x: Tensor): Promise<number[]> {
  const session = await ort.InferenceSession.create(model, { logSeverityLevel: 3 });
  const feeds = { x: new ort.Tensor(x.dtype as "float32", x.data as Float32Array, [...x.dims]) };
  const { logits } = await session.run(feeds);
  return Array.from(logits?.data as Float32Array);
}

const distance = (a: readonly number[], b: readonly number[]) =>
  Math.hypot(...a.map((v, i) => v - (b[i] as number)));
