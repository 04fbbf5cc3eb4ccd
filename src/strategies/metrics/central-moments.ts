// Mean and variance of a neuron over the samples, one-pass and shifted by the first sample, so that 1e6 ± 1 keeps its
// digits; and how central moments of two sets of samples mix.
import { throwOverflow } from "../checks.ts";
import { shiftAndScale, sumShifted } from "../columns/passes.ts";
import type { Matrix } from "../matrix.ts";
import type { Moments, Parts } from "./metric.ts";

/**
 * Parts μ = (1/B) Σ a and v = (1/B) Σ (a − μ)²;  d v / d a = (2/B) (a − μ). No score depends on μ alone, so its
 * derivative is not asked for.
 *
 * With d = a − a₀ (a₀ the first sample): μ = a₀ + Σd/B and v = Σd²/B − (Σd/B)². As a₀ is itself a sample,
 * the variance is never less than about a₀'s own share of it, so the difference can't cancel: the relative error
 * stays below a few B·2⁻⁵³.
 */
export function measureVariance(what: string, activations: Matrix): Moments {
  const { rows, columns } = activations;
  const { first, shift, squares: variance } = sumShifted(activations);
  const mean = new Float64Array(columns);
  for (let c = 0; c < columns; c++) {
    shift[c]! /= rows;
    mean[c] = first[c]! + shift[c]!;
    variance[c] = Math.max(0, variance[c]! / rows - shift[c]! * shift[c]!);
    if (!Number.isFinite(variance[c]!)) throwOverflow(what, activations);
  }
  return {
    parts: [mean, variance],
    backward([, upstream], [meanThere], out) {
      const slope = new Float64Array(columns);
      const shiftThere = new Float64Array(columns);
      for (let c = 0; c < columns; c++) {
        slope[c] = (2 * upstream![c]!) / rows;
        // The shift itself where the mean is this one: first + shift has lost digits that it has.
        shiftThere[c] = shift[c]! + (meanThere![c]! - mean[c]!);
      }
      // Not a − μ: the mean of 1e6 ± 1 has lost the digits that a − a₀ keeps.
      shiftAndScale(activations, first, shiftThere, slope, out);
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
