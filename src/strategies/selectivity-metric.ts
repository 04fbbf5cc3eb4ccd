// The selectivity metrics by name: the one table that maps a metric to what it measures.
import { DistillError, didYouMean } from "../base/errors.ts";
import { checkClasses, checkOneOf } from "./checks.ts";
import { type MatrixLike, matrixFromTensor } from "./matrix.ts";
import { classResponse } from "./metrics/class-response.ts";
import { classSelectivity } from "./metrics/class-selectivity.ts";
import { kurtosis } from "./metrics/kurtosis.ts";
import { lifetimeSparseness } from "./metrics/lifetime-sparseness.ts";
import { logVariance } from "./metrics/log-variance.ts";
import type { Metric } from "./metrics/metric.ts";
import { checkComparable, metricOver } from "./metrics/over.ts";
import { peakToAverage } from "./metrics/peak-to-average.ts";
import { populationSparseness } from "./metrics/population-sparseness.ts";
import { relativeDeviation } from "./metrics/relative-deviation.ts";
import { relativeSparsity } from "./metrics/relative-sparsity.ts";
import { softPeak } from "./metrics/soft-peak.ts";
import { sparsity } from "./metrics/sparsity.ts";
import { variance } from "./metrics/variance.ts";
import { type SelectivityOver, selectivityOvers } from "./selectivity-words.ts";

/**
 * How selectivity is scored over B samples. Activations are a, their mean μ, ε = 1e-3 (RESPONSE_FLOOR: what counts as
 * no response); "scale-free" scores do not change when all activations of a neuron are multiplied by a factor, as long
 * as they stay well above ε.
 *
 * A score for each neuron:
 *
 * - `Variance`, `"variance"`: (1/B) Σ (a − μ)²; 0 or more, in squared units of the activation.
 * - `Sparsity`, `"sparsity"`: the share of samples with |a| > 0.01; in [0, 1]. (It counts *active* samples.)
 * - `PeakToAverage`, `"peak-to-average"`: max|a| / mean|a|; in [1, B], 0 for a dead neuron (mean|a| ≤ 1e-8).
 *   Scale-free, but it grows with B.
 * - `RelativeDeviation`, `"relative-deviation"`: σ / mean of σ over the layer's N neurons, σ² = variance + ε²; in
 *   (0, N), 1 on average. Free of the layer's scale, not of a single neuron's.
 * - `LogVariance`, `"log-variance"`: ln(variance + ε²); from −13.8 (a constant neuron). Differences are ratios: a factor of e
 *   in variance is 1.
 * - `RelativeSparsity`, `"relative-sparsity"`: (1/B) Σ σ(10·(|a|/rms − 0.5)), rms² = mean a² + ε²; a smooth share of
 *   samples in which the neuron is active by its own standard; in (0.0067, 1), the least for a dead neuron. Scale-free.
 * - `LifetimeSparseness`, `"lifetime-sparseness"`: 1 − (mean|a|² + ε²) / (mean a² + ε²), Treves and Rolls' measure over
 *   samples; in [0, 1 − 1/B], 0 for equal responses and for a dead neuron, the most where one sample alone is answered.
 *   Without Vinje and Gallant's division by 1 − 1/B, which would make scores of batches and of whole sets differ.
 *   Scale-free.
 * - `Kurtosis`, `"kurtosis"`: mean (a − μ)⁴ / (variance + ε²)²; in [1, B], 3 for a normal distribution, 0 for a
 *   constant neuron. Scale-free. A few samples decide it: in small batches it is far too low.
 * - `SoftPeak`, `"soft-peak"`: the power mean of order 8 of √(a² + ε²) over its root mean square; in [1, B^(3/8)], 1 for
 *   equal responses and for a dead neuron. Scale-free.
 * - `ClassSelectivity`, `"class-selectivity"`: (μ_max − μ_others) / (μ_max + μ_others + ε), where the means of |a| over the
 *   samples of each class are compared: the largest with the mean of the others; in [0, 1), 0 for a dead neuron.
 *   Needs labels. Scale-free.
 *
 * K scores for each neuron, one for each class:
 *
 * - `ClassResponse`, `"class-response"`: the mean of a over the samples of each class, in its units; compared as
 *   profiles over the classes of length 1, so that the loss is scale-free: per neuron 2 − 2·cosine, in [0, 4]. Needs labels.
 *
 * A score for each sample:
 *
 * - `PopulationSparseness`, `"population-sparseness"`: as lifetime sparseness, over the N neurons for each sample instead of over
 *   the samples for each neuron; in [0, 1 − 1/N]. Samples are the same for student and teacher and are compared one
 *   by one, so their numbers of neurons need not be equal. Scale-free.
 *
 * Sources: A. Treves and E. Rolls, Network 2 (1991); W. Vinje and J. Gallant, Science 287 (2000); B. Willmore and
 * D. Tolhurst, "Characterizing the sparseness of neural codes", Network 12 (2001), for lifetime and population
 * sparseness and kurtosis; A. Morcos et al. 2018, arXiv:1803.06959, for class selectivity.
 */
