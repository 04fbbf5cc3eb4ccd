// What torch made of a small model with the options of a run (test/fixtures/training.py), and a run of ours to be held to it.
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { expect } from "vitest";
import { tensor } from "../../src/base/tensor.ts";
import { arrayDataset } from "../../src/data/array-dataset.ts";
import type { Dataset } from "../../src/data/dataset.ts";
import { readModel } from "../../src/onnx/read-model.ts";
import type { DistillOptions } from "../../src/train/options.ts";
import { expectClose } from "../gradient-checker.ts";
import { collect, only } from "./helpers.ts";

const at = (name: string): URL => new URL(`../fixtures/training/${name}`, import.meta.url);
export const net = fileURLToPath(at("net.onnx"));

interface Case {
  readonly losses?: number[];
  readonly values: Record<string, number[]>;
  readonly raw?: Record<string, number[]>;
}
export const facts = JSON.parse(readFileSync(at("facts.json"), "utf8")) as {
  readonly x: number[];
  readonly dims: number[];
  readonly labels: number[];
  readonly ignored: number[];
  readonly soft: number[];
  readonly weights: number[];
  readonly cases: Record<string, Case>;
};
const samples = facts.dims[0] as number;

export function torchData(labels: "labels" | "ignored" | "soft" = "labels"): Dataset {
  return arrayDataset({
    inputs: [tensor("float32", facts.x, facts.dims)],
    labels:
      labels === "soft"
        ? tensor("float32", facts.soft, [samples, 3])
        : tensor("int32", facts[labels], [samples]),
  });
}

/** All samples a step, five steps, at a constant rate. */
export const wholeBatches: DistillOptions = {
  student: net,
  data: torchData(),
  batch: samples,
  epochs: 5,
  schedule: { schedule: "constant" },
};
export const plainSgd = {
  optimizer: { name: "sgd", momentum: 0, weightDecay: 0 },
  learningRate: 0.1,
} as const;

export function valuesIn(student: Uint8Array): Map<string, number[]> {
  const { constants } = readModel(student, { source: "student" }).graph;
  return new Map([...constants].map(([v, t]) => [v.name, Array.from(t.data as Float32Array)]));
}

/** Runs with these options and holds losses and the student to the case. */
export async function expectAsTorch(name: string, options: DistillOptions, tolerance = 2e-5): Promise<void> {
  const { losses, values } = facts.cases[name] as Case;
  const events = await collect(options);
  if (losses)
    expectClose(
      only(events, "step").map((e) => e.losses.loss as number),
      losses,
      tolerance,
      "losses",
    );
  const own = valuesIn(only(events, "done")[0]!.student);
  for (const [key, wanted] of Object.entries(values)) {
    const found = own.get(key);
    expect(found, key).toBeDefined();
    expectClose(found!, wanted, tolerance, key);
  }
}
