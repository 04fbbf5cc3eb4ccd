// What each selectivity metric's score means, for axes and for the reader.

export interface MetricText {
  readonly axis: string;
  readonly means: string;
}

const METRICS = new Map<string, { axis: string; means: string }>(
  Object.entries({
    variance: {
      axis: "variance",
      means: "how much a neuron’s output varies over the samples",
    },
    sparsity: {
      axis: "share of samples",
      means: "the share of samples in which a neuron is active (|a| > 0.01)",
    },
    "peak-to-average": {
      axis: "peak / mean",
      means: "how far a neuron’s strongest answer stands above its average one (0: a dead neuron)",
    },
    "relative-deviation": {
      axis: "deviation / layer’s mean",
      means: "how much a neuron’s output varies, compared with the layer’s other neurons",
    },
    "log-variance": {
      axis: "log variance",
      means: "how much a neuron’s output varies, by orders of magnitude",
    },
    "relative-sparsity": {
      axis: "share of samples",
      means: "the share of samples in which a neuron is active by its own standard (|a| > rms / 2)",
    },
    "lifetime-sparseness": {
      axis: "sparseness",
      means: "how few of the samples its activity comes from (0: all alike, 1: one alone)",
    },
    kurtosis: {
      axis: "kurtosis",
      means: "how heavy the tails of its output are (3: a normal distribution)",
    },
    "class-selectivity": {
      axis: "class selectivity",
      means: "how far it prefers one class to the others (0: all alike, 1: one class alone)",
    },
    "population-sparseness": {
      axis: "sparseness",
      means: "how few of the neurons the response to one sample, at one position, comes from",
    },
    "soft-peak": {
      axis: "peak / rms",
      means: "how far its strongest answers stand above its usual ones",
    },
  }),
);

/** A metric of the user's own is told by its name. */
export function metricText(metric: string): MetricText {
  return METRICS.get(metric) ?? { axis: metric, means: `the score “${metric}”` };
}
