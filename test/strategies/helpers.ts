// Shared by the tests of this room: fixtures, seeded matrices, finite differences, closeness that shows the worst element.
import { readFileSync } from "node:fs";
import { expect } from "vitest";
import {
  IntermediateActivations,
  Matrix,
  type NeuronSelectivityOptions,
  type SelectivityMetric,
} from "../../src/strategies/index.ts";

interface ResponseCase {
  readonly name: string;
  readonly temperature: number;
  readonly alpha: number;
  readonly student: number[][];
  readonly teacher: number[][];
  readonly labels: number[][] | null;
  readonly loss: number;
  readonly gradient: number[][];
}

interface IntermediateCase {
  readonly name: string;
  readonly metric: SelectivityMetric;
  readonly weight: number;
  readonly student: number[][];
  readonly teacher: number[][];
  readonly scores: number[];
  readonly loss: number;
  readonly gradient: number[][];
}

/** Made with PyTorch by test/fixtures/strategies.py. */
export const fixtures: { readonly responses: ResponseCase[]; readonly intermediates: IntermediateCase[] } =
  JSON.parse(readFileSync(new URL("../fixtures/strategies.json", import.meta.url), "utf8"));

/** A selectivity loss of whatever options, by test/fixtures/selectivity.py. */
export interface FamilyCase {
  readonly options: NeuronSelectivityOptions & { readonly metric: SelectivityMetric };
  readonly dims: [number[], number[]];
  readonly student: number[];
  readonly teacher: number[];
  readonly labels: number[][];
  readonly assignment: number[] | null;
  readonly scores: number[];
  readonly teacherScores: number[];
  readonly loss: number;
  readonly gradient: number[];
}

export const familyCases: FamilyCase[] = JSON.parse(
  readFileSync(new URL("../fixtures/selectivity.json", import.meta.url), "utf8"),
);

export function float32(m: Matrix): Matrix {
  return new Matrix(m.rows, m.columns, Float32Array.from(m.data));
}

/** The activations of one layer, "layer". */
export function layer(activations: Matrix): IntermediateActivations {
  return new IntermediateActivations().add("layer", activations);
}

/** Uniform in [low, high), from a seed (mulberry32). */
export function randomMatrix(seed: number, rows: number, columns: number, low = -1, high = 1): Matrix {
  let state = seed;
  const data = Float64Array.from({ length: rows * columns }, () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return low + (high - low) * (((t ^ (t >>> 14)) >>> 0) / 4294967296);
  });
  return new Matrix(rows, columns, data);
}

/** Central differences of order four, element by element: error about step⁴ and 1e-16 / step. */
export function finiteDifferences(f: (m: Matrix) => number, at: Matrix, step = 1e-3): Float64Array {
  const data = Float64Array.from(at.data);
  const value = (i: number, offset: number) => {
    const kept = data[i]!;
    data[i] = kept + offset;
    const y = f(new Matrix(at.rows, at.columns, data));
    data[i] = kept;
    return y;
  };
  return data.map(
    (_, i) =>
      (8 * (value(i, step) - value(i, -step)) - (value(i, 2 * step) - value(i, -2 * step))) / (12 * step),
  );
}

/** |actual − expected| ≤ absolute + relative·|expected| everywhere; else the worst element is shown. */
export function expectClose(
  actual: ArrayLike<number>,
  expected: ArrayLike<number>,
  relative: number,
  absolute = relative,
): void {
  expect(actual.length).toBe(expected.length);
  let worst = 0;
  let message = "";
  for (let i = 0; i < expected.length; i++) {
    const [a, e] = [actual[i]!, expected[i]!];
    const excess = Math.abs(a - e) / (absolute + relative * Math.abs(e));
    if (excess > worst || Number.isNaN(excess)) {
      worst = Number.isNaN(excess) ? Infinity : excess;
      message = `worst at index ${i}: got ${a}, expected ${e}, ${worst} times the tolerance`;
    }
  }
  expect(worst, message).toBeLessThanOrEqual(1);
}
