// What the demo trains, on what, and how: the one place to change it.
import { fileURLToPath } from "node:url";
import { demoStudent } from "../nn/demo-models.ts";
import type { Model } from "../onnx/model.ts";
import {
  type AnyStrategy,
  CombinedDistillationStrategy,
  NeuronSelectivityDistillationStrategy,
  type SelectivityMetric,
  TransformedTeacherDistillationStrategy,
} from "../strategies/index.ts";
import type { NamedTap } from "../train/options.ts";
import { defaultTapLoss } from "../train/task-strategy.ts";
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
  /** Where the selectivity of single neurons is compared: a value of the same name in both models. */
  readonly tap: string;
  readonly metric: SelectivityMetric;
  readonly selectivityWeight: number;
  /** What CKA compares: one stage before. */
  readonly aligned: NamedTap;
  /** More of the teacher's outputs than this are kept in a file, so that the demo runs on small machines. */
  readonly teacherCacheBytes: number;
}

/** WTTM on outputs, CKA one stage before the last, selectivity at the last: what measured best (docs/quality.md). */
export function demoStrategy(recipe: DemoRecipe): AnyStrategy {
  const { temperature, alpha, metric, selectivityWeight, tap } = recipe;
  const selectivity = { targetLayerName: tap, metric, selectivityWeight };
  return new CombinedDistillationStrategy([
    { strategy: new TransformedTeacherDistillationStrategy({ temperature, alpha }) },
    defaultTapLoss(recipe.aligned.name),
    { strategy: new NeuronSelectivityDistillationStrategy(selectivity), part: "intermediate" },
  ]);
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
  temperature: 4,
  alpha: 0.3,
  tap: "features",
  metric: "sparsity",
  selectivityWeight: 0.3,
  aligned: { name: "middle", teacher: "stage2/block2/relu2", student: "relu2" },
  teacherCacheBytes: 2 ** 26,
};
