// Means over seeds and whether two ways of training differ. Student's t, two-sided; distribution functions by jStat.
import jstat from "jstat";

/** Mean of a sample with its 95 % confidence interval; the half-width is missing for a sample of one. */
export interface Estimate {
  readonly mean: number;
  /** Half the width of the 95 % confidence interval: t(0.975, n − 1)·s/√n. */
  readonly halfWidth?: number;
  readonly n: number;
}

/** What pairs of runs, equal but for one thing, say of it. */
export interface PairedTest extends Estimate {
  /** Two-sided p of Student's paired t test; missing with fewer than two pairs, or where all differences are equal. */
  readonly p?: number;
}

export function estimate(values: readonly number[]): Estimate {
  const n = values.length;
  const mean = values.reduce((a, v) => a + v, 0) / n;
  if (n < 2) return { mean, n };
  return { mean, n, halfWidth: jstat.studentt.inv(0.975, n - 1) * standardError(values, mean) };
}

/**
 * Whether `values` differ from `others`, pair by pair (the same seed): t = d̄/(s_d/√n) with n − 1 degrees of freedom.
 *
 * Source: Student (W. S. Gosset), "The probable error of a mean", 1908.
 */
export function pairedTest(values: readonly number[], others: readonly number[]): PairedTest {
  const differences = values.map((v, i) => v - (others[i] as number));
  const found = estimate(differences);
  const error = standardError(differences, found.mean);
  if (found.n < 2 || error === 0) return found;
  return { ...found, p: 2 * jstat.studentt.cdf(-Math.abs(found.mean / error), found.n - 1) };
}

/** Deviations that are rounding errors of numbers of this size count as none: a test would take them for certainty. */
function standardError(values: readonly number[], mean: number): number {
  const squares = values.reduce((a, v) => a + (v - mean) ** 2, 0);
  if (Math.sqrt(squares) <= 1e-12 * Math.max(1, Math.abs(mean))) return 0;
  return Math.sqrt(squares / (values.length - 1) / values.length);
}

/**
 * Holm's correction for several tests: the smallest p times their number, the next times one less, never falling. Keeps the
 * chance of even one false claim below the level. Missing p stay missing.
 *
 * Source: S. Holm, "A simple sequentially rejective multiple test procedure", 1979.
 */
export function holm(ps: readonly (number | undefined)[]): (number | undefined)[] {
  const order = ps.flatMap((p, i) => (p === undefined ? [] : [i])).sort((a, b) => ps[a]! - ps[b]!);
  const corrected: (number | undefined)[] = ps.map(() => undefined);
  let least = 0;
  order.forEach((i, rank) => {
    least = Math.min(1, Math.max(least, ps[i]! * (order.length - rank)));
    corrected[i] = least;
  });
  return corrected;
}
