// Pools: gradients with and without MaxPool's Indices, ceil_mode and padding, ties, refusals.
import { describe, expect, it } from "vitest";
import { differentiate } from "../../src/autodiff/differentiate.ts";
import { type Tensor, tensor } from "../../src/base/tensor.ts";
import { type Attributes, int, ints, string, type Value } from "../../src/graph/graph.ts";
import { newBuilder } from "../../src/ops/index.ts";
import { poolingOps } from "../../src/ops/pooling.ts";
import { type TargetName, targets } from "../../src/ops/target.ts";
import { checkSample, type InputSpec, type Sample } from "../gradient-checker.ts";
import { evaluate } from "../reference/index.ts";
import { emitOp } from "./emit-op.ts";

function sample(op: string, name: string, dims: number[], attributes: Attributes = {}, opset = 21): Sample {
  const input: InputSpec = { dims, distinct: op.includes("Max") };
  return {
    name: `${op}, ${name}`,
    inputs: [input],
    build: (b, ...xs) => emitOp(b, op, xs, attributes, { opset })[0] as Value,
  };
}

const max = (name: string, dims: number[], attributes: Attributes, opset?: number) =>
  sample("MaxPool", name, dims, attributes, opset);
const average = (name: string, dims: number[], attributes: Attributes, opset?: number) =>
  sample("AveragePool", name, dims, attributes, opset);
const window = (kernel: number[], stride?: number[], pads?: number[]): Attributes => ({
  kernel_shape: ints(kernel),
  ...(stride ? { strides: ints(stride) } : {}),
  ...(pads ? { pads: ints(pads) } : {}),
});
const ceil = { ceil_mode: int(1) };
const counted = { count_include_pad: int(1) };
const square = (k: number, s: number, p = 0) => window([k, k], [s, s], [p, p, p, p]);

type OpName =
  | "MaxPool"
  | "AveragePool"
  | "LpPool"
  | "GlobalLpPool"
  | "GlobalAveragePool"
  | "GlobalMaxPool"
  | "MaxUnpool";

