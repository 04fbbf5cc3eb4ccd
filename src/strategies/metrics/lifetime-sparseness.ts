// How few of the samples a neuron's activity comes from (Treves and Rolls 1991; Vinje and Gallant 2000).
import { throwOverflow } from "../checks.ts";
import type { Matrix } from "../matrix.ts";
import { FLOOR_SQUARED, type Metric, type Moments, mixMeans, perNeuron, signOf } from "./metric.ts";

/**
 * With M = (1/B) Σ|a| and Q = (1/B) Σa²: score = 1 − (M² + ε²) / (Q + ε²). With the ratio R, d score / d M =
 * −2M / (Q + ε²) and d score / d Q = R / (Q + ε²).
 */
export const lifetimeSparseness: Metric = {
  ...perNeuron,
  measure: measureSizes,
  mix: mixMeans,
  score: ([mean, square]) => mean!.map((m, c) => 1 - ratio(m, square![c]!)),
  scoreGradient: ([mean, square], _scores, upstream) => [
    upstream.map((u, c) => (-2 * u * mean![c]!) / (square![c]! + FLOOR_SQUARED)),
    upstream.map((u, c) => (u * ratio(mean![c]!, square![c]!)) / (square![c]! + FLOOR_SQUARED)),
  ],
};

/** Treves and Rolls' a, which is 1 where every response is the same. */
export const ratio = (mean: number, square: number): number =>
  // Rounding alone can bring the square of a mean above the mean of the squares.
  Math.min(1, (mean * mean + FLOOR_SQUARED) / (square + FLOOR_SQUARED));

/** Parts M and Q;  d M / d a = sign(a) / B, d Q / d a = 2a / B. */
function measureSizes(what: string, activations: Matrix): Moments {
  const { rows, columns, data } = activations;
  const mean = new Float64Array(columns);
  const square = new Float64Array(columns);
  for (let r = 0, i = 0; r < rows; r++)
    for (let c = 0; c < columns; c++, i++) {
      const a = data[i]!;
      mean[c]! += Math.abs(a);
      square[c]! += a * a;
    }
  for (let c = 0; c < columns; c++) {
    mean[c]! /= rows;
    square[c]! /= rows;
    if (!Number.isFinite(square[c]!)) throwOverflow(what, activations);
  }
  return {
    parts: [mean, square],
    backward([ofMean, ofSquare], _at, out) {
      for (let r = 0, i = 0; r < rows; r++)
        for (let c = 0; c < columns; c++, i++) {
          const a = data[i]!;
          out[i] = (ofMean![c]! * signOf(a) + 2 * ofSquare![c]! * a) / rows + 0;
        }
    },
  };
}
