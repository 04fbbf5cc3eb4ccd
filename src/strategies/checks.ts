// What the strategies demand of their arguments, each demand once. Looks at values and throws; computes nothing.
import { DistillError, didYouMean } from "../base/errors.ts";
import { formatShape } from "../base/tensor.ts";
import { asMatrix, type Matrix, type MatrixLike } from "./matrix.ts";

/** How far a row of labels may sum from 1: float32 softmax outputs over many classes stay well within it. */
const LABEL_SUM_TOLERANCE = 1e-3;

export function checkTemperature(owner: string, value: number): number {
  if (Number.isFinite(value) && value > 0) return value;
  throw new DistillError(
    "E_ARGUMENT",
    `${owner}: temperature must be finite and greater than 0, got ${value}; 1 leaves the logits as they are`,
  );
}

export function checkAlpha(owner: string, value: number): number {
  if (value >= 0 && value <= 1) return value;
  throw new DistillError(
    "E_ARGUMENT",
    `${owner}: alpha must lie in [0, 1], got ${value}; it is the weight of the labels, 0 for the teacher alone`,
  );
}

export function checkWeight(owner: string, name: string, value: number): number {
  if (Number.isFinite(value) && value >= 0) return value;
  throw new DistillError(
    "E_ARGUMENT",
    `${owner}: ${name} must be finite and 0 or more, got ${value}; 0 switches the term off`,
  );
}

/** One of a few words. */
export function checkOneOf<T extends string>(owner: string, name: string, value: T, known: readonly T[]): T {
  if (known.includes(value)) return value;
  throw new DistillError(
    "E_ARGUMENT",
    `${owner}: ${name} is one of ${known.map((k) => JSON.stringify(k)).join(", ")}, got ${JSON.stringify(value)}.${didYouMean(String(value), known)}`,
  );
}

export function checkSwitch(owner: string, name: string, value: unknown): boolean {
  if (typeof value === "boolean") return value;
  throw new DistillError(
    "E_ARGUMENT",
    `${owner}: ${name} must be true or false, got ${JSON.stringify(value)}`,
  );
}

export function checkLayerName(what: string, value: string): string {
  if (typeof value === "string" && value.trim() !== "") return value;
  throw new DistillError(
    "E_ARGUMENT",
    `${what} must not be empty, got ${JSON.stringify(value)}; name the layer as in IntermediateActivations.add`,
  );
}

export function checkSameShape(whatA: string, a: Matrix, whatB: string, b: Matrix): void {
  for (const side of ["rows", "columns"] as const)
    if (a[side] !== b[side])
      throw new DistillError(
        "E_SHAPE",
        `${whatA} is ${formatShape(a.dims)} and ${whatB} is ${formatShape(b.dims)}: ` +
          `the number of ${side} must be the same${HINTS[side]}`,
      );
}

const HINTS = { rows: ", one for each sample of the same batch", columns: "" };

export function checkNotEmpty(what: string, m: Matrix): void {
  if (m.rows === 0 || m.columns === 0)
    throw new DistillError(
      "E_SHAPE",
      `${what} is ${formatShape(m.dims)}; at least one row and one column are needed`,
    );
}

export function checkTwoSamples(what: string, m: Matrix): void {
  checkNotEmpty(what, m);
  if (m.rows < 2)
    throw new DistillError(
      "E_SHAPE",
      `${what} holds ${m.rows} sample; selectivity compares samples and needs at least 2, so use a larger batch`,
    );
}

export function checkFinite(what: string, m: Matrix): void {
  const { data } = m;
  for (let i = 0; i < data.length; i++) if (!Number.isFinite(data[i])) throw notFinite(what, m, i);
}

/**
 * What infinite logits mean to a loss: "none": it has no use for any; "impossible": −∞ is a class of probability 0, +∞ is
 * nothing; "certain": ±∞ is a probability of 0 or 1; "standardized": refused, as "none", because a mean knows no −∞.
 */
export type InfiniteLogits = "none" | "impossible" | "certain" | "standardized";

