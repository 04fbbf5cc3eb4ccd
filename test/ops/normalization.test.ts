// Normalisations: values, gradients, older spellings, and what BatchNormalization does in training. PyTorch's own figures
// are in torch-normalization.test.ts.
import { describe, expect, it } from "vitest";
import { differentiate } from "../../src/autodiff/differentiate.ts";
import { tensor } from "../../src/base/tensor.ts";
import { type Attributes, float, int, ints, typeOf, type Value } from "../../src/graph/graph.ts";
import type { Builder } from "../../src/ops/builder.ts";
import type { EmitHooks } from "../../src/ops/define.ts";
import { newBuilder } from "../../src/ops/index.ts";
import { normalizationOps } from "../../src/ops/normalization.ts";
import { targets } from "../../src/ops/target.ts";
import { checkSample, type InputSpec, type Sample } from "../gradient-checker.ts";
import { checkFamily, type Samples } from "./check-family.ts";
import { emit, emitAll } from "./emit.ts";

const spec = (input: InputSpec | readonly number[]): InputSpec => ("dims" in input ? input : { dims: input });

function sample(
  op: string,
  name: string,
  inputs: readonly (InputSpec | readonly number[])[],
  attributes: Attributes = {},
  opset = 21,
): Sample {
  return {
    name: `${op}: ${name}`,
    inputs: inputs.map(spec),
    build: (b, ...xs) => emit(b, op, xs, attributes, { opset }),
  };
}

const variance = (c: number): InputSpec => ({ dims: [c], low: 0.5, high: 2 });
const inference = (
  name: string,
  dims: readonly number[],
  attributes: Attributes = {},
  opset = 21,
): Sample => {
  const c = dims[1] as number;
  return sample("BatchNormalization", name, [dims, [c], [c], [c], variance(c)], attributes, opset);
};

/** Batch statistics, whatever they are used for. */
const training: EmitHooks = {
  dropoutMask: () => undefined,
  runningStatistics: () => ({ update: () => undefined }),
};

/** The training form; the next running statistics are results too, and carry gradients of their own. */
function trained(name: string, dims: readonly number[], frozen = false, attributes: Attributes = {}): Sample {
  const c = dims[1] as number;
  const vectors: InputSpec[] = [
    { dims: [c], constant: frozen },
    { dims: [c], constant: frozen },
  ];
  return {
    name: `BatchNormalization: training, ${name}`,
    inputs: [{ dims }, ...vectors, { dims: [c], constant: true }, { ...variance(c), constant: true }],
    build: (b, ...xs) => emit(b, "BatchNormalization", xs, attributes, { hooks: training }),
  };
}

