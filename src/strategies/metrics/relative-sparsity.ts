// Share of the samples in which a neuron is active by its own standard: smoothly counted, against its root mean square.
import { throwOverflow } from "../checks.ts";
import type { Matrix } from "../matrix.ts";
import { averagedScores, FLOOR_SQUARED, type Measured, signOf } from "./metric.ts";

/** τ of σ(k(|a|/r − τ)): a neuron is active in a sample when |a| is greater than this share of its root mean square. */
export const RELATIVE_THRESHOLD = 0.5;

/** k of σ(k(|a|/r − τ)). A silent sample then counts σ(−5) = 0.007, one at the root mean square 0.993. */
export const RELATIVE_STEEPNESS = 10;

/**
 * With r² = (1/B) Σa² + ε² and u = |a| / r: score = (1/B) Σ σ(k(u − τ)). r depends on every sample, so with
 * G = (1/B) Σ σ′·u: d score / d a = (k / (B r)) (σ′ sign(a) − G a / r).
 */
export const relativeSparsity = averagedScores("neuron", measureRelativeSparsity);

function measureRelativeSparsity(what: string, activations: Matrix): Measured {
  const { rows, columns, data } = activations;
  const scale = new Float64Array(columns);
  for (let r = 0, i = 0; r < rows; r++)
    for (let c = 0; c < columns; c++, i++) scale[c]! += data[i]! * data[i]!;
  for (let c = 0; c < columns; c++) {
    scale[c] = Math.sqrt(scale[c]! / rows + FLOOR_SQUARED);
    if (!Number.isFinite(scale[c]!)) throwOverflow(what, activations);
  }
  const scores = new Float64Array(columns);
  for (let r = 0, i = 0; r < rows; r++)
    for (let c = 0; c < columns; c++, i++) scores[c]! += sigmoid(excess(data[i]!, scale[c]!));
  for (let c = 0; c < columns; c++) scores[c]! /= rows;
  return {
    scores,
    backward(upstream, out) {
      const through = new Float64Array(columns); // Σ σ′·u
      for (let r = 0, i = 0; r < rows; r++)
        for (let c = 0; c < columns; c++, i++)
          through[c]! += (slope(excess(data[i]!, scale[c]!)) * Math.abs(data[i]!)) / scale[c]!;
      for (let r = 0, i = 0; r < rows; r++)
        for (let c = 0; c < columns; c++, i++) {
          const a = data[i]!;
          const direct = slope(excess(a, scale[c]!)) * signOf(a);
          const factor = (upstream[c]! * RELATIVE_STEEPNESS) / (rows * scale[c]!);
          out[i] = factor * (direct - ((through[c]! / rows) * a) / scale[c]!) + 0;
        }
    },
  };
}

const excess = (a: number, scale: number): number =>
  RELATIVE_STEEPNESS * (Math.abs(a) / scale - RELATIVE_THRESHOLD);

const sigmoid = (z: number): number => 1 / (1 + Math.exp(-z));

/** σ′, which is even, so that e^(−|z|) never overflows. */
function slope(z: number): number {
  const e = Math.exp(-Math.abs(z));
  return e / ((1 + e) * (1 + e));
}
