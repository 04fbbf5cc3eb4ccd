// The selectivity metrics by name: the one table that maps a metric to what it measures.
import { DistillError, didYouMean } from "../base/errors.ts";
import { checkTwoSamples } from "./checks.ts";
import { asMatrix, type MatrixLike } from "./matrix.ts";
import type { Measure } from "./metrics/metric.ts";
import { measurePeakToAverage } from "./metrics/peak-to-average.ts";
import { measureSparsity } from "./metrics/sparsity.ts";
import { measureVariance } from "./metrics/variance.ts";

/**
 * How the selectivity of a neuron is scored over the B samples of a batch:
 *
 * - `Variance`, `"variance"`: (1/B) Σ (a − μ)²; 0 or more, in squared units of the activation.
 * - `Sparsity`, `"sparsity"`: the share of samples with |a| > 0.01; in [0, 1]. (It counts *active* samples.)
 * - `PeakToAverage`, `"peak-to-average"`: max|a| / mean|a|; in [1, B], 0 for a dead neuron (mean|a| ≤ 1e-8).
 */
export const SelectivityMetric = {
  Variance: "variance",
  Sparsity: "sparsity",
  PeakToAverage: "peak-to-average",
} as const;

export type SelectivityMetric = (typeof SelectivityMetric)[keyof typeof SelectivityMetric];

const measures: Readonly<Record<SelectivityMetric, Measure>> = {
  variance: measureVariance,
  sparsity: measureSparsity,
  "peak-to-average": measurePeakToAverage,
};

/** How `metric` is measured. Error: `E_ARGUMENT` for an unknown metric, with the nearest names. */
export function measureFor(owner: string, metric: SelectivityMetric): Measure {
  if (Object.hasOwn(measures, metric)) return measures[metric];
  const known = Object.keys(measures);
  throw new DistillError(
    "E_ARGUMENT",
    `${owner}: unknown metric ${JSON.stringify(metric)}, known are ${known.join(", ")}.${didYouMean(String(metric), known)}`,
  );
}

/**
 * The selectivity score of every neuron: `activations` `[B, N]`, B ≥ 2, gives N scores in float64.
 * Formulas and ranges: {@link SelectivityMetric}.
 *
 * Errors: `E_SHAPE` for fewer than two samples, `E_NOT_FINITE` with row and column, `E_ARGUMENT` for an unknown
 * metric.
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
export function selectivityScores(activations: MatrixLike, metric: SelectivityMetric): Float64Array {
  const measure = measureFor("selectivityScores", metric);
  const matrix = asMatrix("activations", activations);
  checkTwoSamples("activations", matrix);
  return measure("activations", matrix).scores;
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