const samples: Samples = {
  BatchNormalization: [
    inference("[N, C]", [4, 3]),
    inference("[N, C, L]", [2, 3, 4]),
    inference("[N, C, H, W], epsilon", [2, 3, 2, 2], { epsilon: float(0.01) }),
    inference("[N, C, D, H, W]", [2, 2, 2, 1, 3]),
    inference("opset 7", [2, 2, 3], { momentum: float(0.5) }, 7),
    inference("training_mode of a frozen node", [2, 2, 3], { training_mode: int(1) }, 15),
    trained("[N, C]", [5, 3]),
    trained("[N, C, L]", [3, 2, 4]),
    trained("[N, C, H, W]", [2, 3, 2, 3]),
    trained("[N, C, D, H, W]", [2, 2, 2, 1, 3]),
    trained("frozen scale and bias", [4, 2, 3], true),
    trained("epsilon", [4, 2], false, { epsilon: float(0.1) }),
  ],
  LayerNormalization: [
    sample("LayerNormalization", "last axis", [[2, 3, 5], [5], [5]]),
    sample("LayerNormalization", "no bias", [[3, 4], [4]]),
    sample(
      "LayerNormalization",
      "axis 1",
      [
        [2, 3, 4],
        [3, 4],
        [3, 4],
      ],
      { axis: int(1) },
    ),
    sample("LayerNormalization", "scale broadcasts", [[2, 3, 4], [4], [3, 1]], { axis: int(-2) }),
    sample("LayerNormalization", "epsilon", [[3, 4], [4], [4]], { epsilon: float(0.1) }),
    sample("LayerNormalization", "of an older opset", [[3, 4], [4], [4]], {}, 11),
    {
      name: "LayerNormalization: all three outputs in the loss",
      inputs: [[2, 3, 4], [3, 4], [4]].map((dims) => ({ dims })),
      build: (b, ...xs) => emitAll(b, "LayerNormalization", xs, { axis: int(1) }, { outputs: 3 }),
    },
  ],
  LpNormalization: [
    sample("LpNormalization", "p 2", [[2, 3, 4]]),
    sample(
      "LpNormalization",
      "p 1, axis 1",
      [{ dims: [2, 3, 4], kinks: [0] }],
      { axis: int(1), p: int(1) },
      22,
    ),
  ],
  RMSNormalization: [
    sample("RMSNormalization", "last axis", [[2, 3, 4], [4]], {}, 23),
    sample(
      "RMSNormalization",
      "axis 1, epsilon",
      [
        [2, 3, 2],
        [3, 2],
      ],
      { axis: int(1), epsilon: float(0.1) },
      23,
    ),
  ],
  InstanceNormalization: [
    sample("InstanceNormalization", "[N, C, H, W]", [[2, 3, 2, 2], [3], [3]]),
    sample("InstanceNormalization", "[N, C, L]", [[2, 2, 4], [2], [2]], { epsilon: float(0.1) }, 7),
  ],
  GroupNormalization: [
    sample("GroupNormalization", "a scale per channel", [[2, 4, 3], [4], [4]], { num_groups: int(2) }),
    sample(
      "GroupNormalization",
      "a scale per group, opset 18",
      [[2, 4, 2, 2], [2], [2]],
      { num_groups: int(2) },
      18,
    ),
    sample("GroupNormalization", "one group, epsilon", [[2, 3, 2], [3], [3]], {
      num_groups: int(1),
      epsilon: float(0.1),
    }),
  ],
  MeanVarianceNormalization: [
    sample("MeanVarianceNormalization", "default axes", [[2, 3, 2, 2]]),
    sample("MeanVarianceNormalization", "axes", [[3, 4]], { axes: ints([-1]) }, 9),
  ],
  LRN: [
    sample("LRN", "size 3", [[2, 5, 2]], { size: int(3), alpha: float(0.5), bias: float(2) }),
    sample("LRN", "size 4, beta", [[1, 6, 2, 1]], { size: int(4), alpha: float(0.9), beta: float(0.5) }),
    sample("LRN", "size 1", [[2, 3]], { size: int(1), alpha: float(0.9) }, 7),
  ],
};

checkFamily(normalizationOps, samples, ["cpu", "webgpu"]);

