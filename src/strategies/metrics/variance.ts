// Variance of a neuron over the samples, one-pass and shifted by the first sample, so that 1e6 ± 1 keeps its digits.
import { throwOverflow } from "../checks.ts";
import type { FloatArray, Matrix } from "../matrix.ts";
import { type Measured, ROWS_AT_A_TIME } from "./metric.ts";

/**
 * score = (1/B) Σ (a − μ)²;  d score / d a = (2/B) (a − μ).
 *
 * With d = a − a₀ (a₀ the first sample): μ = a₀ + Σd/B and score = Σd²/B − (Σd/B)². As a₀ is itself a sample,
 * the variance is never less than about a₀'s own share of it, so the difference can't cancel: the relative error
 * stays below a few B·2⁻⁵³.
 */
export function measureVariance(what: string, activations: Matrix): Measured {
  const { rows, columns, data } = activations;
  const first = Float64Array.from(data.subarray(0, columns));
  const shift = new Float64Array(columns);
  const scores = new Float64Array(columns);
  sumShifted(data, rows, columns, first, shift, scores);
  for (let c = 0; c < columns; c++) {
    shift[c]! /= rows;
    scores[c] = Math.max(0, scores[c]! / rows - shift[c]! * shift[c]!);
    if (!Number.isFinite(scores[c]!)) throwOverflow(what, activations);
  }
  return {
    scores,
    backward(upstream, out) {
      const slope = upstream.map((u) => (2 * u) / rows);
      fill(data, rows, columns, first, shift, slope, out);
    },
  };
}

function sumShifted(
  data: FloatArray,
  rows: number,
  columns: number,
  first: Float64Array,
  sum: Float64Array,
  squares: Float64Array,
): void {
  let r = 0;
  for (; r + ROWS_AT_A_TIME <= rows; r += ROWS_AT_A_TIME) {
    const i0 = r * columns;
    const i1 = i0 + columns;
    const i2 = i1 + columns;
    const i3 = i2 + columns;
    for (let c = 0; c < columns; c++) {
      const shift = first[c]!;
      const d0 = data[i0 + c]! - shift;
      const d1 = data[i1 + c]! - shift;
      const d2 = data[i2 + c]! - shift;
      const d3 = data[i3 + c]! - shift;
      sum[c]! += d0 + d1 + (d2 + d3);
      squares[c]! += d0 * d0 + d1 * d1 + (d2 * d2 + d3 * d3);
    }
  }
  for (let i = r * columns; r < rows; r++)
    for (let c = 0; c < columns; c++, i++) {
      const d = data[i]! - first[c]!;
      sum[c]! += d;
      squares[c]! += d * d;
    }
}

function fill(
  data: FloatArray,
  rows: number,
  columns: number,
  first: Float64Array,
  shift: Float64Array,
  slope: Float64Array,
  out: FloatArray,
): void {
  let r = 0;
  // Not a − μ: the mean of 1e6 ± 1 has lost the digits that a − a₀ keeps. "+ 0" turns −0 into 0.
  for (; r + ROWS_AT_A_TIME <= rows; r += ROWS_AT_A_TIME) {
    const i0 = r * columns;
    const i1 = i0 + columns;
    const i2 = i1 + columns;
    const i3 = i2 + columns;
    for (let c = 0; c < columns; c++) {
      const f = first[c]!;
      const m = shift[c]!;
      const s = slope[c]!;
      out[i0 + c] = s * (data[i0 + c]! - f - m) + 0;
      out[i1 + c] = s * (data[i1 + c]! - f - m) + 0;
      out[i2 + c] = s * (data[i2 + c]! - f - m) + 0;
      out[i3 + c] = s * (data[i3 + c]! - f - m) + 0;
    }
  }
  for (let i = r * columns; r < rows; r++)
    for (let c = 0; c < columns; c++, i++) out[i] = slope[c]! * (data[i]! - first[c]! - shift[c]!) + 0;
}
