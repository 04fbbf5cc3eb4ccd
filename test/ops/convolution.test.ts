// Conv and ConvTranspose: gradients in every form they are emitted in, attributes of every spelling, refusals.
import { describe, expect, it } from "vitest";
import { differentiate } from "../../src/autodiff/differentiate.ts";
import { DistillError } from "../../src/base/errors.ts";
import { type Attributes, int, ints, string, type Value } from "../../src/graph/graph.ts";
import { convolutionOps } from "../../src/ops/convolution.ts";
import { newBuilder } from "../../src/ops/index.ts";
import { type TargetName, targets } from "../../src/ops/target.ts";
import { checkSample, type Sample } from "../gradient-checker.ts";
import { emitOp } from "./emit-op.ts";

const dims = (...shapes: number[][]) => shapes.map((d) => ({ dims: d }));

function sample(op: string, name: string, shapes: number[][], attributes: Attributes = {}): Sample {
  return {
    name: `${op}, ${name}`,
    inputs: dims(...shapes),
    build: (b, ...xs) => emitOp(b, op, xs, attributes)[0] as Value,
  };
}

const conv = (name: string, shapes: number[][], attributes?: Attributes) =>
  sample("Conv", name, shapes, attributes);
const transposed = (name: string, shapes: number[][], attributes?: Attributes) =>
  sample("ConvTranspose", name, shapes, attributes);
const pads = (...p: number[]) => ({ pads: ints(p) });
const strides = (...s: number[]) => ({ strides: ints(s) });
const dilations = (...d: number[]) => ({ dilations: ints(d) });
const group = (g: number) => ({ group: int(g) });

