// Floats of eight bits for the reference: rounding to the nearest, halves to even. Written from the specification alone ("Float
// stored in 8 bits"); must not import src/base/low-bits.ts.
import type { DType } from "../../src/base/tensor.ts";

interface Format {
  readonly mantissa: number;
  readonly lowestExponent: number;
  readonly largest: number;
  readonly beyond: number;
}

const formats: Partial<Record<DType, Format>> = {
  float8e4m3fn: { mantissa: 3, lowestExponent: -6, largest: 448, beyond: Number.NaN },
  float8e4m3fnuz: { mantissa: 3, lowestExponent: -7, largest: 240, beyond: Number.NaN },
  float8e5m2: { mantissa: 2, lowestExponent: -14, largest: 57344, beyond: Number.POSITIVE_INFINITY },
  float8e5m2fnuz: { mantissa: 2, lowestExponent: -15, largest: 57344, beyond: Number.NaN },
};

export const isFloat8 = (dtype: DType): boolean => formats[dtype] !== undefined;

export function roundToFloat8(x: number, dtype: DType, saturate: boolean): number {
  const { mantissa, lowestExponent, largest, beyond } = formats[dtype] as Format;
  if (Number.isNaN(x) || x === 0) return x;
  const size = Math.abs(x);
  const exponent = Math.max(Math.floor(Math.log2(size)), lowestExponent);
  const step = 2 ** (exponent - mantissa);
  const [below, rest] = [Math.floor(size / step), (size / step) % 1];
  const up = rest > 0.5 || (rest === 0.5 && below % 2 === 1);
  const rounded = (below + (up ? 1 : 0)) * step;
  if (rounded <= largest) return Math.sign(x) * rounded;
  return Math.sign(x) * (saturate ? largest : beyond);
}