const samples: Record<OpName, Sample[]> = {
  MaxPool: [
    max("2x2", [2, 2, 4, 6], square(2, 2)),
    max("2x2, remainder", [1, 2, 5, 5], square(2, 2)),
    max("3x3 stride 2, padded", [2, 2, 6, 7], square(3, 2, 1)),
    max("stride 1 by default", [1, 2, 4, 4], window([2, 3])),
    max("stride beyond the kernel", [1, 2, 7, 6], square(2, 3)),
    max("pads that differ", [1, 1, 5, 5], window([3, 3], [2, 2], [0, 1, 2, 0])),
    max("ceil mode", [1, 2, 6, 5], { ...square(3, 2), ...ceil }, 10),
    max("ceil mode that starts no window in the padding", [1, 1, 5, 5], { ...square(2, 2, 1), ...ceil }),
    max("dilated", [1, 2, 6, 7], { ...square(2, 1), dilations: ints([3, 2]) }),
    max("SAME_UPPER", [1, 1, 5, 6], { ...window([3, 3], [2, 2]), auto_pad: string("SAME_UPPER") }),
    max("SAME_LOWER", [1, 1, 5, 6], { ...window([2, 2], [2, 2]), auto_pad: string("SAME_LOWER") }, 7),
    max("VALID", [1, 1, 5, 6], { ...window([2, 2], [2, 2]), auto_pad: string("VALID") }, 8),
    max("1-D", [2, 2, 7], window([3], [2], [1, 1])),
    max("ceil mode, tiling beyond the end", [1, 2, 5, 4], { ...square(2, 2), ...ceil }),
    max("3-D", [1, 2, 4, 3, 4], window([2, 2, 2], [2, 1, 2])),
  ],
  LpPool: [
    sample("LpPool", "2x2", [2, 2, 4, 6], square(2, 2), 7),
    sample("LpPool", "p 3, padded, remainder", [1, 2, 5, 5], { ...square(3, 2, 1), p: int(3) }),
    sample(
      "LpPool",
      "p 1, ceil mode, dilated",
      [1, 1, 6, 5],
      {
        ...square(2, 2),
        p: int(1),
        ...ceil,
        dilations: ints([2, 1]),
      },
      18,
    ),
    sample(
      "LpPool",
      "1-D, SAME_UPPER",
      [1, 2, 5],
      { ...window([3], [2]), auto_pad: string("SAME_UPPER") },
      11,
    ),
  ],
  GlobalLpPool: [
    sample("GlobalLpPool", "default", [2, 3, 2, 2]),
    sample("GlobalLpPool", "p 3", [2, 2, 4], { p: int(3) }, 22),
  ],
  AveragePool: [
    average("2x2", [2, 2, 4, 6], square(2, 2)),
    average("2x2, remainder", [1, 2, 5, 5], square(2, 2)),
    average("stride 1, padded", [1, 2, 4, 5], square(3, 1, 1)),
    average("stride 1, padded, counted", [1, 2, 4, 5], { ...square(3, 1, 1), ...counted }, 7),
    average("3x3 stride 2, padded", [1, 2, 6, 5], square(3, 2, 1), 11),
    average("ceil mode", [1, 2, 6, 5], { ...square(3, 2), ...ceil }, 10),
    average("ceil mode, padded", [1, 2, 6, 6], { ...square(3, 2, 1), ...ceil }),
    average("ceil mode, padded, counted", [1, 2, 6, 6], { ...square(3, 2, 1), ...ceil, ...counted }),
    average("ceil mode without effect, counted", [1, 1, 5, 5], { ...square(3, 2, 1), ...ceil, ...counted }),
    average("dilated", [1, 1, 6, 6], { ...square(2, 1, 1), dilations: ints([2, 3]) }),
    average("SAME_UPPER", [1, 1, 5, 5], { ...window([2, 2], [2, 2]), auto_pad: string("SAME_UPPER") }),
    average("1-D", [2, 2, 7], window([3], [2], [1, 1])),
    average("3-D", [1, 2, 4, 3, 4], window([2, 2, 2], [2, 1, 2])),
  ],
  GlobalAveragePool: [
    sample("GlobalAveragePool", "2-D", [2, 3, 3, 4]),
    sample("GlobalAveragePool", "1-D", [2, 3, 5]),
  ],
  GlobalMaxPool: [
    sample("GlobalMaxPool", "2-D", [2, 3, 3, 4]),
    sample("GlobalMaxPool", "3-D", [1, 2, 2, 2, 3]),
  ],
  MaxUnpool: [
    {
      name: "MaxUnpool, of given shape",
      inputs: [{ dims: [1, 2, 2, 2] }],
      build: (b, x) => {
        const indices = b.constant(tensor("int64", [0, 2, 9, 11, 16, 19, 28, 30], [1, 2, 2, 2]));
        return emitOp(b, "MaxUnpool", [x, indices, b.ints([1, 2, 4, 4])], square(2, 2))[0] as Value;
      },
    },
    {
      name: "MaxUnpool, of the shape that the window gives",
      inputs: [{ dims: [1, 1, 2, 2] }],
      build: (b, x) => {
        const indices = b.constant(tensor("int64", [0, 3, 9, 15], [1, 1, 2, 2]));
        return emitOp(b, "MaxUnpool", [x, indices], square(2, 2), { opset: 9 })[0] as Value;
      },
    },
  ],
};

describe.each(["cpu", "standard", "webgpu"] as const)("gradients for the target %s", (target) => {
  it.each(Object.values(samples).flat())("$name", (s) => checkSample(s, 3, target));
});

it("has samples for every op of the family", () => {
  expect(Object.keys(samples).sort()).toEqual(poolingOps.map((d) => d.op).sort());
});

/** dx of sum(op(x)), and the ops of the whole graph. */
function gradient(op: string, x: Tensor, attributes: Attributes, target: TargetName) {
  const b = newBuilder("pool", targets[target]);
  const input = b.graph.addInput("x", { dtype: x.dtype, dims: x.dims });
  const y = emitOp(b, op, [input], attributes)[0] as Value;
  const dx = differentiate(b, b.reduceSum(y), [input]).get(input) as Value;
  const values = evaluate(b.graph, { x });
  return { dx: Array.from(values.get(dx)?.data as Float64Array), ops: b.graph.nodes.map((n) => n.op) };
}

