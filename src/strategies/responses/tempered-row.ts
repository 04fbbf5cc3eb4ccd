// One row of logits as log-probabilities at a temperature, standardised first if asked, and the way back for gradients.
// The arithmetic that the losses on outputs share; float64 throughout.
import type { FloatArray } from "../matrix.ts";

/** Added to the standard deviation that logits are divided by; rows that deviate no more are flat. */
export const STANDARDIZE_EPSILON = 1e-7;

/**
 * u = z / T, or (z − mean(z)) / (std(z) + 1e-7) / T with std the sample standard deviation, n − 1. A row of equal
 * logits, std ≤ 1e-7, is flat: u = 0, and it has no gradient (the true one grows as 1/std).
 *
 * An instance is a workspace for rows of one length, read one after the other.
 */
export class TemperedRow {
  /** log softmax(u) of the row that was read last. */
  readonly logProbs: Float64Array;
  readonly #temperature: number;
  readonly #standardize: boolean;
  /** z − mean(z); its standard deviation, 0 for a flat row. */
  readonly #centred: Float64Array;
  #deviation = 0;

  constructor(columns: number, temperature: number, standardize: boolean) {
    this.logProbs = new Float64Array(columns);
    this.#centred = new Float64Array(standardize ? columns : 0);
    this.#temperature = temperature;
    this.#standardize = standardize;
  }

  /** Reads the row of `data` that starts at `from`; returns its log-probabilities, which the next reading overwrites. */
  read(data: FloatArray, from: number): Float64Array {
    const out = this.logProbs;
    const columns = out.length;
    let max = -Infinity;
    for (let c = 0; c < columns; c++) max = Math.max(max, data[from + c]!);
    for (let c = 0; c < columns; c++) out[c] = data[from + c]! - max; // before anything is summed, so that equal stay equal
    if (this.#standardize) this.#standardizeRow(out);
    for (let c = 0; c < columns; c++) out[c]! /= this.#temperature;
    normalize(out);
    return out;
  }

  /** Adds scale · dL/dz to `out` from `from` on, given g = dL/du of the row that was read last. */
  addGradient(g: Float64Array, scale: number, out: Float64Array, from: number): void {
    const columns = g.length;
    const slope = scale / this.#temperature;
    if (!this.#standardize) {
      for (let c = 0; c < columns; c++) out[from + c]! += slope * g[c]!;
      return;
    }
    if (this.#deviation === 0) return;
    // v = x/d with x = z − mean, d = std + ε, dstd/dz = x / ((n − 1)·std): dL/dz = (g − mean g)/d − x·(g·x)/((n − 1)·std·d²)
    const d = this.#deviation + STANDARDIZE_EPSILON;
    let [mean, along] = [0, 0];
    for (let c = 0; c < columns; c++) {
      mean += g[c]! / columns;
      along += g[c]! * this.#centred[c]!;
    }
    const inward = along / ((columns - 1) * this.#deviation * d * d);
    for (let c = 0; c < columns; c++)
      out[from + c]! += slope * ((g[c]! - mean) / d - this.#centred[c]! * inward);
  }

  /** Shifted logits -> standardised ones, in place. */
  #standardizeRow(row: Float64Array): void {
    const columns = row.length;
    let [mean, squares] = [0, 0];
    for (let c = 0; c < columns; c++) mean += row[c]! / columns;
    for (let c = 0; c < columns; c++) {
      this.#centred[c] = row[c]! - mean;
      squares += this.#centred[c]! ** 2;
    }
    const std = columns < 2 ? 0 : Math.sqrt(squares / (columns - 1));
    this.#deviation = std > STANDARDIZE_EPSILON ? std : 0;
    for (let c = 0; c < columns; c++)
      row[c] = this.#deviation === 0 ? 0 : this.#centred[c]! / (std + STANDARDIZE_EPSILON);
  }
}

/** u -> log softmax(u), in place. */
function normalize(u: Float64Array): void {
  let max = -Infinity;
  for (const v of u) max = Math.max(max, v);
  let sum = 0;
  for (let c = 0; c < u.length; c++) {
    u[c]! -= max;
    sum += Math.exp(u[c]!);
  }
  const logSum = Math.log(sum);
  for (let c = 0; c < u.length; c++) u[c]! -= logSum;
}

/** log Σ exp(x) over all places but `skipped`; −∞ where there is no other. */
export function logSumExp(x: Float64Array, skipped = -1): number {
  let max = -Infinity;
  for (let c = 0; c < x.length; c++) if (c !== skipped) max = Math.max(max, x[c]!);
  if (max === -Infinity) return max;
  let sum = 0;
  for (let c = 0; c < x.length; c++) if (c !== skipped) sum += Math.exp(x[c]! - max);
  return max + Math.log(sum);
}

/** Σ p (log p − log q), where p = 0 counts as 0·log 0 = 0; never negative, though rounding alone would make it so. */
export function klDivergence(logP: Float64Array, logQ: Float64Array): number {
  let sum = 0;
  for (let c = 0; c < logP.length; c++) {
    const p = Math.exp(logP[c]!);
    if (p > 0) sum += p * (logP[c]! - logQ[c]!);
  }
  return Math.max(0, sum);
}