describe("BatchNormalization in training", () => {
  const build = (dims: readonly number[], attributes: Attributes = {}, hooks = training, opset = 21) => {
    const b = newBuilder("training", targets.cpu);
    const c = dims[1] ?? 1;
    const x = b.graph.addInput("x", { dtype: "float32", dims });
    const [scale, bias, mean, variance] = ["scale", "bias", "mean", "variance"].map((name) =>
      b.graph.addInput(name, { dtype: "float32", dims: [c] }),
    ) as [Value, Value, Value, Value];
    const y = emit(b, "BatchNormalization", [x, scale, bias, mean, variance], attributes, { hooks, opset });
    return { b, x, scale, bias, mean, variance, y };
  };
  const passes = (b: Builder, size: number): number =>
    b.graph.nodes.filter((n) => n.inputs.some((v) => v && typeOf(v).dims.reduce((p, q) => p * q, 1) === size))
      .length;

  it("is asked about with the running statistics, and answers in their shape", () => {
    const seen: Value[][] = [];
    const hooks: EmitHooks = {
      dropoutMask: () => undefined,
      runningStatistics: (...now) => {
        seen.push(now);
        return { update: (...next) => seen.push(next) };
      },
    };
    const { mean, variance } = build([4, 3, 2, 2], {}, hooks);
    expect(seen[0]).toEqual([mean, variance]);
    expect(seen[1]?.map((v) => typeOf(v))).toEqual([
      { dtype: "float32", dims: [3] },
      { dtype: "float32", dims: [3] },
    ]);
  });

  it("takes few passes over the map: five forward, six backward", () => {
    const { b, x, scale, bias, y } = build([4, 3, 8, 8]);
    const size = 4 * 3 * 8 * 8;
    expect(passes(b, size)).toBe(5);
    const seed = b.graph.addInput("dy", typeOf(y));
    const before = passes(b, size);
    const loss = b.reduceSum(b.mul(y, seed));
    differentiate(b, loss, [x, scale, bias]);
    // Beside the region: the loss's Mul and ReduceSum, and the Mul of its gradient.
    expect(passes(b, size) - before - 3).toBe(6);
  });

  it("makes nothing for inputs that are frozen", () => {
    const { b, bias, y } = build([4, 3, 8, 8]);
    const nodes = b.graph.nodes.length;
    differentiate(b, b.reduceSum(y), [bias]);
    const made = b.graph.nodes.slice(nodes).map((n) => n.op);
    expect(made).not.toContain("BatchNormalization");
    expect(made).not.toContain("Sqrt");
  });

  it("refuses one value per channel", () => {
    expect(() => build([1, 3])).toThrow(
      'BatchNormalization at node "node": one value per channel in [1,3] has no variance; train with a batch of two or more, or freeze the node',
    );
  });

  it("refuses what it cannot mean", () => {
    expect(() => build([4])).toThrow(
      'BatchNormalization at node "node": its input is [4]; it must be [N, C] or [N, C, …]',
    );
    expect(() => build([2, 3], { spatial: int(0) }, training, 7)).toThrow(
      "spatial=0 of opset 7 is not supported",
    );
    const b = newBuilder("channels", targets.cpu);
    const x = b.graph.addInput("x", { dtype: "float32", dims: [2, 3] });
    const v = b.constant(tensor("float32", [1, 2]));
    expect(() => emit(b, "BatchNormalization", [x, v, v, v, v])).toThrow(
      'BatchNormalization "node/BatchNormalization": input 1 is [2]; it must be [3], one number per channel of [2,3]',
    );
  });

  it("stays exact where the mean is large beside the spread", () =>
    checkSample(
      {
        ...trained("a large mean", [6, 2, 3]),
        inputs: [
          { dims: [6, 2, 3], low: 50, high: 52 },
          { dims: [2] },
          { dims: [2] },
          { dims: [2], constant: true },
          { ...variance(2), constant: true },
        ],
        tolerance: 1e-5, // differences of values near 50
      },
      3,
    ));
});

describe("LayerNormalization", () => {
  it("gives its further outputs", () => {
    const b = newBuilder("outputs", targets.cpu);
    const x = b.graph.addInput("x", { dtype: "float32", dims: [2, 3, 4] });
    const scale = b.constant(tensor("float32", [1, 1, 1, 1]));
    const outputs = emitAll(b, "LayerNormalization", [x, scale], {}, { outputs: 3 });
    expect(outputs.map((v) => typeOf(v).dims)).toEqual([
      [2, 3, 4],
      [2, 3, 1],
      [2, 3, 1],
    ]);
  });
});

describe("GroupNormalization", () => {
  it("refuses groups that do not divide the channels", () => {
    const b = newBuilder("groups", targets.cpu);
    const x = b.graph.addInput("x", { dtype: "float32", dims: [2, 3, 4] });
    const v = b.constant(tensor("float32", [1, 1, 1]));
    expect(() => emit(b, "GroupNormalization", [x, v, v], { num_groups: int(2) })).toThrow(
      'GroupNormalization at node "node": 3 channels of [2,3,4] do not divide into num_groups=2',
    );
  });
});
