// QuantizeLinear and DequantizeLinear. Whole numbers are carried as floats, so that the pair can pass a gradient straight
// through (Bengio et al. 2013): dx = dy where the number fits the integer type, 0 where it is cut off, as PyTorch's
// fake_quantize has it. Scales and zero points get no gradient. Source: ONNX operator specification, QuantizeLinear-21.
import { DistillError } from "../base/errors.ts";
import { isFloat8, isPacked, rangeOfPacked } from "../base/low-bits.ts";
import { type DType, formatShape } from "../base/tensor.ts";
import { typeOf, type Value } from "../graph/graph.ts";
import { dtypeFromOnnx, dtypeNumbered } from "./builder.ts";
import { defineOp, type EmitContext } from "./define.ts";
import { axisOf } from "./infer.ts";
import { castToLowBits } from "./low-bit-cast.ts";
import { pickAlong } from "./slice.ts";

/** Smallest and largest number of each type that values are quantized to. */
const ranges: Readonly<Record<string, readonly [number, number]>> = {
  int8: [-128, 127],
  uint8: [0, 255],
  int16: [-32768, 32767],
  uint16: [0, 65535],
};

/** A scale or zero point in a shape that broadcasts to x: one number, one per index of `axis`, or one per block of it. */
function spread(c: EmitContext, parameter: Value): Value {
  const { b, x, attr, where } = c;
  const [dims, own] = [b.dims(x(0)), b.dims(parameter)];
  if (own.length === 0 || (own.length === 1 && own[0] === 1)) return b.reshape(parameter, []);
  const axis = axisOf(attr.int("axis", 1), dims.length, where);
  const block = attr.int("block_size", 0);
  const count = dims[axis] as number;
  if (block === 0 && own.length === 1 && own[0] === count)
    return b.reshape(
      parameter,
      dims.map((_, i) => (i === axis ? count : 1)),
    );
  if (block > 0 && own.length === dims.length && own[axis] === Math.ceil(count / block)) {
    const blocks = Array.from({ length: count }, (_, i) => Math.floor(i / block));
    return pickAlong(b, parameter, axis, blocks);
  }
  throw new DistillError(
    "E_SHAPE",
    `${where}: a scale or zero point ${formatShape(own)} does not fit ${formatShape(dims)} along axis ${axis}`,
  );
}

/** The type that a QuantizeLinear makes. */
function typeMadeBy(c: EmitContext): DType {
  const type = c.attr.int("output_dtype", 0);
  // As the model has it: in the step, numbers of few bits are floats.
  if (c.has(2)) return (c.node.inputs[2] ?? c.x(2)).type?.dtype ?? typeOf(c.x(2)).dtype;
  return type === 0 ? "uint8" : dtypeFromOnnx(type, c.where);
}

function rangeOf(dtype: DType, where: string): readonly [number, number] {
  const range = isPacked(dtype) ? rangeOfPacked(dtype) : ranges[dtype];
  if (range) return range;
  throw new DistillError(
    "E_OP",
    `${where}: quantizing to ${dtype} is not supported, only to ${Object.keys(ranges).join(", ")}, integers of 4 and 2 bits and floats of 8`,
  );
}

/**
 * q = clip(round(x/scale) + zero point) to the range, rounding halves to even;  dx = dq/scale where nothing was cut off. To a
 * float of 8 bits q = x/scale, cast; its zero point is 0.
 */
const quantizeLinear = <const Domain extends string>(domain: Domain, versions: readonly number[]) =>
  defineOp({
    op: "QuantizeLinear",
    domain,
    versions,
    fixed: [1, 2],
    composed: true,
    note: "to integers of 2 to 16 bits and floats of 8; straight through within the range of the type; scale and zero point get no gradient",
    makes: ({ inputs: [, , zero], attributes: { output_dtype: made } }, dtypeOf) =>
      zero ? dtypeOf(zero) : made?.kind === "int" ? dtypeNumbered(made.value) : undefined,
    emit: (c) => {
      const { b, x, has, attr, where } = c;
      const { dtype } = typeOf(x(0));
      const scale = b.cast(spread(c, x(1)), dtype);
      const to = typeMadeBy(c);
      if (isFloat8(to)) return [castToLowBits(b, b.div(x(0), scale), to, attr.int("saturate", 1) !== 0)];
      const [low, high] = rangeOf(to, where);
      const rounded = b.node("Round", [b.div(x(0), scale)]);
      const moved = has(2) ? b.add(rounded, b.cast(spread(c, x(2)), dtype)) : rounded;
      const q = b.node("Clip", [moved, b.like(moved, low), b.like(moved, high)]);
      b.region({
        inputs: [x(0)],
        outputs: [q],
        grad: (dq) => [() => b.where(b.equal(moved, q), b.div(dq(0), scale), b.like(q, 0))],
      });
      return [q];
    },
  });

/** y = (q − zero point)·scale. */
const dequantizeLinear = <const Domain extends string>(domain: Domain, versions: readonly number[]) =>
  defineOp({
    op: "DequantizeLinear",
    domain,
    versions,
    fixed: [1, 2],
    composed: true,
    note: "of a QuantizeLinear: straight through; of a constant (integers of 2 to 32 bits, floats of 8): not trained, nor are scale and zero point",
    makes: () => undefined,
    emit: (c) => {
      const { b, x, has, attr, where } = c;
      const scale = spread(c, x(1));
      const { dtype } = typeOf(scale);
      const q = b.cast(x(0), dtype);
      const centred = has(2) ? b.sub(q, b.cast(spread(c, x(2)), dtype)) : q;
      const y = b.mul(centred, scale);
      const type = attr.int("output_dtype", 0);
      return [type === 0 ? y : b.cast(y, dtypeFromOnnx(type, where))];
    },
  });

export const quantizationOps = [
  quantizeLinear("", [10, 13, 19, 21, 23, 24, 25]),
  dequantizeLinear("", [10, 13, 19, 21, 23, 24, 25]),
  quantizeLinear("com.microsoft", [1]),
  dequantizeLinear("com.microsoft", [1]),
] as const;