/** No NaN, no infinity that the loss does not know, no row of which every class is impossible. */
export function checkLogitValues(what: string, m: Matrix, infinite: InfiniteLogits): void {
  const { data } = m;
  let any = false;
  for (let i = 0; i < data.length; i++) {
    if (Number.isFinite(data[i])) continue;
    if (infinite === "standardized" && data[i] === -Infinity)
      throw new DistillError(
        "E_NOT_FINITE",
        `${place(what, m, i)}; standardize takes the mean of the row, which that makes infinite: leave standardize off, or that class out on both sides`,
      );
    if (
      !(infinite === "certain" || (infinite === "impossible" && data[i] === -Infinity)) ||
      Number.isNaN(data[i])
    )
      throw notFinite(what, m, i);
    any = true;
  }
  if (!any || infinite === "certain") return;
  for (let r = 0; r < m.rows; r++)
    if (m.row(r).every((v) => v === -Infinity))
      throw new DistillError(
        "E_NOT_FINITE",
        `${what} is -Infinity in all of row ${r}, which rules out every class; leave one possible, or leave that sample out`,
      );
}

/** For sums that came out infinite or NaN: blames the value that did it, or else the size of all of them. */
export function throwOverflow(what: string, m: Matrix): never {
  checkFinite(what, m);
  throw new DistillError("E_NOT_FINITE", `${what} is so large that its scores overflow; scale it down`);
}

function notFinite(what: string, m: Matrix, i: number): DistillError {
  return new DistillError(
    "E_NOT_FINITE",
    `${place(what, m, i)}; every value must be finite: look at that sample and what computes it`,
  );
}

const place = (what: string, m: Matrix, i: number): string =>
  `${what} is ${m.data[i]} at row ${Math.floor(i / m.columns)}, column ${i % m.columns}`;

/** Probabilities, each for itself. */
export function checkProbabilities(what: string, m: Matrix): void {
  checkFinite(what, m);
  for (let i = 0; i < m.data.length; i++) {
    const y = m.data[i]!;
    if (y < 0 || y > 1)
      throw new DistillError(
        "E_ARGUMENT",
        `${what} is ${y} at row ${Math.floor(i / m.columns)}, column ${i % m.columns}; each must lie in [0, 1]: 1 for a label that holds, 0 for one that does not`,
      );
  }
}

/** Labels of the samples of activations, by which a metric tells classes apart. */
export function checkClasses(
  what: string,
  labels: MatrixLike | undefined,
  whose: string,
  activations: Matrix,
): Matrix {
  if (labels === undefined)
    throw new DistillError(
      "E_ARGUMENT",
      `${what} are missing: this metric tells classes apart; give the ${whose} labels of shape [samples, classes], one-hot or the teacher's softmax`,
    );
  const matrix = asMatrix(what, labels);
  const samples = activations.rows / activations.positions;
  if (matrix.rows !== samples || matrix.columns < 2)
    throw new DistillError(
      "E_SHAPE",
      `${what} is ${formatShape(matrix.dims)} for ${samples} samples of ${whose}; one row for each sample and two classes or more are needed`,
    );
  checkDistributions(what, matrix, true);
  return matrix;
}

/** Rows that are distributions: finite, not negative, summing to 1, or to 0 where a row may be of no class. */
export function checkDistributions(what: string, m: Matrix, mayBeZero = false): void {
  checkFinite(what, m);
  for (let r = 0, i = 0; r < m.rows; r++) {
    let sum = 0;
    for (let c = 0; c < m.columns; c++, i++) {
      const y = m.data[i]!;
      if (y < 0)
        throw new DistillError(
          "E_ARGUMENT",
          `${what} is ${y} at row ${r}, column ${c}; a row is a distribution, so none of it is negative`,
        );
      sum += y;
    }
    if (Math.abs(sum - 1) > LABEL_SUM_TOLERANCE && !(mayBeZero && sum === 0))
      throw new DistillError(
        "E_ARGUMENT",
        `${what} row ${r} sums to ${sum}; a row must be one-hot or a soft distribution that sums to 1`,
      );
  }
}
