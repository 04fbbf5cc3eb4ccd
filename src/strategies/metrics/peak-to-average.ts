// How peaked a neuron is over the samples: its largest magnitude against its mean magnitude.
import { throwOverflow } from "../checks.ts";
import type { FloatArray, Matrix } from "../matrix.ts";
import { averagedScores, type Measured, ROWS_AT_A_TIME, signOf } from "./metric.ts";

/**
 * A neuron whose mean |a| is not greater than this is dead: its peak-to-average score is 0 and its gradient
 * zero. The true derivative grows as 1 / mean|a|, so without a floor a neuron that all but died would outweigh
 * every other (and overflow float32).
 */
export const DEAD_NEURON_MEAN = 1e-8;

/**
 * score = P / M with P = max|a| and M = (1/B) Σ|a|, 0 for a dead neuron. By the quotient rule, with n samples
 * sharing the maximum,
 *
 *   d score / d a = sign(a) · ( [|a| = P] / (n M)  −  P / (B M²) ),
 *
 * so every sample carries the mean's term and the peaks carry both.
 */
export const peakToAverage = averagedScores("neuron", measurePeakToAverage);

function measurePeakToAverage(what: string, activations: Matrix): Measured {
  const { rows, columns, data } = activations;
  const peak = new Float64Array(columns);
  const ties = new Float64Array(columns);
  const mean = new Float64Array(columns);
  const scores = new Float64Array(columns);
  sumAndPeak(data, rows, columns, mean, peak, ties);
  for (let c = 0; c < columns; c++) {
    mean[c]! /= rows;
    if (!Number.isFinite(mean[c]!)) throwOverflow(what, activations);
    scores[c] = mean[c]! > DEAD_NEURON_MEAN ? peak[c]! / mean[c]! : 0;
  }
  return {
    scores,
    backward(upstream, out) {
      const atPeak = new Float64Array(columns);
      const everywhere = new Float64Array(columns);
      for (let c = 0; c < columns; c++) {
        if (scores[c] === 0) continue;
        const u = upstream[c]! / mean[c]!;
        everywhere[c] = (-u * scores[c]!) / rows;
        atPeak[c] = u / ties[c]! + everywhere[c]!;
      }
      fill(data, rows, columns, peak, atPeak, everywhere, out);
    },
  };
}

/** Leaves Σ|a| in `sum`, max|a| in `peak` and the number of samples that reach it in `ties`. */
function sumAndPeak(
  data: FloatArray,
  rows: number,
  columns: number,
  sum: Float64Array,
  peak: Float64Array,
  ties: Float64Array,
): void {
  let r = 0;
  for (; r + ROWS_AT_A_TIME <= rows; r += ROWS_AT_A_TIME) {
    const i0 = r * columns;
    const i1 = i0 + columns;
    const i2 = i1 + columns;
    const i3 = i2 + columns;
    for (let c = 0; c < columns; c++) {
      const a0 = Math.abs(data[i0 + c]!);
      const a1 = Math.abs(data[i1 + c]!);
      const a2 = Math.abs(data[i2 + c]!);
      const a3 = Math.abs(data[i3 + c]!);
      sum[c]! += a0 + a1 + (a2 + a3);
      const p = peak[c]!;
      // Seldom taken, so cheaper than maxima, which branch on every value. NaN passes by; the sum shows it.
      if (a0 >= p || a1 >= p || a2 >= p || a3 >= p) {
        raise(peak, ties, c, a0);
        raise(peak, ties, c, a1);
        raise(peak, ties, c, a2);
        raise(peak, ties, c, a3);
      }
    }
  }
  for (let i = r * columns; r < rows; r++)
    for (let c = 0; c < columns; c++, i++) {
      const a = Math.abs(data[i]!);
      sum[c]! += a;
      raise(peak, ties, c, a);
    }
}

function raise(peak: Float64Array, ties: Float64Array, c: number, a: number): void {
  if (a > peak[c]!) {
    peak[c] = a;
    ties[c] = 1;
  } else if (a === peak[c]) ties[c]! += 1;
}

function fill(
  data: FloatArray,
  rows: number,
  columns: number,
  peak: Float64Array,
  atPeak: Float64Array,
  everywhere: Float64Array,
  out: FloatArray,
): void {
  for (let r = 0, i = 0; r < rows; r++)
    for (let c = 0; c < columns; c++, i++) {
      const a = data[i]!;
      out[i] = signOf(a) * (Math.abs(a) === peak[c] ? atPeak[c]! : everywhere[c]!) + 0;
    }
}
