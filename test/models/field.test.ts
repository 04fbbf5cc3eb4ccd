// Situations that people reported of real models (docs/field-cases.md), made small by test/fixtures/field.py: three steps of
// SGD over all samples must leave the outputs that PyTorch's three steps in float64 leave.
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import * as ort from "onnxruntime-node";
import { describe, expect, test } from "vitest";
import { type Tensor, toNumbers } from "../../src/base/tensor.ts";
import { readNpz } from "../../src/data/npz.ts";
import { arrayDataset, type DistillOptions, distill, type TaskName } from "../../src/index.ts";

const folder = fileURLToPath(new URL("../fixtures/field", import.meta.url));
const files = readdirSync(folder).filter((f) => f.endsWith(".onnx"));
const names = [...new Set(files.map((f) => f.slice(0, f.indexOf("."))))];

/** Of Swin V2's export nothing tells that the zeros for the keys are a buffer: the table of a run lists them, and a user says so. */
const chosen: Readonly<Record<string, Partial<DistillOptions>>> = { "swin-v2-scale": { freeze: ["k_bias"] } };

test("holds the situations", () => expect(names.length).toBeGreaterThanOrEqual(16));

describe.each(names)("%s", (name) => {
  const arrays = readNpz(readFileSync(join(folder, `${name}.npz`)), name);
  const read = (key: string) => arrays.get(key) as Tensor;
  const task = Buffer.from(Uint8Array.from(toNumbers(read("task")))).toString() as TaskName;
  const [x, y] = [read("x"), read("y")];

  test.each(files.filter((f) => f.startsWith(`${name}.`)))("%s", async (file) => {
    const labels = task === "classification" ? toNumbers(y) : y;
    let student: Uint8Array | undefined;
    for await (const event of distill({
      student: readFileSync(join(folder, file)),
      data: arrayDataset({ inputs: [x], labels }),
      task,
      batch: x.dims[0] as number,
      epochs: 3,
      learningRate: toNumbers(read("lr"))[0] as number,
      schedule: { schedule: "constant" },
      optimizer: { name: "sgd", momentum: 0, nesterov: false, weightDecay: 0 },
      keep: "last",
      worker: false,
      ...chosen[name],
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
