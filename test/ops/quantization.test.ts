// QuantizeLinear and DequantizeLinear: pairs against ONNX Runtime, in every arrangement of scales, and the gradient that
// goes straight through against differences of the pair without its rounding.
import { describe, expect, it } from "vitest";
import { type NumericDType, type Tensor, tensor, toNumbers } from "../../src/base/tensor.ts";
import { type Attributes, Graph, int, type Value } from "../../src/graph/graph.ts";
import { writeGraph } from "../../src/onnx/write-graph.ts";
import type { Builder } from "../../src/ops/builder.ts";
import { newBuilder } from "../../src/ops/index.ts";
import { quantizationOps } from "../../src/ops/quantization.ts";
import { targets } from "../../src/ops/target.ts";
import { nodeRuntime } from "../../src/runtime/ort-node.ts";
import { checkSample, expectClose } from "../gradient-checker.ts";
import { emit } from "./emit.ts";

interface Pair {
  readonly name: string;
  readonly domain?: string;
  readonly dims: readonly number[];
  readonly scale: Tensor;
  readonly zero: Tensor;
  readonly attributes?: Attributes;
  readonly opset?: number;
}

const f32 = (values: number[], dims: number[] = [values.length]): Tensor => tensor("float32", values, dims);
const zeros = (dtype: NumericDType, values: number[], dims: number[] = [values.length]): Tensor =>
  tensor(dtype, values, dims);
const [one, three] = [f32([0.1], []), f32([0.1, 0.02, 0.3])];
const axis = (n: number) => ({ axis: int(n) });

const pairs: Pair[] = [
  { name: "one scale", dims: [2, 3], scale: one, zero: zeros("int8", [3], []), opset: 10 },
  { name: "uint8", dims: [2, 3], scale: f32([0.01], []), zero: zeros("uint8", [128], []), opset: 13 },
  {
    name: "one per column",
    dims: [2, 3],
    scale: three,
    zero: zeros("int8", [0, 5, -9]),
    attributes: axis(1),
  },
  { name: "one per row", dims: [3, 2], scale: three, zero: zeros("uint8", [7, 0, 9]), attributes: axis(0) },
  { name: "16 bits", dims: [4], scale: f32([0.001], []), zero: zeros("int16", [5], []) },
  {
    name: "one per block",
    dims: [2, 5],
    scale: f32([0.1, 0.2, 0.05, 0.3, 0.02, 0.1], [2, 3]),
    zero: zeros("int8", [0, 1, 2, 3, 4, 5], [2, 3]),
    attributes: { ...axis(1), block_size: int(2) },
  },
  { name: "4 bits", dims: [4], scale: f32([0.5], []), zero: zeros("int4", [-2], []) },
  {
    name: "4 bits, one per block",
    dims: [2, 5],
    scale: f32([0.1, 0.2, 0.5, 0.3, 0.2, 0.1], [2, 3]),
    zero: zeros("uint4", [0, 1, 2, 3, 4, 15], [2, 3]),
    attributes: { ...axis(1), block_size: int(2) },
  },
  { name: "2 bits", dims: [4], scale: f32([2], []), zero: zeros("int2", [-1], []), opset: 25 },
  ...(["float8e4m3fn", "float8e4m3fnuz", "float8e5m2", "float8e5m2fnuz"] as const).map((dtype) => ({
    name: dtype,
    dims: [2, 3],
    // Some numbers are cut off.
    scale: f32([dtype.startsWith("float8e4") ? 0.03 : 1e-4], []),
    zero: zeros(dtype, [0], []),
    opset: dtype === "float8e5m2" ? 19 : 21,
  })),
  {
    name: "floats of 8 bits, one per column",
    dims: [2, 3],
    scale: f32([0.1, 0.02, 0.3]),
    zero: zeros("float8e4m3fn", [0, 0, 0]),
    attributes: axis(1),
  },
  {
    name: "com.microsoft",
    domain: "com.microsoft",
    dims: [2, 3],
    scale: one,
    zero: zeros("int8", [1], []),
    opset: 1,
  },
];

const emitted = (b: Builder, p: Pair, x: Value): Value => {
  const options = { domain: p.domain ?? "", opset: p.opset ?? 21 };
  const scale = b.cast(b.constant(p.scale), x.type!.dtype);
  const q = emit(b, "QuantizeLinear", [x, scale, p.zero], p.attributes, options);
  return emit(b, "DequantizeLinear", [q, scale, p.zero], p.attributes, options);
};