const samples: Record<"Conv" | "ConvTranspose", Sample[]> = {
  Conv: [
    conv("valid", [[2, 2, 4, 5], [3, 2, 3, 2], [3]]),
    conv("same size", [[2, 2, 4, 4], [3, 2, 3, 3], [3]], pads(1, 1, 1, 1)),
    conv(
      "pads that differ",
      [
        [1, 2, 4, 4],
        [2, 2, 3, 3],
      ],
      pads(0, 2, 1, 0),
    ),
    conv(
      "more padding than the kernel reaches",
      [
        [1, 2, 3, 3],
        [2, 2, 2, 2],
      ],
      pads(2, 2, 2, 2),
    ),
    conv("1x1", [[2, 3, 2, 3], [2, 3, 1, 1], [2]]),
    conv("1x1 on a single position", [[3, 4, 1, 1], [2, 4, 1, 1], [2]]),
    conv(
      "1x1, padded",
      [
        [1, 2, 2, 3],
        [2, 2, 1, 1],
      ],
      pads(1, 0, 0, 1),
    ),
    conv(
      "1x1, stride 2",
      [
        [2, 2, 4, 5],
        [3, 2, 1, 1],
      ],
      strides(2, 2),
    ),
    conv("stride 2, remainder", [[1, 2, 6, 5], [2, 2, 3, 3], [2]], { ...pads(1, 1, 1, 1), ...strides(2, 2) }),
    conv(
      "stride beyond the kernel",
      [
        [1, 2, 7, 8],
        [2, 2, 2, 2],
      ],
      strides(3, 3),
    ),
    conv(
      "strides that differ",
      [
        [1, 2, 5, 5],
        [2, 2, 3, 3],
      ],
      strides(1, 2),
    ),
    conv(
      "dilated",
      [
        [1, 2, 6, 6],
        [2, 2, 2, 3],
      ],
      { ...pads(1, 2, 1, 2), ...dilations(2, 2) },
    ),
    conv(
      "dilated, stride 2",
      [
        [1, 1, 7, 7],
        [2, 1, 3, 3],
      ],
      {
        ...pads(2, 2, 2, 2),
        ...dilations(2, 2),
        ...strides(2, 2),
      },
    ),
    conv("two groups", [[2, 4, 4, 4], [6, 2, 3, 3], [6]], { ...pads(1, 1, 1, 1), ...group(2) }),
    conv(
      "two groups, stride 2",
      [
        [2, 4, 5, 4],
        [2, 2, 3, 3],
      ],
      { ...strides(2, 2), ...group(2) },
    ),
    conv("depthwise", [[2, 3, 4, 4], [3, 1, 3, 3], [3]], { ...pads(1, 1, 1, 1), ...group(3) }),
    conv(
      "depthwise with two maps each",
      [
        [1, 2, 4, 4],
        [4, 1, 2, 2],
      ],
      group(2),
    ),
    conv(
      "depthwise on a single position",
      [
        [2, 3, 2, 2],
        [3, 1, 2, 2],
      ],
      group(3),
    ),
    conv("whole image", [[3, 2, 2, 3], [4, 2, 2, 3], [4]]),
    conv(
      "SAME_UPPER",
      [
        [1, 1, 5, 4],
        [2, 1, 2, 3],
      ],
      { auto_pad: string("SAME_UPPER"), ...strides(2, 2) },
    ),
    conv(
      "SAME_LOWER",
      [
        [1, 1, 4, 4],
        [2, 1, 2, 3],
      ],
      { auto_pad: string("SAME_LOWER") },
    ),
    conv(
      "VALID",
      [
        [1, 1, 4, 4],
        [2, 1, 3, 3],
      ],
      { auto_pad: string("VALID") },
    ),
    conv("1-D", [[2, 2, 7], [3, 2, 3], [3]], { ...pads(1, 1), ...strides(2) }),
    conv("3-D", [[1, 2, 3, 3, 3], [2, 2, 2, 2, 2], [2]], pads(1, 0, 0, 0, 1, 1)),
    conv(
      "3-D, stride 2",
      [
        [1, 1, 4, 3, 4],
        [2, 1, 2, 2, 2],
      ],
      strides(2, 1, 2),
    ),
  ],
  ConvTranspose: [
    transposed("plain", [[2, 2, 3, 3], [2, 3, 2, 2], [3]]),
    transposed("stride 2, padded", [[1, 2, 3, 2], [2, 2, 3, 3], [2]], {
      ...pads(1, 1, 1, 1),
      ...strides(2, 2),
    }),
    transposed(
      "output padding",
      [
        [1, 2, 2, 3],
        [2, 2, 3, 3],
      ],
      {
        ...strides(2, 2),
        ...pads(1, 1, 1, 1),
        output_padding: ints([1, 0]),
      },
    ),
    transposed(
      "output_shape",
      [
        [1, 1, 3, 3],
        [1, 2, 3, 3],
      ],
      { ...strides(2, 2), output_shape: ints([5, 6]) },
    ),
    transposed(
      "output_shape beyond reach",
      [
        [1, 1, 3, 3],
        [1, 2, 2, 2],
      ],
      {
        ...strides(3, 3),
        output_shape: ints([9, 8]),
      },
    ),
    transposed(
      "SAME_UPPER",
      [
        [1, 1, 3, 3],
        [1, 2, 3, 3],
      ],
      { ...strides(2, 2), auto_pad: string("SAME_UPPER") },
    ),
    transposed(
      "SAME_LOWER",
      [
        [1, 1, 3, 3],
        [1, 2, 3, 3],
      ],
      { ...strides(2, 2), auto_pad: string("SAME_LOWER") },
    ),
    transposed(
      "VALID",
      [
        [1, 1, 3, 3],
        [1, 2, 3, 3],
      ],
      { auto_pad: string("VALID") },
    ),
    transposed("two groups, dilated", [[2, 4, 3, 3], [4, 1, 2, 2], [2]], { ...group(2), ...dilations(2, 1) }),
    transposed("1x1", [[2, 3, 2, 2], [3, 2, 1, 1], [2]]),
    transposed("from a single position", [
      [2, 3, 1, 1],
      [3, 2, 2, 2],
    ]),
    transposed("1-D", [[2, 2, 4], [2, 2, 3], [2]], strides(2)),
    transposed("3-D", [[1, 2, 2, 2, 2], [2, 1, 2, 2, 2], [1]], strides(1, 2, 1)),
  ],
};

describe.each(["cpu", "standard", "webgpu"] as const)("gradients for the target %s", (target) => {
  it.each(Object.values(samples).flat())("$name", (s) => checkSample(s, 11, target));
});

it("has samples for every op of the family", () => {
  expect(Object.keys(samples).sort()).toEqual(convolutionOps.map((d) => d.op).sort());
});

/** Ops of the step that differentiates y = op(x, w) by `by`. */
function emittedOps(
  shapes: number[][],
  attributes: Attributes,
  by: 0 | 1,
  target: TargetName = "cpu",
): string[] {
  const b = newBuilder("forms", targets[target]);
  const xs = shapes.map((d, i) => b.graph.addInput(`x${i}`, { dtype: "float32", dims: d }));
  const y = emitOp(b, "Conv", xs, attributes)[0] as Value;
  const forward = b.graph.nodes.length;
  const dy = b.graph.addInput("dy", { dtype: "float32", dims: b.dims(y) });
  differentiate(b, b.reduceSum(b.mul(y, dy)), [xs[by] as Value]);
  return b.graph.nodes.slice(forward).map((n) => n.op);
}

