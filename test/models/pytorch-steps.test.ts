// Kinds of PyTorch models in files of both exporters, by test/fixtures/pytorch_steps.py: three steps of SGD on what is taken
// for a parameter must leave the outputs that PyTorch's three steps on its own parameters, in float64, leave.
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import type { Tensor } from "../../src/base/tensor.ts";
import { readNpz } from "../../src/data/npz.ts";
import type { DistillOptions } from "../../src/index.ts";
import { offAfterThreeSteps } from "./three-steps.ts";

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

  test.each(files.filter((f) => f.startsWith(`${name}.`)))("%s", async (file) => {
    const model = readFileSync(join(folder, file));
    expect(await offAfterThreeSteps(model, read, options[name] ?? sgd)).toBeLessThan(1e-3);
  });
});
