// QuantizeLinear and DequantizeLinear: whole tensors, axes, blocks; halves, values beyond the range, infinities.
import { type NumericDType, tensor } from "../../../src/base/tensor.ts";
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

const types = (opset: number): readonly NumericDType[] =>
  opset >= 21 ? ["int8", "uint8", "int16", "uint16"] : ["int8", "uint8"];

const quantize =
  (microsoft: boolean): Generator =>
  ({ d, opset }) => {
    const p = parameters(d, opset >= 13 || microsoft, opset >= 21 && !microsoft);
    const dtype = d.pick(types(microsoft ? 1 : opset));
    const zero = known(d.ints(p.own, dtype.startsWith("u") ? 0 : -20, 20, dtype));
    const scale = tensor(
      "float32",
      Array.from({ length: p.own.reduce((q, n) => q * n, 1) }, () => d.pick([0.5, 0.1, 0.25, 1, 0.03])),
      p.own,
    );
    const x = fed(
      d.floats(p.dims, {
        low: d.pick([-2, -40]),
        high: d.pick([2, 40]),
        edges: d.pick(["none", "finite", "any"]),
      }),
    );
    return {
      inputs: d.chance(0.8) || dtype !== "uint8" ? [x, known(scale), zero] : [x, known(scale)],
      attributes: where(p, d, microsoft ? 13 : opset),
      numbersAlone: true,
    };
  };

const dequantize =
  (microsoft: boolean): Generator =>
  ({ d, opset }) => {
    const p = parameters(d, opset >= 13 || microsoft, opset >= 21 && !microsoft);
    const dtype = d.pick<NumericDType>([...types(microsoft ? 1 : opset), "int32"]);
    const whole = dtype === "int32";
    const zero = known(d.ints(p.own, dtype.startsWith("u") ? 0 : whole ? 0 : -20, whole ? 0 : 20, dtype));
    const scale = known(d.floats(p.own, { edges: "none", low: 0.01, high: 1 }));
    const x = fed(d.ints(p.dims, dtype.startsWith("u") ? 0 : -100, 100, dtype));
    return {
      inputs: d.chance(0.7) && !whole ? [x, scale, zero] : [x, scale],
      attributes: where(p, d, microsoft ? 13 : opset),
    };
  };

export const quantization = {
  QuantizeLinear: quantize(false),
  DequantizeLinear: dequantize(false),
  "com.microsoft::QuantizeLinear": quantize(true),
  "com.microsoft::DequantizeLinear": dequantize(true),
} satisfies Record<string, Generator>;