describe("ties", () => {
  const flat = tensor("float64", new Array(16).fill(1), [1, 1, 4, 4]);

  it.each(["cpu", "webgpu"] as const)("the first maximum of a window gets the gradient (%s)", (target) => {
    const apart = gradient("MaxPool", flat, square(2, 2), target);
    expect(apart.dx).toEqual([1, 0, 1, 0, 0, 0, 0, 0, 1, 0, 1, 0, 0, 0, 0, 0]);
    const overlapping = gradient("MaxPool", flat, square(3, 1), target);
    expect(overlapping.dx).toEqual([1, 1, 0, 0, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    const global = gradient("GlobalMaxPool", flat, {}, target);
    expect(global.dx).toEqual([1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
  });

  it("padding never wins over very negative inputs", () => {
    const low = tensor("float64", new Array(9).fill(-1e30), [1, 1, 3, 3]);
    for (const target of ["cpu", "webgpu"] as const)
      expect(gradient("MaxPool", low, square(3, 2, 1), target).dx).toEqual([1, 1, 0, 1, 1, 0, 0, 0, 0]);
  });
});

describe("forms", () => {
  const x = tensor(
    "float64",
    Array.from({ length: 36 }, (_, i) => (i * 7) % 36),
    [1, 1, 6, 6],
  );

  it("one MaxPool serves forward and backward where there are Indices", () => {
    const { ops } = gradient("MaxPool", x, square(2, 2), "cpu");
    expect(ops.filter((op) => op === "MaxPool")).toHaveLength(1);
    expect(ops).toContain("MaxUnpool");
  });

  it("windows that overlap are added up, not overwritten", () => {
    const { ops } = gradient("MaxPool", x, square(3, 1), "cpu");
    expect(ops).toContain("ScatterElements");
    expect(ops).not.toContain("MaxUnpool");
  });

  it("the forward pass alone does not compute Indices", () => {
    const b = newBuilder("pool", targets.cpu);
    const y = emitOp(b, "MaxPool", [b.graph.addInput("x", x)], square(2, 2))[0] as Value;
    expect(y.producer?.outputs).toHaveLength(1);
  });

  it("a target without Indices does without MaxUnpool too", () => {
    const { ops } = gradient("MaxPool", x, square(2, 2), "webgpu");
    expect(ops).not.toContain("MaxUnpool");
  });

  it("a model that uses Indices itself gets them, and its gradient shares the node", () => {
    const b = newBuilder("pool", targets.cpu);
    const input = b.graph.addInput("x", x);
    const [y, indices] = emitOp(b, "MaxPool", [input], square(2, 2), { outputs: 2 });
    const dx = differentiate(b, b.reduceSum(y as Value), [input]).get(input) as Value;
    expect(dx.producer?.inputs).toContain(indices);
  });
});

describe("refusals", () => {
  const emit = (op: string, dims: number[], attributes: Attributes, outputs = 1) => {
    const b = newBuilder("refusal", targets.cpu);
    const x = b.graph.addInput("x", { dtype: "float32", dims });
    return () => emitOp(b, op, [x], attributes, { outputs });
  };

  it("says what does not fit", () => {
    expect(emit("MaxPool", [1, 1, 2, 2], square(3, 1))).toThrow(
      'MaxPool at node "node": a window of [3,3] does not fit on [2,2]; give it a larger input or more padding',
    );
    expect(emit("MaxPool", [1, 1, 4, 4], {})).toThrow('attribute "kernel_shape" is missing');
    expect(emit("MaxPool", [1, 1, 4, 4], { ...square(2, 2), storage_order: int(1) }, 2)).toThrow(
      'MaxPool at node "node": storage_order 1 (column-major Indices) is not supported; export the model with storage_order 0',
    );
    expect(emit("GlobalMaxPool", [4, 4], {})).toThrow("input [4,4] has no spatial axes; expected [N, C, …]");
    const b = newBuilder("refusal", targets.cpu);
    const x = b.graph.addInput("x", { dtype: "float32", dims: [1, 1, 2, 2] });
    const indices = b.constant(tensor("int64", [0, 3, 9, 15], [1, 1, 2, 2]));
    expect(() => emitOp(b, "MaxUnpool", [x, indices, b.ints([1, 1, 5, 5])], square(2, 2))).toThrow(
      'MaxUnpool at node "node": output_shape [1,1,5,5] is not the [1,1,4,4] that its windows cover; only that is supported',
    );
  });
});
