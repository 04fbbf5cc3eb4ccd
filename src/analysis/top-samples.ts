// The samples that excite each neuron most, of any number that are given batch by batch.
import type { Matrix } from "../strategies/index.ts";

export interface Excitation {
  /** Number of the sample in the data set. */
  readonly sample: number;
  /** The neuron's largest response to it. */
  readonly response: number;
  /** Where in a map or a sequence that is, counted row by row; 0 for a vector. */
  readonly position: number;
}

/**
 * Keeps for each neuron the `count` samples with the largest responses, the largest first; of equal ones those that came
 * first. A sample's response is the largest over its positions. Memory: 3 · neurons · count numbers.
 */
export class TopSamples {
  readonly count: number;
  #responses = new Float64Array(0);
  #samples = new Uint32Array(0);
  #positions = new Uint32Array(0);
  #neurons = 0;
  #seen = 0;

  constructor(count: number) {
    this.count = count;
  }

  /** `samples`: the number of each sample of the batch in the data set. */
  add({ rows, columns, data, positions }: Matrix, samples: ArrayLike<number>): this {
    if (this.#seen === 0) {
      this.#neurons = columns;
      this.#responses = new Float64Array(columns * this.count).fill(Number.NEGATIVE_INFINITY);
      this.#samples = new Uint32Array(columns * this.count);
      this.#positions = new Uint32Array(columns * this.count);
    }
    const best = new Float64Array(columns);
    const where = new Uint32Array(columns);
    for (let n = 0, i = 0; n < rows / positions; n++) {
      best.fill(Number.NEGATIVE_INFINITY);
      for (let p = 0; p < positions; p++)
        for (let c = 0; c < columns; c++, i++)
          if (data[i]! > best[c]!) {
            best[c] = data[i]!;
            where[c] = p;
          }
      for (let c = 0; c < columns; c++) this.#insert(c, best[c]!, samples[n]!, where[c]!);
    }
    this.#seen += rows / positions;
    return this;
  }

  of(neuron: number): Excitation[] {
    const from = neuron * this.count;
    return Array.from({ length: Math.min(this.count, this.#seen) }, (_, k) => ({
      sample: this.#samples[from + k]!,
      response: this.#responses[from + k]!,
      position: this.#positions[from + k]!,
    }));
  }

  /** So few are kept that moving the smaller ones down is faster than a heap. */
  #insert(neuron: number, response: number, sample: number, position: number): void {
    const from = neuron * this.count;
    let at = from + this.count - 1;
    if (neuron >= this.#neurons || !(response > this.#responses[at]!)) return;
    for (; at > from && response > this.#responses[at - 1]!; at--) {
      this.#responses[at] = this.#responses[at - 1]!;
      this.#samples[at] = this.#samples[at - 1]!;
      this.#positions[at] = this.#positions[at - 1]!;
    }
    this.#responses[at] = response;
    this.#samples[at] = sample;
    this.#positions[at] = position;
  }
}
