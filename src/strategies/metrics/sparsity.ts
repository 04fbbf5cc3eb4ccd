// Share of the samples in which a neuron is active. The score counts, so its own derivative is zero almost
// everywhere; the gradient goes through a smooth count instead.
import { checkFinite } from "../checks.ts";
import type { FloatArray, Matrix } from "../matrix.ts";
import { averagedScores, type Measured, ROWS_AT_A_TIME, signOf } from "./metric.ts";

/** A neuron is active in a sample when |a| is greater than this. */
export const ACTIVITY_THRESHOLD = 0.01;

/** k of the smooth count σ(k(|a| − τ)) that stands in for the step at τ when the sparsity gradient is taken. */
export const SURROGATE_STEEPNESS = 100;

/** Where σ′ counts as 0: e^−50 is 2e-22, less than rounding leaves of σ′(0) = 1/4. */
const NEGLIGIBLE = 50;

/**
 * score = (1/B) #{ |a| > τ }, and as derivative that of the surrogate (1/B) Σ σ(k(|a| − τ)):
 * d score / d a = (1/B) · k · σ′(k(|a| − τ)) · sign(a), with sign(0) = 0. It is positive with respect to |a|:
 * a larger |a| makes the neuron more active.
 */
export const sparsity = averagedScores("neuron", measureSparsity);

function measureSparsity(what: string, activations: Matrix): Measured {
  const { rows, columns, data } = activations;
  const scores = new Float64Array(columns);
  const poison = countActive(data, rows, columns, scores);
  if (poison !== 0) checkFinite(what, activations);
  for (let c = 0; c < columns; c++) scores[c]! /= rows;
  return {
    scores,
    backward(upstream, out) {
      const slope = upstream.map((u) => (u * SURROGATE_STEEPNESS) / rows);
      fill(data, rows, columns, slope, out);
    },
  };
}

/** Adds to `count`; returns 0, or NaN when some value is not finite (or the sum of four overflows). */
function countActive(data: FloatArray, rows: number, columns: number, count: Float64Array): number {
  let poison = 0;
  let r = 0;
  for (; r + ROWS_AT_A_TIME <= rows; r += ROWS_AT_A_TIME) {
    const i0 = r * columns;
    const i1 = i0 + columns;
    const i2 = i1 + columns;
    const i3 = i2 + columns;
    for (let c = 0; c < columns; c++) {
      const a0 = data[i0 + c]!;
      const a1 = data[i1 + c]!;
      const a2 = data[i2 + c]!;
      const a3 = data[i3 + c]!;
      poison += (a0 + a1 + (a2 + a3)) * 0;
      count[c]! += active(a0) + active(a1) + (active(a2) + active(a3));
    }
  }
  for (let i = r * columns; r < rows; r++)
    for (let c = 0; c < columns; c++, i++) {
      poison += data[i]! * 0;
      count[c]! += active(data[i]!);
    }
  return poison;
}

function active(a: number): number {
  return Math.abs(a) > ACTIVITY_THRESHOLD ? 1 : 0;
}

function fill(data: FloatArray, rows: number, columns: number, slope: Float64Array, out: FloatArray): void {
  for (let r = 0, i = 0; r < rows; r++)
    for (let c = 0; c < columns; c++, i++) {
      const a = data[i]!;
      const z = Math.abs(SURROGATE_STEEPNESS * (Math.abs(a) - ACTIVITY_THRESHOLD));
      // σ′ is even, so e^(−|z|) never overflows; far from the threshold, or where the sign is 0, it is not worth an
      // exponential.
      const e = a !== 0 && z < NEGLIGIBLE ? Math.exp(-z) : 0;
      out[i] = (signOf(a) * slope[c]! * e) / ((1 + e) * (1 + e)) + 0;
    }
}
