// What the reference operators work on: arrays of float64, their offset tables, and attributes that must all be read.
// Must not import anything from src/ops: the reference is written from the operator specification alone.
import { DistillError } from "../../src/base/errors.ts";
import { type DType, isFloat, newArray, type Shape, sizeOf, type Tensor } from "../../src/base/tensor.ts";
import type { Attributes } from "../../src/graph/graph.ts";
import { isFloat8 } from "./float8.ts";

/**
 * A row-major array. `dtype` is "float64" for every float; integers and bools keep their type, their elements are
 * whole numbers held in float64 (exact to 2^53). Never written to once made: arrays share data.
 */
export interface NDArray {
  readonly dtype: DType;
  readonly dims: Shape;
  readonly data: Float64Array;
}

/** One operator: inputs (undefined where left out), its attributes, how many outputs the node names. */
export type Operator = (
  inputs: readonly (NDArray | undefined)[],
  attributes: AttributeReader,
  outputs: number,
) => NDArray | readonly NDArray[];

export type OperatorTable = Readonly<Record<string, Operator>>;

export function array(dtype: DType, dims: Shape, data: ArrayLike<number>): NDArray {
  if (data.length !== sizeOf(dims))
    throw new Error(`shape [${dims}] holds ${sizeOf(dims)} elements, got ${data.length}`);
  return { dtype, dims, data: data instanceof Float64Array ? data : Float64Array.from(data) };
}

export function zeros(dtype: DType, dims: Shape): NDArray {
  return { dtype, dims, data: new Float64Array(sizeOf(dims)) };
}

/** The input at `index`, which the operator cannot do without. */
export function need(inputs: readonly (NDArray | undefined)[], index: number): NDArray {
  const input = inputs[index];
  if (!input) throw new Error(`input ${index} is missing`);
  return input;
}

/** An axis counted from the front. */
export function axisOf(axis: number, rank: number): number {
  const a = axis < 0 ? axis + rank : axis;
  if (!Number.isInteger(a) || a < 0 || a >= Math.max(rank, 1))
    throw new Error(`axis ${axis} is outside rank ${rank}`);
  return a;
}

/** Steps, in elements, from one index to the next along each axis. */
export function strides(dims: Shape): number[] {
  const steps = new Array<number>(dims.length);
  let step = 1;
  for (let i = dims.length - 1; i >= 0; i--) {
    steps[i] = step;
    step *= dims[i]!;
  }
  return steps;
}

/** Strides with which an array of `dims` is read as if it had been expanded to `target` (0 along repeated axes). */
export function broadcastStrides(dims: Shape, target: Shape): number[] {
  const steps = strides(dims);
  const missing = target.length - dims.length;
  if (missing < 0) throw new Error(`shape [${dims}] does not broadcast to [${target}]`);
  return target.map((size, i) => {
    const own = i < missing ? 1 : dims[i - missing]!;
    if (own !== size && own !== 1) throw new Error(`shape [${dims}] does not broadcast to [${target}]`);
    return own === 1 ? 0 : steps[i - missing]!;
  });
}

/**
 * Offsets `base + Σ index[i]·steps[i]` for all indices of `dims`, in row-major order. With it, every gather, scatter,
 * broadcast, transpose and reduction is one flat loop.
 */
export function offsets(dims: Shape, steps: readonly number[], base = 0): Int32Array {
  const table = new Int32Array(sizeOf(dims));
  if (table.length === 0) return table;
  table[0] = base;
  // What is filled so far (the trailing axes) is repeated, shifted, for each index of the next axis outwards.
  let filled = 1;
  for (let axis = dims.length - 1; axis >= 0; axis--) {
    for (let index = 1; index < dims[axis]!; index++) {
      const shift = index * steps[axis]!;
      for (let i = 0; i < filled; i++) table[index * filled + i] = table[i]! + shift;
    }
    filled *= dims[axis]!;
  }
  return table;
}

/** An array of shape `dims` whose element i is `source.data[table[i]]`. */
export function take(source: NDArray, dims: Shape, table: ArrayLike<number>): NDArray {
  const data = new Float64Array(table.length);
  for (let i = 0; i < data.length; i++) data[i] = source.data[table[i]!]!;
  return { dtype: source.dtype, dims, data };
}

/** The dims before `axis`, at it, and after it, as three sizes. */
export function around(dims: Shape, axis: number): { outer: number; size: number; inner: number } {
  return {
    outer: sizeOf(dims.slice(0, axis)),
    size: dims[axis] ?? 1,
    inner: sizeOf(dims.slice(axis + 1)),
  };
}

