// Activations, Gelu in its spellings, Softmax and LogSoftmax: values and gradients off the kinks, older spellings, and the
// masks that gradients are made with. Kinks are held to PyTorch in torch-normalization.test.ts.
import { describe, expect, it } from "vitest";
import { differentiate } from "../../src/autodiff/differentiate.ts";
import { tensor, toNumbers } from "../../src/base/tensor.ts";
import { type Attributes, float, int, string, type Value } from "../../src/graph/graph.ts";
import { writeGraph } from "../../src/onnx/write-graph.ts";
import { activationOps } from "../../src/ops/activation.ts";
import { newBuilder } from "../../src/ops/index.ts";
import { targets } from "../../src/ops/target.ts";
import { nodeRuntime } from "../../src/runtime/ort-node.ts";
import type { Sample } from "../gradient-checker.ts";
import { evaluate } from "../reference/index.ts";
import { checkFamily, type Samples } from "./check-family.ts";
import { emit } from "./emit.ts";

function sample(
  op: string,
  name: string,
  kinks: readonly number[],
  attributes: Attributes = {},
  shapes: readonly (readonly number[])[] = [[4, 6]],
  options: { opset?: number; domain?: string } = {},
): Sample {
  return {
    name: `${op}: ${name}`,
    inputs: shapes.map((dims) => ({ dims, low: -4, high: 4, kinks })),
    build: (b, ...xs) => emit(b, op, xs, attributes, options),
  };
}

const microsoft = { domain: "com.microsoft" };
const softmaxes = (op: string): Sample[] => [
  sample(op, "default axis, opset 13", [], {}, [[2, 3, 4]]),
  sample(op, "axis 0", [], { axis: int(0) }, [[3, 4]]),
  sample(op, "axis -2", [], { axis: int(-2) }, [[2, 3, 4]]),
  sample(op, "axis 2 of a vector's row", [], { axis: int(2) }, [[1, 1, 5]], { opset: 21 }),
  sample(op, "opset 11, a matrix by default", [], {}, [[2, 2, 3]], { opset: 11 }),
  sample(op, "opset 11, axis 0", [], { axis: int(0) }, [[2, 3]], { opset: 11 }),
  sample(op, "opset 9, axis -1", [], { axis: int(-1) }, [[2, 2, 3]], { opset: 9 }),
];

const samples: Samples = {
  Relu: [sample("Relu", "plain", [0]), sample("Relu", "opset 7", [0], {}, [[3]], { opset: 7 })],
  LeakyRelu: [
    sample("LeakyRelu", "default", [0]),
    sample("LeakyRelu", "alpha 0.3", [0], { alpha: float(0.3) }),
    sample("LeakyRelu", "alpha 0", [0], { alpha: float(0) }),
    sample("LeakyRelu", "alpha 1.5", [0], { alpha: float(1.5) }),
    sample("LeakyRelu", "alpha -0.5", [0], { alpha: float(-0.5) }),
  ],
  PRelu: [
    sample("PRelu", "a slope per channel", [0], {}, [
      [2, 3, 4],
      [3, 1],
    ]),
    sample("PRelu", "one slope", [0], {}, [[2, 3], [1]]),
    sample("PRelu", "a scalar slope", [0], {}, [[2, 3], []], { opset: 9 }),
    sample("PRelu", "same shape", [0], {}, [
      [2, 3],
      [2, 3],
    ]),
  ],
  Elu: [sample("Elu", "default", [0]), sample("Elu", "alpha 0.6", [0], { alpha: float(0.6) })],
  Selu: [
    sample("Selu", "default", [0]),
    sample("Selu", "alpha, gamma", [0], { alpha: float(1.2), gamma: float(0.8) }),
  ],
  Celu: [sample("Celu", "default", [0]), sample("Celu", "alpha 2", [0], { alpha: float(2) })],
  Sigmoid: [sample("Sigmoid", "plain", [])],
  Tanh: [sample("Tanh", "plain", [])],
  HardSigmoid: [
    sample("HardSigmoid", "default", [-2.5, 2.5]),
    sample("HardSigmoid", "alpha, beta", [-0.4, 1.6], { alpha: float(0.5), beta: float(0.2) }),
  ],
  HardSwish: [sample("HardSwish", "plain", [-3, 3])],
  Softplus: [sample("Softplus", "plain", [])],
  Softsign: [sample("Softsign", "plain", [0])],
  Mish: [sample("Mish", "plain", [])],
  ThresholdedRelu: [
    sample("ThresholdedRelu", "default", [1]),
    sample("ThresholdedRelu", "alpha 0.5", [0.5], { alpha: float(0.5) }),
  ],
  Shrink: [
    sample("Shrink", "default", [-0.5, 0.5]),
    sample("Shrink", "lambd, bias", [-1, 1], { lambd: float(1), bias: float(0.4) }),
  ],
  Swish: [
    sample("Swish", "default", [], {}, [[5]], { opset: 24 }),
    sample("Swish", "alpha", [], { alpha: float(1.5) }, [[5]], { opset: 24 }),
  ],
  Gelu: [sample("Gelu", "exact", []), sample("Gelu", "tanh", [], { approximate: string("tanh") })],
  "com.microsoft::Gelu": [sample("Gelu", "exact", [], {}, [[5]], microsoft)],
  "com.microsoft::BiasGelu": [sample("BiasGelu", "exact", [], {}, [[3, 4], [4]], microsoft)],
  "com.microsoft::FastGelu": [
    sample("FastGelu", "with a bias", [], {}, [[3, 4], [4]], microsoft),
    sample("FastGelu", "without", [], {}, [[3]], microsoft),
  ],
  "com.microsoft::QuickGelu": [
    sample("QuickGelu", "default", [], {}, [[5]], microsoft),
    sample("QuickGelu", "alpha 1", [], { alpha: float(1) }, [[5]], microsoft),
  ],
  Softmax: softmaxes("Softmax"),
  LogSoftmax: softmaxes("LogSoftmax"),
  Hardmax: softmaxes("Hardmax").map((s) => ({
    ...s,
    name: `${s.name}, passes no gradient`,
    inputs: s.inputs.map((i) => ({ ...i, distinct: true })),
    build: (b, x) => b.mul(s.build(b, x as Value) as Value, x as Value),
  })),
};

