// Whether the values that a model gives are probabilities, by the values alone: what made them may be anything (a forest of
// trees, a calibrated classifier, a Softmax behind quantisation). Knows no model and runs nothing.
import type { Shape } from "../base/tensor.ts";
import type { OutputKind } from "../strategies/index.ts";

/** "unclear": they might be, and too few values tell; a number: they may be probabilities times that. */
export type ValuesGive = "logits" | "probabilities" | "unclear" | number;

/** Values of which a row's sum may be off by rounding: float16 and bfloat16 have 11 and 8 bits. */
const rounding = 4e-3;
/** Rounding may also leave a value this far below 0. */
const below = -1e-6;
/** 8-bit values have at most so many levels. */
const mostLevels = 256;
/** So many values in [0, 1] that are not all alike are no accident. */
const fewestOfSigmoid = 16;

/**
 * What rows [R, C] hold. Of a softmax: probabilities where every row is ≥ 0 and sums to 1, up to the rounding of float16 or
 * of an 8-bit grid. Two rows of logits that do so by chance are rarer than one in 10⁵ and a batch of 32 is out of the
 * question; so rows that are all alike, or a single one, leave it unclear, as a constant output says nothing. Rows that all
 * sum to another number hold percentages, or votes that nobody divided.
 * Of a sigmoid: probabilities where all values lie in [0, 1]; unclear where they are all alike, or fewer than 16.
 */
export function valuesGive(data: Float32Array, [rows, columns]: Shape, kind: OutputKind): ValuesGive {
  if (kind === "identity") return "logits";
  if (!(rows! > 0) || data.length === 0) return "logits";
  return kind === "softmax" ? sumToOne(data, rows as number, columns as number) : liesBetween(data);
}

function sumToOne(data: Float32Array, rows: number, columns: number): ValuesGive {
  if (columns < 2) return "logits";
  const total = sumOfEach(data, rows, columns);
  if (total !== undefined && Math.abs(total - 1) > 0.25) return total;
  let tolerance: number | undefined;
  let alike = true;
  for (let r = 0; r < rows; r++) {
    let sum = 0;
    for (let c = 0; c < columns; c++) {
      const v = data[r * columns + c] as number;
      if (!(v >= below && v <= 1 + rounding)) return "logits";
      if (v !== data[c]) alike = false;
      sum += v;
    }
    if (Math.abs(sum - 1) <= rounding) continue;
    tolerance ??= toleranceOfGrid(data, columns);
    if (Math.abs(sum - 1) > tolerance) return "logits";
  }
  return alike ? "unclear" : "probabilities";
}

/** What rows that are ≥ 0 and not all alike sum to, where they all sum to the same. */
function sumOfEach(data: Float32Array, rows: number, columns: number): number | undefined {
  let total = 0;
  let alike = true;
  for (let r = 0; r < rows; r++) {
    let sum = 0;
    for (let c = 0; c < columns; c++) {
      const v = data[r * columns + c] as number;
      if (!(v >= 0)) return undefined;
      if (v !== data[c]) alike = false;
      sum += v;
    }
    if (r === 0) total = sum;
    // As exact as float32 sums: of logits no two rows are.
    if (!(Math.abs(sum - total) <= 1e-5 * total)) return undefined;
  }
  return alike ? undefined : total;
}

/** Values on a grid of steps are off by half a step each. */
function toleranceOfGrid(data: Float32Array, columns: number): number {
  const levels = new Set<number>();
  for (const v of data) if (levels.add(v).size > mostLevels) return 0;
  const sorted = [...levels].sort((a, b) => a - b);
  const step = sorted.slice(1).reduce((least, v, i) => Math.min(least, v - (sorted[i] as number)), 1);
  const onGrid = sorted.every((v) => Math.abs(v / step - Math.round(v / step)) < 1e-2);
  return onGrid && step >= 1 / 1024 && step <= 1 / 64 ? Math.min((columns * step) / 2, 0.25) : 0;
}

function liesBetween(data: Float32Array): ValuesGive {
  let alike = true;
  for (const v of data) {
    if (!(v >= below && v <= 1 + rounding)) return "logits";
    if (v !== data[0]) alike = false;
  }
  return alike || data.length < fewestOfSigmoid ? "unclear" : "probabilities";
}