/** A tensor as float64. Always a copy: the caller may perturb its tensor and evaluate again. */
export function fromTensor(t: Tensor, what: string): NDArray {
  if (t.dtype === "string" || t.dtype === "float16" || t.dtype === "bfloat16")
    throw new DistillError(
      "E_OP",
      `reference: ${what} is of type ${t.dtype}, which the reference does not read`,
    );
  const source = t.data as ArrayLike<number | bigint>;
  const data = new Float64Array(source.length);
  for (let i = 0; i < data.length; i++) data[i] = Number(source[i]);
  return { ...array(t.dtype, t.dims, data), dtype: isFloat(t.dtype) ? "float64" : t.dtype };
}

/** The array as a tensor: floats as float64, integers and bools as their own type. */
export function toTensor(a: NDArray): Tensor {
  if (isFloat(a.dtype)) return { dtype: "float64", dims: a.dims, data: a.data };
  const data = newArray(a.dtype, a.data.length);
  if (data instanceof BigInt64Array) {
    for (let i = 0; i < data.length; i++) data[i] = toInt64(a.data[i]!);
  } else if (data instanceof BigUint64Array) {
    for (let i = 0; i < data.length; i++) data[i] = BigInt(a.data[i]!);
  } else (data as Float64Array).set(a.data);
  return { dtype: a.dtype, dims: a.dims, data };
}

/** "To the end" is spelt INT64_MAX, which as float64 is 2^63: one too many. */
function toInt64(x: number): bigint {
  if (x >= 2 ** 63) return 2n ** 63n - 1n;
  if (x <= -(2 ** 63)) return -(2n ** 63n);
  return BigInt(x);
}

/** Integers cut towards zero and wrapped to the width of their type, so that integer arithmetic is that of integers. */
export function settle(a: NDArray): NDArray {
  if (isFloat(a.dtype) || isFloat8(a.dtype)) return a;
  if (a.dtype === "int64" || a.dtype === "uint64") {
    const whole = a.data.every(Number.isInteger);
    return whole ? a : { ...a, data: a.data.map(Math.trunc) };
  }
  const narrow = newArray(a.dtype, a.data.length) as Int32Array;
  narrow.set(a.data);
  return { ...a, data: Float64Array.from(narrow) };
}

/** Attributes by name. Remembers what was asked for: one that the operator never reads is an error, not a shrug. */
export class AttributeReader {
  readonly #attributes: Attributes;
  readonly #read = new Set<string>();

  constructor(attributes: Attributes) {
    this.#attributes = attributes;
  }

  int(name: string): number | undefined;
  int(name: string, missing: number): number;
  int(name: string, missing?: number): number | undefined {
    return (this.#get(name, "int") as number | undefined) ?? missing;
  }

  float(name: string): number | undefined;
  float(name: string, missing: number): number;
  float(name: string, missing?: number): number | undefined {
    return (this.#get(name, "float") as number | undefined) ?? missing;
  }

  ints(name: string): readonly number[] | undefined;
  ints(name: string, missing: readonly number[]): readonly number[];
  ints(name: string, missing?: readonly number[]): readonly number[] | undefined {
    return (this.#get(name, "ints") as readonly number[] | undefined) ?? missing;
  }

  floats(name: string): readonly number[] | undefined {
    return this.#get(name, "floats") as readonly number[] | undefined;
  }

  /** A string; when `known` is given, one of it (the first is the default). */
  string<K extends string>(name: string, known: readonly [K, ...K[]]): K {
    const value = this.#get(name, "string") ?? known[0];
    if (!known.includes(value as K)) throw new Error(`attribute ${name} is ${JSON.stringify(value)}`);
    return value as K;
  }

  text(name: string): string | undefined {
    return this.#get(name, "string") as string | undefined;
  }

  tensor(name: string): Tensor | undefined {
    return this.#get(name, "tensor") as Tensor | undefined;
  }

  /** Attributes that do not bear on float64 values (such as the precision of a float32 intermediate). */
  ignore(...names: string[]): void {
    for (const name of names) this.#read.add(name);
  }

  unread(): string[] {
    return Object.keys(this.#attributes).filter((name) => !this.#read.has(name));
  }

  #get(name: string, kind: string): unknown {
    this.#read.add(name);
    const attribute = this.#attributes[name];
    if (!attribute) return undefined;
    if (attribute.kind !== kind)
      throw new Error(`attribute ${name} is of kind ${attribute.kind}, not ${kind}`);
    return attribute.value;
  }
}
