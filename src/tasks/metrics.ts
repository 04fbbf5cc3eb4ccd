// What is measured of a model: the names, units and directions of all metrics, each once. A task says which are its own.

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
}

export const metricSpecs = {
  /** Share of samples whose label has the largest logit. */
  top1: { short: "top-1", title: "top-1 accuracy", kind: "share", better: "higher", against: "labels" },
  /** Share of samples whose label is among the five largest logits. */
  top5: { short: "top-5", title: "top-5 accuracy", kind: "share", better: "higher", against: "labels" },
  /** Share of rows (tokens) that count whose label has the largest logit. */
  accuracy: { short: "accuracy", title: "accuracy", kind: "share", better: "higher", against: "labels" },
  /** The same of pixels. */
  pixelAccuracy: {
    short: "pixel accuracy",
    title: "pixel accuracy",
    kind: "share",
    better: "higher",
    against: "labels",
  },
  /** Mean over the classes that occur of intersection over union, all positions together. */
  meanIoU: { short: "mIoU", title: "mean IoU", kind: "share", better: "higher", against: "labels" },
  /** exp(loss). */
  perplexity: {
    short: "perplexity",
    title: "perplexity",
    kind: "number",
    better: "lower",
    against: "labels",
  },
  /** Mean over the labels that occur of the average precision of their ranking. */
  meanAveragePrecision: {
    short: "mAP",
    title: "mean average precision",
    kind: "share",
    better: "higher",
    against: "labels",
  },
  /** 2·TP / (2·TP + FP + FN) of all labels together, at a probability of one half. */
  microF1: { short: "F1", title: "F1, micro", kind: "share", better: "higher", against: "labels" },
  /** The mean of each label's own, over labels that hold or are predicted somewhere. */
  macroF1: { short: "macro F1", title: "F1, macro", kind: "share", better: "higher", against: "labels" },
  /** Mean squared and mean absolute difference to the targets. */
  mse: { short: "MSE", title: "mean squared error", kind: "number", better: "lower", against: "labels" },
  mae: { short: "MAE", title: "mean absolute error", kind: "number", better: "lower", against: "labels" },
  /** Share of the targets' variance that is explained, mean over the outputs; at most 1. */
  r2: { short: "R²", title: "R²", kind: "number", better: "higher", against: "labels" },
  /** Mean squared difference to the teacher's outputs. */
  teacherMse: {
    short: "MSE to the teacher",
    title: "mean squared difference to the teacher",
    kind: "number",
    better: "lower",
    against: "teacher",
  },
  /** Share of samples whose decoded sequence is the label. */
  sequenceAccuracy: {
    short: "sequences right",
    title: "sequence accuracy",
    kind: "share",
    better: "higher",
    against: "labels",
  },
  /** Insertions, deletions and replacements that turn the decoded sequences into the labels, per symbol of these. */
  characterErrorRate: {
    short: "CER",
    title: "character error rate",
    kind: "share",
    better: "lower",
    against: "labels",
  },
  /** Mean cross-entropy of a prediction, in nats: −log softmax(z)[label], or of yes and no for each label. */
  loss: { short: "loss", title: "loss (nats)", kind: "number", better: "lower", against: "labels" },
  /** Share of samples in which student and teacher decode to the same sequence. */
  sequenceAgreement: {
    short: "same sequence",
    title: "same sequence as the teacher",
    kind: "share",
    better: "higher",
    against: "teacher",
  },
  /** Share of predictions that student and teacher have in common. */
  agreement: {
    short: "agreement",
    title: "agreement with the teacher",
    kind: "share",
    better: "higher",
    against: "teacher",
  },
} as const satisfies Record<string, MetricSpec>;

export type MetricKey = keyof typeof metricSpecs;
export const metricKeys = Object.keys(metricSpecs) as MetricKey[];

/** What cannot be measured (no labels, no teacher) is left out. */
export type Metrics = Partial<Record<MetricKey, number>>;
