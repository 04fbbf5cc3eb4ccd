// The arithmetic behind the charts: means, correlations, ranks, bins. Everything skips what is missing or not finite, and
// never divides by zero: a constant series has no correlation (NaN), not an infinite one.
import { isFiniteNumber } from "../base/format.ts";
import type { Figure } from "./data.ts";

/** Pairs in which both numbers are there. */
export function finitePairs(
  a: readonly (Figure | undefined)[],
  b: readonly (Figure | undefined)[],
): [number, number][] {
  const pairs: [number, number][] = [];
  for (let i = 0; i < Math.min(a.length, b.length); i++) {
    const x = a[i];
    const y = b[i];
    if (isFiniteNumber(x) && isFiniteNumber(y)) pairs.push([x, y]);
  }
  return pairs;
}

/** (1/n) Σ (a − b)²; NaN without pairs. What the selectivity loss minimises, before its weight. */
export function meanSquaredDifference(a: readonly Figure[], b: readonly Figure[]): number {
  const pairs = finitePairs(a, b);
  return pairs.reduce((sum, [x, y]) => sum + (x - y) ** 2, 0) / pairs.length;
}

/** Pearson's r; NaN with fewer than two pairs or where one side is constant. */
export function correlation(a: readonly Figure[], b: readonly Figure[]): number {
  const pairs = finitePairs(a, b);
  const n = pairs.length;
  if (n < 2) return Number.NaN;
  const mx = pairs.reduce((s, [x]) => s + x, 0) / n;
  const my = pairs.reduce((s, [, y]) => s + y, 0) / n;
  let xx = 0;
  let yy = 0;
  let xy = 0;
  for (const [x, y] of pairs) {
    xx += (x - mx) ** 2;
    yy += (y - my) ** 2;
    xy += (x - mx) * (y - my);
  }
  // A constant column differs from its own mean by rounding only.
  const flat = (sum: number, mean: number) => sum <= n * (Math.abs(mean) * 1e-12) ** 2;
  if (flat(xx, mx) || flat(yy, my)) return Number.NaN;
  return Math.max(-1, Math.min(1, xy / Math.sqrt(xx * yy)));
}

/** The finite ones, ascending. */
export function sortedFinite(values: readonly (Figure | undefined)[]): number[] {
  return values.filter(isFiniteNumber).sort((a, b) => a - b);
}

/** Linear interpolation between order statistics of an ascending array; NaN if it is empty. */
export function quantile(sorted: readonly number[], share: number): number {
  const at = share * (sorted.length - 1);
  const low = Math.floor(at);
  const a = sorted[low];
  if (a === undefined) return Number.NaN;
  return a + (at - low) * ((sorted[low + 1] ?? a) - a);
}

/** At most `most` of `items`, evenly spaced, first and last kept. */
export function thin<T>(items: readonly T[], most: number): T[] {
  if (items.length <= most) return [...items];
  if (most < 2) return items.slice(0, most);
  return Array.from({ length: most }, (_, i) => items[Math.round((i * (items.length - 1)) / (most - 1))]!);
}

export interface Bin {
  /** Mean position. */
  x: number;
  low: number;
  high: number;
  mean: number;
  /** Mean over a wider window around the bin. */
  smooth: number;
}

/** Share of the series that a smoothed value looks at. */
const SMOOTHING = 0.04;

/**
 * A long series in at most `most` bins of equal counts, each with its lowest, highest and mean value, and a moving mean over
 * about 4 % of the series. Points that are not finite are left out.
 */
export function binSeries(points: readonly { x: number; y: Figure | undefined }[], most: number): Bin[] {
  const kept = points.filter(
    (p): p is { x: number; y: number } => isFiniteNumber(p.y) && isFiniteNumber(p.x),
  );
  const n = kept.length;
  const sums = new Float64Array(n + 1);
  for (let i = 0; i < n; i++) sums[i + 1] = sums[i]! + kept[i]!.y;
  const mean = (from: number, to: number) => (sums[to]! - sums[from]!) / (to - from);
  const half = Math.floor((n * SMOOTHING) / 2);
  const count = Math.min(n, most);
  return Array.from({ length: count }, (_, b) => {
    const from = Math.floor((b * n) / count);
    const to = Math.floor(((b + 1) * n) / count);
    let low = Number.POSITIVE_INFINITY;
    let high = Number.NEGATIVE_INFINITY;
    let x = 0;
    for (let i = from; i < to; i++) {
      low = Math.min(low, kept[i]!.y);
      high = Math.max(high, kept[i]!.y);
      x += kept[i]!.x / (to - from);
    }
    // The window shrinks evenly towards both ends: a lopsided one would bend the curve there.
    const reach = Math.min(half, from, n - to);
    return { x, low, high, mean: mean(from, to), smooth: mean(from - reach, to + reach) };
  });
}

export interface ValueScale {
  type: "linear" | "sqrt" | "symlog" | "log";
  /** Of symlog: linear below, logarithmic above. */
  constant?: number;
  /** Where to mark the axis, or about how often. */
  ticks: number | number[];
  /** ", logarithmic" and the like for the axis title; empty when linear. */
  remark: string;
}

/**
 * An axis on which the bulk of `values` can be told apart although a few are far larger: linear up to 12 times the median,
 * beyond that logarithmic, or, where `zero` belongs to the range, by square root, and from 1000 times on logarithmic above
 * the median.
 */
export function chooseScale(values: readonly (Figure | undefined)[], zero: boolean): ValueScale {
  const sorted = sortedFinite(values);
  const lowest = sorted[0] ?? 0;
  const highest = sorted.at(-1) ?? 0;
  const median = quantile(sorted, 0.5);
  const linear: ValueScale = { type: "linear", ticks: 5, remark: "" };
  if (lowest < 0 || !(median > 0) || highest <= 12 * median) return linear;
  if (lowest > 0 && !zero) return { type: "log", ticks: logTicks(lowest, highest), remark: ", logarithmic" };
  if (highest <= 1000 * median) return { type: "sqrt", ticks: 5, remark: ", square-root scale" };
  const ticks = [0, ...logTicks(median, highest)];
  return { type: "symlog", constant: median, ticks, remark: ", logarithmic above the median" };
}

/** Powers of ten within the range, at most about six; where fewer than two lie in it, 1, 2 and 5 times those. */
export function logTicks(low: number, high: number): number[] {
  const first = Math.floor(Math.log10(low));
  const exponents = Array.from(
    { length: Math.max(0, Math.ceil(Math.log10(high)) - first + 1) },
    (_, i) => first + i,
  );
  const ticks = (factors: number[]) =>
    exponents.flatMap((e) => factors.map((f) => Number(`${f}e${e}`))).filter((v) => v >= low && v <= high);
  const tens = ticks([1]);
  if (tens.length < 2) return ticks([1, 2, 5]);
  const every = Math.ceil(tens.length / 6);
  return tens.filter((_, i) => i % every === 0);
}
