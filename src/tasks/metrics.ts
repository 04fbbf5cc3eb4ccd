// What is measured of a model: the names, units and directions of all metrics, each once. A task says which are its own.

export interface MetricSpec {
  /** Beside a figure on a line: `top-1`. */
  readonly short: string;
  /** At the head of a table's row or column. */
  readonly title: string;
  /** share: in [0, 1], shown in per cent; number: shown as it is. */
  readonly kind: "share" | "number";
  readonly better: "higher" | "lower";
}

export const metricSpecs = {
  /** Share of samples whose label has the largest logit. */
  top1: { short: "top-1", title: "top-1 accuracy", kind: "share", better: "higher" },
  /** Share of samples whose label is among the five largest logits. */
  top5: { short: "top-5", title: "top-5 accuracy", kind: "share", better: "higher" },
  /** Mean cross-entropy −log softmax(z)[label]. */
  loss: { short: "loss", title: "loss (nats)", kind: "number", better: "lower" },
  /** Share of predictions that student and teacher have in common. */
  agreement: { short: "agreement", title: "agreement with the teacher", kind: "share", better: "higher" },
} as const satisfies Record<string, MetricSpec>;

export type MetricKey = keyof typeof metricSpecs;
export const metricKeys = Object.keys(metricSpecs) as MetricKey[];

/** What cannot be measured (no labels, no teacher) is left out. */
export type Metrics = Partial<Record<MetricKey, number>>;
