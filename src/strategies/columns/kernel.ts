// What does the loops of the passes over a matrix (passes.ts), and the memory that it does them in. Blocks of the matrix
// are copied there, as float64: WebAssembly reads no other memory, and in JavaScript a loop that meets one type of array
// alone is up to twice as fast as one that meets two. Copying costs less than either saves.
import type { FloatArray } from "../matrix.ts";

/**
 * The most columns that are worked on at once: not all, so that their numbers stay in a near cache, but many, because a
 * row of a block of the columns is copied by a call of its own.
 */
export const COLUMNS = 4096;

/** The most numbers of the matrix that are worked on at once. */
export const TILE = 32768;

/** Rows are taken in groups of so many: what is kept of a column is then loaded and stored once for four numbers. */
export const GROUP = 4;

/**
 * Numbers between the rows and what is made of them. Without them the two would lie whole pages apart, and a processor that
 * compares the lower 12 bits of addresses waits before each load for the store before it: JavaScript's gradient would
 * take 1.7 times as long.
 */
const GAP = 256;

/** Where in the memory lie the numbers of the columns, the rows of the matrix, and those of the gradient. */
export const place = {
  first: 0,
  /** Σd, of d = a − first; for the gradient the mean of d. */
  shift: COLUMNS,
  /** Σd². */
  squares: 2 * COLUMNS,
  slope: 3 * COLUMNS,
  rows: 4 * COLUMNS,
  out: 4 * COLUMNS + TILE + GAP,
  /** columns.wat works on pairs, so one number more may be written than there is. */
  end: 4 * COLUMNS + 2 * (TILE + GAP),
} as const;

export interface Kernel {
  readonly memory: Float64Array;
  /**
   * For each column and each of `groups` ≥ 1 of four rows, with dᵢ = aᵢ − first: shift += d₀ + d₁ + (d₂ + d₃) and
   * squares += d₀² + d₁² + (d₂² + d₃²).
   */
  addSums(groups: number, columns: number): void;
  /** For each number of `groups` ≥ 1 of four rows: out = slope · (a − first − shift) + 0, which is never −0. */
  gradient(groups: number, columns: number): void;
  /**
   * The first `count` numbers of out, to be copied into an array of the type of `target` before anything else is
   * done; in that type already where converting here is quicker than converting while copying.
   */
  results(count: number, target: FloatArray): FloatArray;
}
