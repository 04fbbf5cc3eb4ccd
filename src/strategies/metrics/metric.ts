// What a selectivity metric has to answer. Each metric is one file beside this one and one line in the table of
// selectivity-metric.ts; nothing outside asks which metric it is.
import type { FloatArray, Matrix } from "../matrix.ts";

export interface Measured {
  /** One score per neuron, `[columns]`. */
  readonly scores: Float64Array;
  /**
   * Writes, for every activation, `upstream[neuron] · d score[neuron] / d activation` into `out` (row-major, as
   * the activations). Overwrites `out`. A zero is written as 0, not −0.
   */
  backward(upstream: Float64Array, out: FloatArray): void;
}

/** Scores in one pass over the rows; throws E_NOT_FINITE naming `what` when a value is not finite. */
export type Measure = (what: string, activations: Matrix) => Measured;

// The passes below take four rows at a time: each column's accumulators are then loaded and stored once for four
// values, which is worth a factor of 2.5 on large matrices. Rows left over are taken one by one.
export const ROWS_AT_A_TIME = 4;

/**
 * The sign of a, 0 for 0, without a branch: signs of activations are what a branch predictor is worst at. Exact but
 * for |a| < 1e-284, where it fades to 0.
 */
export function signOf(a: number): number {
  return a / (Math.abs(a) + 1e-300);
}