export const SelectivityMetric = {
  Variance: "variance",
  Sparsity: "sparsity",
  PeakToAverage: "peak-to-average",
  RelativeDeviation: "relative-deviation",
  LogVariance: "log-variance",
  RelativeSparsity: "relative-sparsity",
  LifetimeSparseness: "lifetime-sparseness",
  PopulationSparseness: "population-sparseness",
  Kurtosis: "kurtosis",
  SoftPeak: "soft-peak",
  ClassSelectivity: "class-selectivity",
  ClassResponse: "class-response",
} as const;

export type SelectivityMetric = (typeof SelectivityMetric)[keyof typeof SelectivityMetric];

const metrics: Readonly<Record<SelectivityMetric, Metric>> = {
  variance,
  sparsity,
  "peak-to-average": peakToAverage,
  "relative-deviation": relativeDeviation,
  "log-variance": logVariance,
  "relative-sparsity": relativeSparsity,
  "lifetime-sparseness": lifetimeSparseness,
  "population-sparseness": populationSparseness,
  kurtosis,
  "soft-peak": softPeak,
  "class-selectivity": classSelectivity,
  "class-response": classResponse,
};

/** The metric of that name. Error: `E_ARGUMENT` for an unknown one, with the nearest names. */
export function metricNamed(owner: string, metric: SelectivityMetric): Metric {
  if (Object.hasOwn(metrics, metric)) return metrics[metric];
  const known = Object.keys(metrics);
  throw new DistillError(
    "E_ARGUMENT",
    `${owner}: unknown metric ${JSON.stringify(metric)}, known are ${known.join(", ")}.${didYouMean(String(metric), known)}`,
  );
}

/** {@link metricNamed}, taken over what is asked; a metric of classes cannot be taken over positions. */
export function metricFor(owner: string, name: SelectivityMetric, over: SelectivityOver): Metric {
  const metric = metricNamed(owner, name);
  checkOneOf(owner, "over", over, selectivityOvers);
  if (metric.needsClasses && over === "positions")
    throw new DistillError(
      "E_OPTION",
      `${owner}: ${name} compares samples of different classes, and the positions of one sample are all of its class; take it over "samples" or "samples-and-positions"`,
    );
  return metricOver(metric, over);
}

export interface SelectivityScoreOptions {
  /** What counts as a sample; default "samples-and-positions". */
  readonly over?: SelectivityOver;
  /** `[samples, K]` distributions over classes (one-hot, or a teacher's softmax), for the metrics that need them. */
  readonly labels?: MatrixLike;
}

/**
 * The selectivity scores of `activations` `[B, N]`, B ≥ 2, in float64: one for each of the N neurons, or what else
 * {@link SelectivityMetric} says of the metric, with formulas and ranges. A map `[N, C, H, W]` or a sequence
 * `[N, T, C]` may be given as it is.
 *
 * Errors: `E_SHAPE` for fewer than two samples, `E_NOT_FINITE` with row and column, `E_ARGUMENT` for an unknown
 * metric or missing labels, `E_OPTION` for a metric of classes over positions.
 *
 * @example
 * ```ts
 * import { Matrix, selectivityScores } from "onnx-distill";
 *
 * const activations = Matrix.fromRows([[0, 1], [0, 3]]);
 * [...selectivityScores(activations, "variance")]; // => [0, 1]
 * [...selectivityScores(activations, "sparsity")]; // => [0, 1]
 * [...selectivityScores(activations, "peak-to-average")]; // => [0, 1.5]
 * ```
 */
export function selectivityScores(
  activations: MatrixLike,
  metric: SelectivityMetric,
  options: SelectivityScoreOptions = {},
): Float64Array {
  const { over = "samples-and-positions", labels } = options;
  const chosen = metricFor("selectivityScores", metric, over);
  const matrix = matrixFromTensor("activations", activations);
  checkComparable("activations", matrix, over);
  const classes = chosen.needsClasses ? checkClasses("labels", labels, "activations", matrix) : undefined;
  return chosen.score(chosen.measure("activations", matrix, classes).parts);
}

/** {@link selectivityScores} with the variance metric. */
export function varianceScores(activations: MatrixLike): Float64Array {
  return selectivityScores(activations, SelectivityMetric.Variance);
}

/** {@link selectivityScores} with the sparsity metric. */
export function sparsityScores(activations: MatrixLike): Float64Array {
  return selectivityScores(activations, SelectivityMetric.Sparsity);
}

/** {@link selectivityScores} with the peak-to-average metric. */
export function peakToAverageScores(activations: MatrixLike): Float64Array {
  return selectivityScores(activations, SelectivityMetric.PeakToAverage);
}
