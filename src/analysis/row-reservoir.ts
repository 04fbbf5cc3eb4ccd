// A bounded uniform sample of the rows of activations that are given batch by batch, for what needs whole columns:
// histograms, medians, correlations. Depends on seed and number of rows alone, so two layers with the same rows keep the
// same ones. Source: K.-H. Li, "Reservoir-sampling algorithms of time complexity O(n(1 + log(N/n)))", 1994, algorithm L.
import { type Random, randomFor } from "../base/random.ts";
import { Matrix } from "../strategies/index.ts";

/**
 * Keeps at most `capacity` rows, each row of all with the same probability; all of them, in order, where there are no more.
 *
 * @example
 * const kept = new RowReservoir(2048, 1);
 * for (const batch of batches) kept.add(batch);
 * kept.matrix(); // [min(rows, 2048), neurons]
 */
export class RowReservoir {
  readonly capacity: number;
  readonly #random: Random;
  #data = new Float32Array(0);
  #columns = 0;
  #seen = 0;
  /** Number of the next row that is kept once the reservoir is full. */
  #next = 0;
  #w = 1;

  constructor(capacity: number, seed: number) {
    this.capacity = capacity;
    this.#random = randomFor(seed, "rows");
  }

  add({ rows, columns, data }: Matrix): this {
    if (this.#seen === 0) {
      this.#columns = columns;
      this.#data = new Float32Array(this.capacity * columns);
    }
    const end = this.#seen + rows;
    const keep = (row: number, place: number): void => {
      const from = (row - (end - rows)) * columns;
      this.#data.set(data.subarray(from, from + columns), place * columns);
    };
    const filled = Math.min(this.capacity, end);
    for (let row = this.#seen; row < filled; row++) keep(row, row);
    if (this.#seen < this.capacity && end >= this.capacity) {
      this.#next = this.capacity - 1;
      this.#skip();
    }
    for (; end > this.capacity && this.#next < end; this.#skip())
      keep(this.#next, this.#random.nextInt(this.capacity));
    this.#seen = end;
    return this;
  }

  /** The kept rows; those of a full reservoir are in no order. */
  matrix(): Matrix {
    const rows = Math.min(this.#seen, this.capacity);
    return new Matrix(rows, this.#columns, this.#data.subarray(0, rows * this.#columns));
  }

  #skip(): void {
    // 1 − u lies in (0, 1]: the logarithm is finite.
    const u = () => 1 - this.#random.nextFloat();
    this.#w *= Math.exp(Math.log(u()) / this.capacity);
    this.#next += Math.floor(Math.log(u()) / Math.log(1 - this.#w)) + 1;
  }
}
