// Element types of less than eight bits, and floats of eight: how they are packed, and what their bits mean. No runtime for
// JavaScript hands such tensors out; a model may hold them as constants and between its nodes.
// Source: ONNX, TensorProto (numbers of 2 and 4 bits: the first in the lowest bits of a byte) and "Float stored in 8 bits".

/** Integers that share a byte. Held one to an element. */
const packed = {
  int4: { bits: 4, signed: true },
  uint4: { bits: 4, signed: false },
  int2: { bits: 2, signed: true },
  uint2: { bits: 2, signed: false },
} as const;

/** Floats of eight bits, held as bits: bits of the exponent, its bias, and which of the special values there are. */
const float8 = {
  float8e4m3fn: { exponent: 4, bias: 7, infinity: false, oneNaN: false, largest: 448 },
  float8e4m3fnuz: { exponent: 4, bias: 8, infinity: false, oneNaN: true, largest: 240 },
  float8e5m2: { exponent: 5, bias: 15, infinity: true, oneNaN: false, largest: 57344 },
  float8e5m2fnuz: { exponent: 5, bias: 16, infinity: false, oneNaN: true, largest: 57344 },
} as const;

export type Float8 = keyof typeof float8;
export type PackedInteger = keyof typeof packed;
export type LowBits = Float8 | PackedInteger;

export const isPacked = (dtype: string): dtype is PackedInteger => Object.hasOwn(packed, dtype);
export const isFloat8 = (dtype: string): dtype is Float8 => Object.hasOwn(float8, dtype);
/** Whether no session takes or gives tensors of the type. */
export const isLowBits = (dtype: string): dtype is LowBits => isPacked(dtype) || isFloat8(dtype);

/** Numbers below it round to a finite one: the largest and half the distance of the last two. */
export function roundedToLargest(dtype: Float8): number {
  const { exponent, largest } = float8[dtype];
  return largest + 2 ** (Math.floor(Math.log2(largest)) - (7 - exponent) - 1);
}

/** The smallest and the largest number of the type. */
export function rangeOfPacked(dtype: PackedInteger): readonly [number, number] {
  const { bits, signed } = packed[dtype];
  return signed ? [-(2 ** (bits - 1)), 2 ** (bits - 1) - 1] : [0, 2 ** bits - 1];
}

/** Bytes in which `count` elements are packed. */
export function packedLength(dtype: PackedInteger, count: number): number {
  return Math.ceil((count * packed[dtype].bits) / 8);
}

/** Bytes of packed numbers as one number each. */
export function unpack(dtype: PackedInteger, bytes: Uint8Array, count: number): Int8Array | Uint8Array {
  const { bits, signed } = packed[dtype];
  const data = signed ? new Int8Array(count) : new Uint8Array(count);
  const each = 8 / bits;
  for (let i = 0; i < count; i++) {
    const part = ((bytes[Math.floor(i / each)] as number) >> (bits * (i % each))) & (2 ** bits - 1);
    data[i] = signed && part >= 2 ** (bits - 1) ? part - 2 ** bits : part;
  }
  return data;
}

/** The numbers of a tensor in as few bytes as they fit. */
export function pack(dtype: PackedInteger, data: ArrayLike<number>): Uint8Array<ArrayBuffer> {
  const { bits } = packed[dtype];
  const each = 8 / bits;
  const bytes = new Uint8Array(packedLength(dtype, data.length));
  for (let i = 0; i < data.length; i++)
    bytes[Math.floor(i / each)]! |= ((data[i] as number) & (2 ** bits - 1)) << (bits * (i % each));
  return bytes;
}

/** The number that the bits of an 8-bit float mean. */
export function float8ToNumber(dtype: Float8, bits: number): number {
  const { exponent, bias, infinity, oneNaN } = float8[dtype];
  const mantissa = 7 - exponent;
  const sign = bits & 128 ? -1 : 1;
  const e = (bits & 127) >> mantissa;
  const m = bits & ((1 << mantissa) - 1);
  if (oneNaN && bits === 128) return Number.NaN;
  if (infinity && e === 31) return m === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN;
  if (!oneNaN && !infinity && (bits & 127) === 127) return Number.NaN;
  const fraction = m / (1 << mantissa);
  return e === 0 ? sign * fraction * 2 ** (1 - bias) : sign * (1 + fraction) * 2 ** (e - bias);
}
