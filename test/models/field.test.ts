// Situations that people reported of real models (docs/field-cases.md), made small by test/fixtures/field.py: three steps of
// SGD over all samples must leave the outputs that PyTorch's three steps in float64 leave.
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { type Tensor, toNumbers } from "../../src/base/tensor.ts";
import { readNpz } from "../../src/data/npz.ts";
import type { DistillOptions, TaskName } from "../../src/index.ts";
import { offAfterThreeSteps } from "./three-steps.ts";

const folder = fileURLToPath(new URL("../fixtures/field", import.meta.url));
const files = readdirSync(folder).filter((f) => f.endsWith(".onnx"));
const names = [...new Set(files.map((f) => f.slice(0, f.indexOf("."))))];

/** Of Swin V2's export nothing tells that the zeros for the keys are a buffer: the table of a run lists them, and a user says so. */
const chosen: Readonly<Record<string, Partial<DistillOptions>>> = { "swin-v2-scale": { freeze: ["k_bias"] } };

const optimizer = { name: "sgd", momentum: 0, nesterov: false, weightDecay: 0 } as const;

test("holds the situations", () => expect(names.length).toBeGreaterThanOrEqual(16));

describe.each(names)("%s", (name) => {
  const arrays = readNpz(readFileSync(join(folder, `${name}.npz`)), name);
  const read = (key: string) => arrays.get(key) as Tensor;
  const task = Buffer.from(Uint8Array.from(toNumbers(read("task")))).toString() as TaskName;

  const learningRate = toNumbers(read("lr"))[0] as number;

  test.each(files.filter((f) => f.startsWith(`${name}.`)))("%s", async (file) => {
    const model = readFileSync(join(folder, file));
    expect(
      await offAfterThreeSteps(model, read, { task, learningRate, optimizer, ...chosen[name] }),
    ).toBeLessThan(1e-3);
  });
});