checkFamily(activationOps, samples, ["cpu", "webgpu"]);

describe("spellings", () => {
  const run = (op: string, opset: number, attributes: Attributes): number[] => {
    const b = newBuilder("spelling", targets.cpu);
    const x = b.graph.addInput("x", { dtype: "float64", dims: [2, 2, 2] });
    const y = emit(b, op, [x], attributes, { opset });
    const values = evaluate(b.graph, { x: tensor("float64", [1, -2, 0.5, 3, 0, 1, 2, -1], [2, 2, 2]) });
    return toNumbers(values.get(y)!);
  };
  it("Softmax before opset 13 sums over all axes from the first that is named", () => {
    const total = (v: number[]): number => v.reduce((p, q) => p + q, 0);
    const old = run("Softmax", 11, {});
    expect(total(old.slice(0, 4))).toBeCloseTo(1, 12);
    expect(total(old.slice(4))).toBeCloseTo(1, 12);
    const now = run("Softmax", 13, {});
    expect(total(now.slice(0, 2))).toBeCloseTo(1, 12);
    expect(run("Softmax", 11, { axis: int(2) })).toEqual(now);
    expect(run("LogSoftmax", 12, { axis: int(-1) })).toEqual(run("LogSoftmax", 13, {}));
  });
});

describe("masks", () => {
  const extremes = [0, -0, 1e-30, 1e-20, -1e-20, 1e8, -1e8, 3e38, -3e38, Number.POSITIVE_INFINITY, 1, -1];
  it("of Relu's gradient are exactly 0 or 1 in ONNX Runtime, from the smallest number to infinity", async () => {
    const b = newBuilder("mask", targets.cpu);
    const dims = [extremes.length];
    const x = b.graph.addInput("x", { dtype: "float32", dims });
    const dx = differentiate(b, b.reduceSum(emit(b, "Relu", [x])), [x]).get(x) as Value;
    b.graph.addOutput(dx);
    const session = await nodeRuntime.load(writeGraph(b.graph));
    try {
      const got = await session.run({ x: tensor("float32", extremes) });
      expect(Array.from(got[dx.name]?.data as Float32Array)).toEqual(
        extremes.map((v) => (v >= 1e-30 ? 1 : 0)),
      );
    } finally {
      await session.release();
    }
  });
});

describe("refusals", () => {
  it("says what it found", () => {
    const b = newBuilder("refusal", targets.cpu);
    const x = b.graph.addInput("x", { dtype: "float32", dims: [2, 3] });
    expect(() => emit(b, "Softmax", [x], { axis: int(2) })).toThrow(
      'Softmax at node "node": axis 2 is outside a tensor of rank 2; it must be in [-2, 1]',
    );
    expect(() => emit(b, "Gelu", [x], { approximate: string("fast") })).toThrow(
      'Gelu at node "node": approximate is "fast"; ONNX knows "none" and "tanh"',
    );
  });
});
