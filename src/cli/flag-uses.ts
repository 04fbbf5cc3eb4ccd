// What each option of `train` speaks of: one table, exhaustive by its type, so that an option that is added is classified
// before anything compiles. What a row of a comparison keeps without a teacher, and what is refused without one, follow
// from it.
import type { TrainFlags } from "./train-options.ts";

/**
 * "training": what any run computes; "teacher": learning from one, and nothing else; "run": where it is written, and what is
 * told of it.
 */
export type FlagUse = "training" | "teacher" | "run";

export const flagUses: { readonly [K in keyof Required<TrainFlags>]: FlagUse } = {
  student: "training",
  studentLogits: "training",
  teacher: "teacher",
  teacherLogits: "teacher",
  classMap: "teacher",
  projectOutputs: "teacher",
  studentGives: "training",
  teacherGives: "teacher",
  classAxis: "training",
  batchAxis: "training",
  fix: "training",
  studentFix: "training",
  teacherFix: "teacher",
  task: "training",
  ignoreIndex: "training",
  huberDelta: "training",
  blankIndex: "training",
  data: "training",
  mean: "training",
  std: "training",
  evalData: "training",
  flip: "training",
  crop: "training",
  variants: "training",
  loss: "teacher",
  strategy: "teacher",
  tap: "teacher",
  project: "teacher",
  intermediate: "teacher",
  metric: "teacher",
  over: "teacher",
  match: "teacher",
  target: "teacher",
  distance: "teacher",
  selectivityMomentum: "teacher",
  selectivityWeight: "teacher",
  temperature: "teacher",
  alpha: "teacher",
  epochs: "training",
  batch: "training",
  accumulate: "training",
  optimizer: "training",
  lr: "training",
  schedule: "training",
  warmup: "training",
  momentum: "training",
  nesterov: "training",
  weightDecay: "training",
  noDecay: "training",
  weightDecayFor: "training",
  lrFor: "training",
  clipNorm: "training",
  averageWeights: "training",
  patience: "training",
  minDelta: "training",
  classWeights: "training",
  freeze: "training",
  train: "training",
  untie: "training",
  paddingRow: "training",
  init: "training",
  insertBatchnorm: "training",
  batchNorm: "training",
  keep: "training",
  seed: "training",
  threads: "training",
  teacherCache: "teacher",
  teacherCacheType: "teacher",
  out: "run",
  resume: "run",
  checkpointEvery: "run",
  logEvery: "run",
  monitor: "run",
  json: "run",
  decay: "run", // as it is typed only: noDecay is made of it
};

/** Options that say something about learning from a teacher only, but for the teacher itself. */
export const flagsOfTeacher = (Object.keys(flagUses) as (keyof TrainFlags)[]).filter(
  (key) => flagUses[key] === "teacher" && key !== "teacher",
);
