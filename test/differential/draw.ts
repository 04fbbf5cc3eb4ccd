// What the generators of the differential tester draw from: seeded numbers, shapes, and tensors with values at the edges.
import {
  isFloat,
  type NumericDType,
  type Shape,
  sizeOf,
  type Tensor,
  tensor,
} from "../../src/base/tensor.ts";
import { testRandom } from "../gradient-checker.ts";

/** Largest finite float32. */
export const highest = (2 - 2 ** -23) * 2 ** 127;

/**
 * Which values stand between the ordinary ones of a float tensor:
 * - `any`: infinities, NaN, the largest and the smallest numbers, signed zeros, places where kernels change their formula;
 * - `ordered`: those of `any` without NaN, for ops that look for extrema;
 * - `summed`: infinities, NaN and zeros alone, for ops that add up many elements: the order of addition is nobody's promise;
 * - `finite`: the edges of `any` without infinities and NaN;
 * - `none`: ordinary values alone.
 */
export type Edges = "any" | "ordered" | "summed" | "finite" | "none";

const finite = [
  0,
  -0,
  highest,
  -highest,
  1e-40,
  -1e-40,
  1e-30,
  1e30,
  -1e30,
  1,
  -1,
  0.5,
  18,
  -18,
  89,
  -89,
  3,
  -3,
];
const beyond = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, Number.NaN];
const edgeValues: Readonly<Record<Edges, readonly number[]>> = {
  any: [...finite, ...beyond, ...beyond],
  ordered: [...finite, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY],
  summed: [...beyond, 0, -0],
  finite,
  none: [],
};

export interface FloatOptions {
  /** Default "any". */
  readonly edges?: Edges;
  /** Range of the ordinary values; default [-2, 2]. */
  readonly low?: number;
  readonly high?: number;
  readonly dtype?: NumericDType;
}

/** Seeded choices of one case. */
export class Draw {
  readonly #random: () => number;
  constructor(seed: number) {
    this.#random = testRandom(seed);
  }

  /** Uniform in [low, high). */
  float(low: number, high: number): number {
    return low + (high - low) * this.#random();
  }
  /** A whole number from low to high, both included. */
  int(low: number, high: number): number {
    return low + Math.floor(this.#random() * (high - low + 1));
  }
  chance(p: number): boolean {
    return this.#random() < p;
  }
  pick<const T>(list: readonly T[]): T {
    return list[this.int(0, list.length - 1)] as T;
  }
  shuffled<T>(list: readonly T[]): T[] {
    const rest = [...list];
    return list.map(() => rest.splice(this.int(0, rest.length - 1), 1)[0] as T);
  }
  /** `count` different ones of 0 … below − 1, ascending. */
  subset(below: number, count: number): number[] {
    return this.shuffled(Array.from({ length: below }, (_, i) => i))
      .slice(0, count)
      .sort((p, q) => p - q);
  }

  /** A length of an axis: small, often 1, and 0 now and then if asked for. */
  length(options: { readonly zero?: boolean; readonly most?: number } = {}): number {
    if (options.zero && this.chance(0.04)) return 0;
    return this.chance(0.2) ? 1 : this.int(1, options.most ?? 5);
  }
  shape(rank: number, options: { readonly zero?: boolean; readonly most?: number } = {}): number[] {
    return Array.from({ length: rank }, () => this.length(options));
  }
  /** Shapes that broadcast together, the first of them the whole. */
  broadcastable(count: number, rank: number): number[][] {
    const whole = this.shape(rank, { zero: true });
    const others = Array.from({ length: count - 1 }, () => {
      const part = whole.slice(this.int(0, rank));
      return part.map((n) => (this.chance(0.25) ? 1 : n));
    });
    return [whole, ...others];
  }

  /** Ordinary values, in some tensors on a coarse grid so that there are ties; every other tensor has edges among them. */
  floats(dims: Shape, options: FloatOptions = {}): Tensor {
    const { low = -2, high = 2, edges = "any", dtype = "float32" } = options;
    const coarse = this.chance(0.3);
    const special = edgeValues[edges];
    const share = special.length > 0 && this.chance(0.5) ? this.pick([0.1, 0.3, 1]) : 0;
    const values = Array.from({ length: sizeOf(dims) }, () => {
      if (this.chance(share)) return this.pick(special);
      const value = this.float(low, high);
      return coarse ? Math.round(value * 2) / 2 : Math.fround(value);
    });
    return tensor(dtype, values, dims);
  }
  /** Whole numbers from low to high. */
  ints(dims: Shape, low: number, high: number, dtype: NumericDType = "int64"): Tensor {
    return tensor(
      dtype,
      Array.from({ length: sizeOf(dims) }, () => this.int(low, high)),
      dims,
    );
  }
  bools(dims: Shape, share = 0.5): Tensor {
    return tensor(
      "bool",
      Array.from({ length: sizeOf(dims) }, () => Number(this.chance(share))),
      dims,
    );
  }
  /** Of any element type. */
  tensor(dtype: NumericDType, dims: Shape, options: FloatOptions = {}): Tensor {
    if (dtype === "bool") return this.bools(dims);
    if (isFloat(dtype)) return this.floats(dims, { ...options, dtype });
    return this.ints(dims, dtype.startsWith("u") ? 0 : -4, 4, dtype);
  }
  /** An axis of `rank`, counted from either end. */
  axis(rank: number): number {
    return this.int(-rank, rank - 1);
  }
}
