// Passes over a matrix that need to know nothing of a column but a few numbers: block by block through a kernel.
import type { FloatArray, Matrix } from "../matrix.ts";
import { COLUMNS, GROUP, type Kernel, place, TILE } from "./kernel.ts";
import { kernelFor } from "./kernel-for.ts";

/** A number for each column. */
export interface ShiftedSums {
  /** The first row, a₀. */
  readonly first: Float64Array;
  /** Σ (a − a₀) over the rows. */
  readonly shift: Float64Array;
  /** Σ (a − a₀)² over the rows. */
  readonly squares: Float64Array;
}

export function sumShifted(matrix: Matrix, kernel: Kernel = kernelFor(matrix.data.length)): ShiftedSums {
  const { rows, columns, data } = matrix;
  const first = new Float64Array(data.subarray(0, columns));
  const shift = new Float64Array(columns);
  const squares = new Float64Array(columns);
  const { memory } = kernel;
  for (const { from, width } of blocksOf(columns)) {
    const firstHere = first.subarray(from, from + width);
    memory.set(firstHere, place.first);
    memory.fill(0, place.shift, place.shift + width);
    memory.fill(0, place.squares, place.squares + width);
    const step = rowsAtOnce(width);
    for (let r = 0; r < rows; r += step) {
      const count = Math.min(step, rows - r);
      copyIn(memory, matrix, r, count, from, width);
      const groups = Math.ceil(count / GROUP);
      // An unfinished group is filled up with rows whose difference is 0.
      for (let k = count; k < groups * GROUP; k++) memory.set(firstHere, place.rows + k * width);
      kernel.addSums(groups, width);
    }
    shift.set(memory.subarray(place.shift, place.shift + width), from);
    squares.set(memory.subarray(place.squares, place.squares + width), from);
  }
  return { first, shift, squares };
}

/** out = slope · (a − first − shift), zeros as 0, not −0; with a number of each for each column. */
export function shiftAndScale(
  matrix: Matrix,
  first: Float64Array,
  shift: Float64Array,
  slope: Float64Array,
  out: FloatArray,
  kernel: Kernel = kernelFor(matrix.data.length),
): void {
  const { rows, columns } = matrix;
  const { memory } = kernel;
  for (const { from, width } of blocksOf(columns)) {
    memory.set(first.subarray(from, from + width), place.first);
    memory.set(shift.subarray(from, from + width), place.shift);
    memory.set(slope.subarray(from, from + width), place.slope);
    const step = rowsAtOnce(width);
    for (let r = 0; r < rows; r += step) {
      const count = Math.min(step, rows - r);
      copyIn(memory, matrix, r, count, from, width);
      kernel.gradient(Math.ceil(count / GROUP), width);
      const results = kernel.results(count * width, out);
      if (width === columns) out.set(results, r * columns);
      else
        for (let k = 0; k < count; k++)
          out.set(results.subarray(k * width, (k + 1) * width), (r + k) * columns + from);
    }
  }
}

/** Blocks of columns of about equal width. */
function blocksOf(columns: number): { from: number; width: number }[] {
  const width = Math.ceil(columns / Math.ceil(columns / COLUMNS));
  const blocks = [];
  for (let from = 0; from < columns; from += width)
    blocks.push({ from, width: Math.min(width, columns - from) });
  return blocks;
}

function rowsAtOnce(width: number): number {
  return Math.floor(TILE / width / GROUP) * GROUP;
}

function copyIn(
  memory: Float64Array,
  { columns, data }: Matrix,
  row: number,
  count: number,
  from: number,
  width: number,
): void {
  if (width === columns) memory.set(data.subarray(row * columns, (row + count) * columns), place.rows);
  else
    for (let k = 0; k < count; k++) {
      const at = (row + k) * columns + from;
      memory.set(data.subarray(at, at + width), place.rows + k * width);
    }
}
