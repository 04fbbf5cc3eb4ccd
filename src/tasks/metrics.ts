// What is measured of a model: the names, units and directions of all metrics, each once. A task says which are its own.
import { formatNumber, formatPercent, type MaybeNumber } from "../base/format.ts";

export interface MetricSpec {
  /** Beside a figure on a line: `top-1`. */
  readonly short: string;
  /** At the head of a table's row or column. */
  readonly title: string;
  /** share: in [0, 1], shown in per cent; number: shown as it is. */
  readonly kind: "share" | "number";
  readonly better: "higher" | "lower";
  /** What it compares with. */
  readonly against: "labels" | "teacher";
  /** What a sentence says of a model; {} stands for the figure, {rows} for what the task's rows are. */
  readonly says: string;
  /** A share of samples that are independent of each other, so that it has a margin of error. */
  readonly perSample?: true;
}

export const metricSpecs = {
  /** Share of samples whose label has the largest logit. */
  top1: {
    short: "top-1",
    title: "top-1 accuracy",
    kind: "share",
    better: "higher",
    against: "labels",
    says: "reaches {} top-1 accuracy",
    perSample: true,
  },
  /** Share of samples whose label is among the five largest logits. */
  top5: {
    short: "top-5",
    title: "top-5 accuracy",
    kind: "share",
    better: "higher",
    against: "labels",
    says: "reaches {} top-5 accuracy",
    perSample: true,
  },
  /** Share of rows (tokens) that count whose label has the largest logit. */
  accuracy: {
    short: "accuracy",
    title: "accuracy",
    kind: "share",
    better: "higher",
    against: "labels",
    says: "reaches {} accuracy",
  },
  /** The same of pixels. */
  pixelAccuracy: {
    short: "pixel accuracy",
    title: "pixel accuracy",
    kind: "share",
    better: "higher",
    against: "labels",
    says: "reaches {} pixel accuracy",
  },
  /** Mean over the classes that occur of intersection over union, all positions together. */
  meanIoU: {
    short: "mIoU",
    title: "mean IoU",
    kind: "share",
    better: "higher",
    against: "labels",
    says: "reaches {} mean IoU",
  },
  /** exp(loss). */
  perplexity: {
    short: "perplexity",
    title: "perplexity",
    kind: "number",
    better: "lower",
    against: "labels",
    says: "reaches a perplexity of {}",
  },
  /** Mean over the labels that occur of the average precision of their ranking. */
  meanAveragePrecision: {
    short: "mAP",
    title: "mean average precision",
    kind: "share",
    better: "higher",
    against: "labels",
    says: "reaches {} mean average precision",
  },
  /** 2·TP / (2·TP + FP + FN) of all labels together, at a probability of one half. */
  microF1: {
    short: "F1",
    title: "F1, micro",
    kind: "share",
    better: "higher",
    against: "labels",
    says: "reaches an F1 of {}",
  },
  /** The mean of each label's own, over labels that hold or are predicted somewhere. */
  macroF1: {
    short: "macro F1",
    title: "F1, macro",
    kind: "share",
    better: "higher",
    against: "labels",
    says: "reaches a macro F1 of {}",
  },
  /** Mean squared and mean absolute difference to the targets. */
  mse: {
    short: "MSE",
    title: "mean squared error",
    kind: "number",
    better: "lower",
    against: "labels",
    says: "reaches a mean squared error of {}",
  },
  mae: {
    short: "MAE",
    title: "mean absolute error",
    kind: "number",
    better: "lower",
    against: "labels",
    says: "reaches a mean absolute error of {}",
  },
  /** Share of the targets' variance that is explained, mean over the outputs; at most 1. */
  r2: {
    short: "R²",
    title: "R²",
    kind: "number",
    better: "higher",
    against: "labels",
    says: "reaches an R² of {}",
  },
  /** Mean squared difference to the teacher's outputs. */
  teacherMse: {
    short: "MSE to the teacher",
    title: "mean squared difference to the teacher",
    kind: "number",
    better: "lower",
    against: "teacher",
    says: "comes within a mean squared difference of {} of its teacher",
  },
  /** Share of samples whose decoded sequence is the label. */
  sequenceAccuracy: {
    short: "sequences right",
    title: "sequence accuracy",
    kind: "share",
    better: "higher",
    against: "labels",
    says: "reads {} of the sequences right",
    perSample: true,
  },
  /** Insertions, deletions and replacements that turn the decoded sequences into the labels, per symbol of these. */
  characterErrorRate: {
    short: "CER",
    title: "character error rate",
    kind: "share",
    better: "lower",
    against: "labels",
    says: "reaches {} character error rate",
  },
  /** Mean cross-entropy of a prediction, in nats: −log softmax(z)[label], or of yes and no for each label. */
  loss: {
    short: "loss",
    title: "loss (nats)",
    kind: "number",
    better: "lower",
    against: "labels",
    says: "reaches a loss of {}",
  },
  /** Share of samples in which student and teacher decode to the same sequence. */
  sequenceAgreement: {
    short: "same sequence",
    title: "same sequence as the teacher",
    kind: "share",
    better: "higher",
    against: "teacher",
    says: "reads {} of the sequences as its teacher does",
  },
  /** Share of predictions that student and teacher have in common. */
  agreement: {
    short: "agreement",
    title: "agreement with the teacher",
    kind: "share",
    better: "higher",
    against: "teacher",
    says: "agrees with its teacher on {} of the {rows}",
  },
} as const satisfies Record<string, MetricSpec>;

/** A figure as a person reads it; `digits` of a share, after the point. */
export function formatMetric(key: MetricKey, value: MaybeNumber, digits = 1): string {
  return metricSpecs[key].kind === "share" ? formatPercent(value, digits) : formatNumber(value, 2 + digits);
}

export type MetricKey = keyof typeof metricSpecs;
export const metricKeys = Object.keys(metricSpecs) as MetricKey[];

/** What cannot be measured (no labels, no teacher) is left out. */
export type Metrics = Partial<Record<MetricKey, number>>;
