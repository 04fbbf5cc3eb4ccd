// What the demo trains, on what, and how: the one place to change it.
import { fileURLToPath } from "node:url";
import { demoStudent } from "../nn/demo-models.ts";
import type { Model } from "../onnx/model.ts";
import type { SelectivityMetric } from "../strategies/index.ts";
import { demoEpochs } from "./demo-epochs.ts";

export interface DemoRecipe {
  /** Folder of the data set, and the teacher's file. */
  readonly data: string;
  readonly teacher: string;
  /** The student before training. */
  readonly student: (seed: number) => Model;
  readonly mean: number;
  readonly std: number;
  readonly epochs: number;
  readonly batch: number;
  readonly learningRate: number;
  readonly weightDecay: number;
  readonly temperature: number;
  readonly alpha: number;
  /** A value of the same name in both models. */
  readonly tap: string;
  readonly metric: SelectivityMetric;
  readonly selectivityWeight: number;
}

const asset = (name: string): string =>
  fileURLToPath(new URL(`../../assets/fashion-mnist/${name}`, import.meta.url));

export const demoRecipe: DemoRecipe = {
  data: asset(""),
  teacher: asset("teacher.onnx"),
  student: demoStudent,
  mean: 0.286,
  std: 0.353,
  epochs: demoEpochs,
  batch: 128,
  learningRate: 0.1,
  weightDecay: 5e-4,
  temperature: 3,
  alpha: 0.3,
  tap: "features",
  metric: "sparsity",
  selectivityWeight: 1,
};
