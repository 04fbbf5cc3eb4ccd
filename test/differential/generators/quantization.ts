// QuantizeLinear and DequantizeLinear: whole tensors, axes, blocks; halves, values beyond the range, infinities.
import { isFloat8, isLowBits, isPacked, rangeOfPacked } from "../../../src/base/low-bits.ts";
import { type NumericDType, type Tensor, tensor } from "../../../src/base/tensor.ts";
import { int } from "../../../src/graph/graph.ts";
import { fed, type Generator, known } from "../case.ts";
import type { Draw } from "../draw.ts";

interface Parameters {
  readonly dims: number[];
  readonly own: number[];
  readonly axis: number;
  readonly block: number;
}

function parameters(d: Draw, perAxis: boolean, blocks: boolean): Parameters {
  const dims = d.shape(d.int(2, 4));
  const axis = d.int(0, dims.length - 1);
  if (blocks && d.chance(0.3)) {
    const block = d.int(1, 3);
    const own = dims.with(axis, d.int(1, 3));
    return { dims: dims.with(axis, (own[axis] as number) * block), own, axis, block };
  }
  return { dims, own: perAxis && d.chance(0.5) ? [dims[axis] as number] : [], axis, block: 0 };
}

const where = ({ axis, own, block }: Parameters, d: Draw, opset: number) => ({
  ...((own.length > 0 || (opset >= 13 && d.chance(0.3))) && { axis: int(axis) }),
  ...(block > 0 && { block_size: int(block) }),
});

const float8 = ["float8e4m3fn", "float8e4m3fnuz", "float8e5m2", "float8e5m2fnuz"] as const;

const types = (opset: number): readonly NumericDType[] => [
  "int8",
  "uint8",
  ...(opset >= 19 ? float8 : []),
  ...(opset >= 21 ? (["int16", "uint16", "int4", "uint4"] as const) : []),
  ...(opset >= 25 ? (["int2", "uint2"] as const) : []),
];

/** Whole numbers of the type, as wide as it is up to ±20, or the bits of floats of eight. */
function numbers(d: Draw, dims: readonly number[], dtype: NumericDType, most = 20): Tensor {
  if (isFloat8(dtype)) return d.ints(dims, 0, 255, dtype);
  if (isPacked(dtype)) return d.ints(dims, ...rangeOfPacked(dtype), dtype);
  return d.ints(dims, dtype.startsWith("u") ? 0 : -most, most, dtype);
}

/** Of floats of eight bits it is 0. */
const zeroPoint = (d: Draw, dims: readonly number[], dtype: NumericDType): Tensor =>
  isFloat8(dtype) ? d.ints(dims, 0, 0, dtype) : numbers(d, dims, dtype);

const quantize =
  (microsoft: boolean): Generator =>
  ({ d, opset }) => {
    const p = parameters(d, opset >= 13 || microsoft, opset >= 21 && !microsoft);
    const dtype = d.pick(types(microsoft ? 1 : opset));
    const zero = known(zeroPoint(d, p.own, dtype));
    const scale = tensor(
      "float32",
      Array.from({ length: p.own.reduce((q, n) => q * n, 1) }, () => d.pick([0.5, 0.1, 0.25, 1, 0.03])),
      p.own,
    );
    // Far beyond the range. No NaN, of which the runtime makes the lowest number, and nothing beyond 2³¹ scales, of which some
    // of its kernels do: a run that diverges shall be seen to.
    const most = d.pick([2, 40, 1e4]);
    const x = fed(d.floats(p.dims, { low: -most, high: most, edges: "none" }));
    return {
      inputs: d.chance(0.8) || dtype !== "uint8" ? [x, known(scale), zero] : [x, known(scale)],
      attributes: where(p, d, microsoft ? 13 : opset),
      numbersAlone: true,
      ...(isLowBits(dtype) && { asFloats: true }),
    };
  };

const dequantize =
  (microsoft: boolean): Generator =>
  ({ d, opset }) => {
    const p = parameters(d, opset >= 13 || microsoft, opset >= 21 && !microsoft);
    const dtype = d.pick<NumericDType>([...types(microsoft ? 1 : opset), "int32"]);
    const whole = dtype === "int32";
    const zero = known(whole ? d.ints(p.own, 0, 0, dtype) : zeroPoint(d, p.own, dtype));
    const scale = known(d.floats(p.own, { edges: "none", low: 0.01, high: 1 }));
    const x = numbers(d, p.dims, dtype, 100);
    return {
      inputs: [isLowBits(dtype) ? known(x) : fed(x), scale, ...(d.chance(0.7) && !whole ? [zero] : [])],
      attributes: where(p, d, microsoft ? 13 : opset),
    };
  };

export const quantization = {
  QuantizeLinear: quantize(false),
  DequantizeLinear: dequantize(false),
  "com.microsoft::QuantizeLinear": quantize(true),
  "com.microsoft::DequantizeLinear": dequantize(true),
} satisfies Record<string, Generator>;