describe("forms", () => {
  const x = [2, 4, 8, 8];
  const w = [6, 4, 3, 3];

  it("the input gradient is a Conv at stride 1, and a ConvTranspose beyond", () => {
    expect(emittedOps([x, w], pads(1, 1, 1, 1), 0)).toContain("Conv");
    expect(emittedOps([x, w], pads(1, 1, 1, 1), 0)).not.toContain("ConvTranspose");
    expect(emittedOps([x, w], strides(2, 2), 0)).toContain("ConvTranspose");
  });

  it("the weight gradient needs no im2col for 1x1, and no batched product for single positions", () => {
    expect(emittedOps([x, w], {}, 1)).toContain("Conv");
    expect(emittedOps([x, [6, 4, 1, 1]], {}, 1)).not.toContain("Conv");
    expect(emittedOps([x, [6, 4, 8, 8]], {}, 1)).not.toContain("Conv");
    expect(emittedOps([x, w], {}, 1)).toContain("FusedMatMul");
    expect(emittedOps([x, w], {}, 1, "standard")).not.toContain("FusedMatMul");
  });

  it("one-hot kernels are shared by the layers of one kernel size", () => {
    const b = newBuilder("shared", targets.cpu);
    const [input, first, second] = [[2, 4, 8, 8], w, [5, 6, 3, 3]].map((d, i) =>
      b.graph.addInput(`x${i}`, { dtype: "float32", dims: d }),
    ) as [Value, Value, Value];
    const y = emitOp(b, "Conv", [emitOp(b, "Conv", [input, first])[0], second])[0] as Value;
    differentiate(b, b.reduceSum(y), [first, second]);
    expect([...b.graph.constants.keys()].filter((v) => v.name.startsWith("one_hot"))).toHaveLength(1);
  });
});

describe("refusals", () => {
  const error = (op: string, shapes: number[][], attributes: Attributes = {}): string => {
    try {
      const b = newBuilder("refusal", targets.cpu);
      const xs = shapes.map((d, i) => b.graph.addInput(`x${i}`, { dtype: "float32", dims: d }));
      emitOp(b, op, xs, attributes);
    } catch (e) {
      if (e instanceof DistillError) return `${e.code}: ${e.message}`;
      throw e;
    }
    return "none";
  };

  it("says what does not fit", () => {
    expect(
      error("Conv", [
        [1, 3, 4, 4],
        [2, 2, 3, 3],
      ]),
    ).toBe(
      'E_SHAPE: Conv "node/Conv": input [1,3,4,4] and weights [2,2,3,3] do not fit with 1 groups; weights are [maps, channels / groups, …]',
    );
    expect(
      error("Conv", [
        [1, 2, 4, 4],
        [2, 2, 5, 3],
      ]),
    ).toBe(
      'E_SHAPE: Conv "node/Conv": a window of [5,3] does not fit on [4,4]; give it a larger input or more padding',
    );
    expect(
      error("Conv", [
        [1, 2, 4, 4],
        [2, 2, 3],
      ]),
    ).toBe(
      'E_SHAPE: Conv at node "node": input [1,2,4,4] and weights [2,2,3]; both need the same rank, 3 or more',
    );
    expect(
      error(
        "Conv",
        [
          [1, 2, 4, 4],
          [2, 2, 3, 3],
        ],
        strides(1),
      ),
    ).toBe(
      'E_SHAPE: Conv at node "node": strides [1] does not fit an input of 2 spatial axes; one number is needed for each',
    );
    expect(
      error(
        "Conv",
        [
          [1, 2, 4, 4],
          [2, 2, 3, 3],
        ],
        { auto_pad: string("SAME") },
      ),
    ).toBe(
      'E_MODEL: Conv at node "node": auto_pad is "SAME", expected NOTSET, VALID, SAME_UPPER or SAME_LOWER',
    );
    expect(
      error("ConvTranspose", [
        [1, 3, 4, 4],
        [2, 2, 3, 3],
      ]),
    ).toBe(
      'E_SHAPE: ConvTranspose "node/ConvTranspose": input [1,3,4,4] and weights [2,2,3,3] do not fit with 1 groups; weights are [channels, maps / groups, …]',
    );
    expect(
      error(
        "ConvTranspose",
        [
          [1, 1, 4, 4],
          [1, 2, 3, 3],
        ],
        { ...strides(2, 1), output_padding: ints([1, 1]) },
      ),
    ).toBe(
      'E_OP: ConvTranspose at node "node": output_padding [1,1] is not below the strides [2,1]; ONNX Runtime refuses that, use less and a Pad after it',
    );
  });
});
