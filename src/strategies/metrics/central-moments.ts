// Mean and variance of a neuron over the samples, one-pass and shifted by the first sample, so that 1e6 ± 1 keeps its
// digits; and how central moments of two sets of samples mix.
import { throwOverflow } from "../checks.ts";
import type { FloatArray, Matrix } from "../matrix.ts";
import { type Moments, type Parts, ROWS_AT_A_TIME } from "./metric.ts";

/**
 * Parts μ = (1/B) Σ a and v = (1/B) Σ (a − μ)²;  d v / d a = (2/B) (a − μ). No score depends on μ alone, so its
 * derivative is not asked for.
 *
 * With d = a − a₀ (a₀ the first sample): μ = a₀ + Σd/B and v = Σd²/B − (Σd/B)². As a₀ is itself a sample,
 * the variance is never less than about a₀'s own share of it, so the difference can't cancel: the relative error
 * stays below a few B·2⁻⁵³.
 */
export function measureVariance(what: string, activations: Matrix): Moments {
  const { rows, columns, data } = activations;
  const { first, shift, squares: variance } = sumShifted(activations);
  for (let c = 0; c < columns; c++) {
    shift[c]! /= rows;
    variance[c] = Math.max(0, variance[c]! / rows - shift[c]! * shift[c]!);
    if (!Number.isFinite(variance[c]!)) throwOverflow(what, activations);
  }
  const mean = shift.map((d, c) => first[c]! + d);
  return {
    parts: [mean, variance],
    backward([, upstream], [meanThere], out) {
      const slope = upstream!.map((u) => (2 * u) / rows);
      // The shift itself where the mean is this one: first + shift has lost digits that it has.
      const shiftThere = shift.map((d, c) => d + (meanThere![c]! - mean[c]!));
      fill(data, rows, columns, first, shiftThere, slope, out);
    },
  };
}

/**
 * Central moments (μ, m₂, or also m₃ and m₄) of two sets of samples together (Pébay 2008, Sandia report
 * SAND2008-6212): with the distance d of each set's mean from the common one, m₂ = Σ share·(m₂ + d²),
 * m₃ = Σ share·(m₃ + 3d·m₂ + d³), m₄ = Σ share·(m₄ + 4d·m₃ + 6d²·m₂ + d⁴).
 */
export function mixCentralMoments(a: Parts, b: Parts, share: number): Float64Array[] {
  const mixed = a.map((part) => new Float64Array(part.length));
  for (let c = 0; c < a[0]!.length; c++) {
    const apart = b[0]![c]! - a[0]![c]!;
    mixed[0]![c] = a[0]![c]! + share * apart;
    for (const [set, weight, d] of [
      [a, 1 - share, -share * apart],
      [b, share, (1 - share) * apart],
    ] as const) {
      const [m2, m3, m4] = [set[1]![c]!, set[2]?.[c] ?? 0, set[3]?.[c] ?? 0];
      mixed[1]![c]! += weight * (m2 + d * d);
      if (mixed[2]) mixed[2][c]! += weight * (m3 + 3 * d * m2 + d ** 3);
      if (mixed[3]) mixed[3][c]! += weight * (m4 + 4 * d * m3 + 6 * d * d * m2 + d ** 4);
    }
  }
  return mixed;
}

/** The first sample, and the sums of a − a₀ (`shift`) and of its square over the samples. */
export function sumShifted({ rows, columns, data }: Matrix): {
  first: Float64Array;
  shift: Float64Array;
  squares: Float64Array;
} {
  const first = Float64Array.from(data.subarray(0, columns));
  const sum = new Float64Array(columns);
  const squares = new Float64Array(columns);
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
  return { first, shift: sum, squares };
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
