// Element types, shapes and tensors as plain data. Shared by every room; knows no runtime and no file format.
import { DistillError } from "./errors.ts";
import { float8ToNumber, isFloat8, isLowBits, isPacked, pack, packedLength, unpack } from "./low-bits.ts";

/** ONNX element types under ONNX Runtime's names. Floats of 16 and 8 bits hold raw bits, integers of 4 and 2 bits one number an element. */
const arrays = {
  float32: Float32Array,
  float64: Float64Array,
  float16: Uint16Array,
  bfloat16: Uint16Array,
  int8: Int8Array,
  int16: Int16Array,
  int32: Int32Array,
  int64: BigInt64Array,
  uint8: Uint8Array,
  uint16: Uint16Array,
  uint32: Uint32Array,
  uint64: BigUint64Array,
  bool: Uint8Array,
  int4: Int8Array,
  uint4: Uint8Array,
  int2: Int8Array,
  uint2: Uint8Array,
  float8e4m3fn: Uint8Array,
  float8e4m3fnuz: Uint8Array,
  float8e5m2: Uint8Array,
  float8e5m2fnuz: Uint8Array,
} as const;

export type NumericDType = keyof typeof arrays;
export type DType = NumericDType | "string";
export type Shape = readonly number[];
export type TypedArray =
  | Float32Array
  | Float64Array
  | Int8Array
  | Int16Array
  | Int32Array
  | BigInt64Array
  | Uint8Array
  | Uint16Array
  | Uint32Array
  | BigUint64Array;
export type TensorData = TypedArray | readonly string[];

export interface Tensor {
  readonly dtype: DType;
  readonly dims: Shape;
  readonly data: TensorData;
}

export interface TensorType {
  readonly dtype: DType;
  readonly dims: Shape;
}

export function isDType(name: string): name is DType {
  return name === "string" || Object.hasOwn(arrays, name);
}

/** Number of elements of a shape; 1 for a scalar. */
export function sizeOf(dims: Shape): number {
  return dims.reduce((n, d) => n * d, 1);
}

export function bytesPerElement(dtype: NumericDType): number {
  return arrays[dtype].BYTES_PER_ELEMENT;
}

/** A zero-filled array of `length` elements of `dtype`. */
export function newArray(dtype: DType, length: number): TypedArray {
  if (dtype === "string") throw new DistillError("E_OP", "string tensors hold no numbers");
  return new arrays[dtype](length);
}

/** Bytes in which ONNX stores `count` elements: those of 4 and 2 bits share one. */
export function storedBytes(dtype: NumericDType, count: number): number {
  return isPacked(dtype) ? packedLength(dtype, count) : count * bytesPerElement(dtype);
}

/** Elements as ONNX stores them (a view, where they need not be packed). */
export function bytesFromArray(dtype: NumericDType, data: TypedArray): Uint8Array<ArrayBuffer> {
  if (isPacked(dtype)) return pack(dtype, data as Int8Array);
  return new Uint8Array(data.buffer as ArrayBuffer, data.byteOffset, data.byteLength);
}

/**
 * Views `bytes` (copied when not aligned) as `count` elements of `dtype`; little-endian, as ONNX stores them. Numbers that
 * share a byte are unpacked.
 */
export function arrayFromBytes(dtype: NumericDType, bytes: Uint8Array, count: number): TypedArray {
  if (isPacked(dtype)) return unpack(dtype, bytes, count);
  const width = bytesPerElement(dtype);
  // A copy by constructor: slice() of a Buffer is a view.
  const aligned = bytes.byteOffset % width === 0 ? bytes : new Uint8Array(bytes);
  return new arrays[dtype](aligned.buffer as ArrayBuffer, aligned.byteOffset, count);
}

/** A tensor from plain numbers. `dims` defaults to a vector. */
export function tensor(
  dtype: NumericDType,
  values: ArrayLike<number>,
  dims: Shape = [values.length],
): Tensor {
  if (values.length !== sizeOf(dims))
    throw new DistillError(
      "E_SHAPE",
      `a tensor of shape [${dims}] holds ${sizeOf(dims)} elements, got ${values.length}`,
    );
  if (dtype === "int64")
    return {
      dtype,
      dims,
      data: BigInt64Array.from(values as ArrayLike<number> & Iterable<number>, (v) => BigInt(v)),
    };
  if (dtype === "uint64")
    return {
      dtype,
      dims,
      data: BigUint64Array.from(values as ArrayLike<number> & Iterable<number>, (v) => BigInt(v)),
    };
  const data = newArray(dtype, values.length) as Float32Array;
  data.set(values);
  return { dtype, dims, data };
}

/** The elements as numbers (int64 beyond 2^53 loses its last digits; ONNX uses such values only as "to the end"). */
export function toNumbers(t: Tensor): number[] {
  const { dtype } = t;
  if (isFloat8(dtype)) return Array.from(t.data as Uint8Array, (bits) => float8ToNumber(dtype, bits));
  return Array.from(t.data as ArrayLike<number | bigint>, Number);
}

/** A tensor of a type that no session takes as float32, which holds all its numbers; any other as it is. */
export function withoutLowBits(t: Tensor): Tensor {
  return isLowBits(t.dtype) ? tensor("float32", toNumbers(t), t.dims) : t;
}

export function isFloat(dtype: DType): boolean {
  return dtype === "float32" || dtype === "float64" || dtype === "float16" || dtype === "bfloat16";
}

/** `[2,3,4]` for messages. */
export function formatShape(dims: readonly (number | string)[]): string {
  return `[${dims.join(",")}]`;
}

export function sameShape(a: Shape, b: Shape): boolean {
  return a.length === b.length && a.every((d, i) => d === b[i]);
}

/** NumPy-style broadcast of shapes; undefined where they do not fit. */
export function broadcastShapes(...shapes: Shape[]): Shape | undefined {
  const rank = Math.max(0, ...shapes.map((s) => s.length));
  const out: number[] = [];
  for (let i = 0; i < rank; i++) {
    let d = 1;
    for (const s of shapes) {
      const e = s[i - rank + s.length] ?? 1;
      if (e === d || e === 1) continue;
      if (d !== 1) return undefined;
      d = e;
    }
    out.push(d);
  }
  return out;
}

/** Axes counted from the front, sorted. */
export function normalizeAxes(axes: readonly number[], rank: number): number[] {
  return axes.map((a) => (a < 0 ? a + rank : a)).sort((a, b) => a - b);
}
