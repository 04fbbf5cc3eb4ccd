// What a report is made from: plain JSON, so that it can be kept beside a run and rendered again by a later version.
// No logic here. Numbers may be null wherever a measurement is missing: JSON writes NaN and infinities as null, and the
// report shows both as missing.

import type { MetricKey } from "../tasks/metrics.ts";

/** A measured number; null, NaN or infinite where there is none. */
export type Figure = number | null;

/** Everything the page shows. Only `title`, `created`, `models`, `runs` are needed; what is absent is left out. */
export interface ReportData {
  /** What was done, e.g. "Fashion-MNIST: ResNet teacher, small student". */
  title: string;
  /** When, ISO 8601. */
  created: string;
  /** The command line that can be typed again. */
  command?: string;
  /** The configuration as resolved; nested objects become dotted keys. */
  config?: Record<string, unknown>;
  machine?: Machine;
  /** Name of the task, which says what metrics there are; default "classification". */
  task?: string;
  /** What `metrics` of the models were measured on. */
  evaluation?: EvaluationSet;
  /** Teacher first, then the students; one row each in the summary table. */
  models: ModelRow[];
  /** Training runs. A run whose label is a model's label is drawn in that model's colour. */
  runs: RunSeries[];
  /** Of the main student. */
  confusion?: Confusion;
  /** Recall per class of several models side by side. */
  perClass?: PerClass;
  /** One entry per tap and metric. */
  selectivity?: SelectivityScores[];
  /** Honest remarks, one sentence each: the last batch was dropped, the teacher's outputs were cached, … */
  notes?: string[];
}

export interface Machine {
  /** e.g. "AMD EPYC 7B13". */
  cpu?: string;
  /** Logical cores. */
  cores?: number;
  /** Bytes of main memory. */
  memory?: number;
  /** e.g. "linux x64 6.1". */
  os?: string;
  /** e.g. "20.20.0". */
  node?: string;
  /** e.g. "1.30.0, CPU". */
  onnxruntime?: string;
}

export interface EvaluationSet {
  /** e.g. "Fashion-MNIST test set". */
  name?: string;
  /** Number of samples; gives the accuracy's margin of error. */
  samples?: number;
}

export interface ModelRow {
  role: "teacher" | "student";
  /** Unique, e.g. "teacher", "student, labels alone", "student, distilled". */
  label: string;
  /**
   * How it was trained. The headline speaks of the first student marked "distilled" and compares it with the first one
   * marked "labels". Default for a student: "distilled" if there is a teacher among the models.
   */
  training?: "distilled" | "labels";
  /** Learned numbers. */
  parameters?: Figure;
  /** Size of the .onnx file, external data included. */
  bytes?: Figure;
  /** Measured milliseconds per sample, at batch size `batch`. */
  msPerSample?: Figure;
  batch?: number;
  metrics: ModelMetrics;
}

/** What was measured; keys and meanings as in src/tasks/metrics.ts, shares in [0, 1]. */
export type ModelMetrics = { [K in MetricKey]?: Figure };

export interface RunSeries {
  label: string;
  /** Wall time of the training, in seconds. */
  seconds?: number;
  steps: StepRecord[];
  evaluations: EvaluationRecord[];
}

export interface StepRecord {
  /** From 1. */
  step: number;
  /** From 1; the epoch that the step belongs to, or fractional epochs done. */
  epoch?: number;
  learningRate?: Figure;
  /** Keys `loss`, `loss/hard`, `loss/soft`, `loss/selectivity/<tap>`; others are drawn too. */
  losses: Record<string, Figure>;
}

export interface EvaluationRecord {
  step: number;
  /** Epochs done. */
  epoch: number;
  /** Keys as in ModelMetrics; others are drawn too. */
  metrics: Record<string, Figure>;
}

export interface Confusion {
  /** Whose mistakes: a model's label. */
  label: string;
  classNames: string[];
  /** counts[i][j]: samples of class i that were taken for class j. */
  counts: number[][];
}

export interface PerClass {
  classNames: string[];
  /** Recall in [0, 1] per class. `label`: a model's label. */
  models: { label: string; recall: Figure[] }[];
}

/** Scores of one tap under one metric; all arrays have one element per neuron. */
export interface SelectivityScores {
  /** The logical tap name. */
  tap: string;
  /** "variance", "sparsity", "peak-to-average" or another metric's name. */
  metric: string;
  /** Samples that the scores were taken over. */
  samples?: number;
  teacher: Figure[];
  /** The student before training. */
  before: Figure[];
  /** The distilled student. */
  after: Figure[];
  /** The same student trained from labels alone. */
  labelsOnly?: Figure[];
}
