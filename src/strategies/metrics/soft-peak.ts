// How far a neuron's strongest responses stand above its usual ones, smoothly: a power mean in place of the maximum.
import { throwOverflow } from "../checks.ts";
import type { Matrix } from "../matrix.ts";
import { FLOOR_SQUARED, type Metric, type Moments, mixMeans, perNeuron } from "./metric.ts";

/**
 * The power mean of order 8 over the root mean square: with w = a² + ε², Q = (1/B) Σw and P = (1/B) Σw⁴,
 * score = P^(1/8) / Q^(1/2);  d score / d P = score / (8P), d score / d Q = −score / (2Q).
 */
export const softPeak: Metric = {
  ...perNeuron,
  measure: measurePowers,
  mix: mixMeans,
  // At least 1 (the power mean is never below the mean) but for rounding.
  score: ([q, p]) => q!.map((x, c) => Math.max(1, p![c]! ** (1 / 8) / Math.sqrt(x))),
  scoreGradient: ([q, p], scores, upstream) => [
    upstream.map((u, c) => (-u * scores[c]!) / (2 * q![c]!)),
    upstream.map((u, c) => (u * scores[c]!) / (8 * p![c]!)),
  ],
};

/** Parts Q and P;  d Q / d a = 2a / B, d P / d a = 8w³a / B. */
function measurePowers(what: string, activations: Matrix): Moments {
  const { rows, columns, data } = activations;
  const q = new Float64Array(columns);
  const p = new Float64Array(columns);
  for (let r = 0, i = 0; r < rows; r++)
    for (let c = 0; c < columns; c++, i++) {
      const w = data[i]! * data[i]! + FLOOR_SQUARED;
      q[c]! += w;
      p[c]! += w * w * (w * w);
    }
  for (let c = 0; c < columns; c++) {
    q[c]! /= rows;
    p[c]! /= rows;
    if (!Number.isFinite(p[c]!)) throwOverflow(what, activations);
  }
  return {
    parts: [q, p],
    backward([ofQ, ofP], _at, out) {
      for (let r = 0, i = 0; r < rows; r++)
        for (let c = 0; c < columns; c++, i++) {
          const a = data[i]!;
          const w = a * a + FLOOR_SQUARED;
          out[i] = (a * (2 * ofQ![c]! + 8 * ofP![c]! * (w * w * w))) / rows + 0;
        }
    },
  };
}