describe("pairs are what ONNX Runtime makes of them", () => {
  it.each(pairs.map((p) => [p.name, p] as const))("%s", async (_, p) => {
    const size = p.dims.reduce((a, c) => a * c, 1);
    // From far below the range to far above, halves of steps included.
    const x = f32(
      Array.from({ length: size }, (_, i) => [-40, -0.25, 0.15, 0.031, 50, 0.05][i % 6] as number),
      [...p.dims],
    );
    const domain = p.domain ?? "";
    const graph = new Graph(
      "pair",
      domain === ""
        ? [["", p.opset ?? 21]]
        : [
            ["", 21],
            [domain, 1],
          ],
    );
    const input = graph.addInput("x", { dtype: "float32", dims: p.dims });
    const [scale, zero] = [graph.addConstant("scale", p.scale), graph.addConstant("zero", p.zero)];
    const node = (op: string, v: Value, out: string): Value =>
      graph.addNode({
        op,
        domain,
        name: op,
        inputs: [v, scale, zero],
        outputs: [out],
        attributes: p.attributes ?? {},
      }).outputs[0] as Value;
    graph.addOutput(node("DequantizeLinear", node("QuantizeLinear", input, "q"), "y"));
    const b = newBuilder("ours", targets.cpu);
    b.graph.addOutput(emitted(b, p, b.graph.addInput("x", { dtype: "float32", dims: p.dims })));
    const [theirs, ours] = [await run(graph, x), await run(b.graph, x)];
    expectClose(ours, theirs, 1e-6, p.name);
  });
});

/** In float32 on both sides, for what lies half between two steps in float32 does not in float64. */
async function run(graph: Graph, x: Tensor): Promise<number[]> {
  const session = await nodeRuntime.load(writeGraph(graph), { optimization: "none" });
  try {
    return toNumbers((await session.run({ x }))[graph.outputs[0]!.name]!);
  } finally {
    await session.release();
  }
}

describe("gradients", () => {
  it.each(pairs.map((p) => [p.name, p] as const))("%s", (_, p) =>
    checkSample(
      {
        name: p.name,
        // Away from the ends of the ranges, some beyond them.
        inputs: [{ dims: p.dims, low: -9, high: 9 }],
        build: (b, x) => emitted(b, p, x as Value),
        surrogate: (b, x) => unrounded(b, p, x as Value),
      },
      4,
    ),
  );
});

/** The pair without rounding, s·(clip(x/s + z, low − 1/2, high + 1/2) − z), so that slopes are 0 or 1. */
function unrounded(b: Builder, p: Pair, x: Value): Value {
  const largest = { float8e4m3fn: 464, float8e4m3fnuz: 248, float8e5m2: 61440, float8e5m2fnuz: 61440 };
  const ranges: Record<string, [number, number]> = {
    ...Object.fromEntries(Object.entries(largest).map(([dtype, l]) => [dtype, [0.5 - l, l - 0.5]])),
    int4: [-8, 7],
    uint4: [0, 15],
    int2: [-2, 1],
    int8: [-128, 127],
    uint8: [0, 255],
    int16: [-32768, 32767],
  };
  const [low, high] = ranges[p.zero.dtype] as [number, number];
  const numbers = (t: Tensor): number[] => {
    const all = toNumbers(t);
    const size = p.dims.reduce((a, c) => a * c, 1);
    const [, columns = 1] = p.dims as [number, number?];
    const along = p.attributes?.axis?.kind === "int" ? p.attributes.axis.value : 1;
    const block = p.attributes?.block_size?.kind === "int" ? p.attributes.block_size.value : 0;
    return Array.from({ length: size }, (_, i) => {
      const [row, column] = [Math.floor(i / columns), i % columns];
      if (all.length === 1) return all[0] as number;
      if (block > 0) return all[row * (t.dims[1] as number) + Math.floor(column / block)] as number;
      return all[along === 0 ? row : column] as number;
    });
  };
  const { dtype } = x.type!;
  const [s, z] = [p.scale, p.zero].map((t) => b.constant(tensor(dtype as "float64", numbers(t), p.dims))) as [
    Value,
    Value,
  ];
  const q = b.node("Clip", [b.add(b.div(x, s), z), b.like(x, low - 0.5), b.like(x, high + 0.5)]);
  return b.mul(b.sub(q, z), s);
}

describe("refusals", () => {
  const start = (): [Builder, Value] => {
    const b = newBuilder("refusal", targets.cpu);
    return [b, b.graph.addInput("x", { dtype: "float32", dims: [2, 3] })];
  };
  it("says what it found", () => {
    const [b, x] = start();
    expect(() => emit(b, "QuantizeLinear", [x, f32([1, 2])])).toThrow(
      'QuantizeLinear at node "node": a scale or zero point [2] does not fit [2,3] along axis 1',
    );
    expect(() => emit(b, "QuantizeLinear", [x, one, zeros("int32", [0], [])])).toThrow(
      'QuantizeLinear at node "node": quantizing to int32 is not supported, only to int8, uint8, int16, uint16, integers of 4 and 2 bits and floats of 8',
    );
  });
  it("knows both domains", () => {
    expect(quantizationOps.map((d) => d.domain)).toEqual(["", "", "com.microsoft", "com.microsoft"]);
  });
});
