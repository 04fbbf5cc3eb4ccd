// Ops that are written out as others, and older spellings, against ONNX Runtime's own kernels: what is emitted means the same.
// Their gradients are in the tests of their families; that no op is left out is the differential tester's to see.
import { tensor } from "../../src/base/tensor.ts";
import { type Attributes, float, floats, int, ints, string } from "../../src/graph/graph.ts";
import { microsoft, type NodeCase, node, testAgreement } from "./node-cases.ts";

const at = (opset: number) => ({ opset });
const p = (n: number, more: Attributes = {}) => ({ p: int(n), ...more });
const window = (k: number, s: number, pad = 0) => ({
  kernel_shape: ints([k, k]),
  strides: ints([s, s]),
  pads: ints([pad, pad, pad, pad]),
});

const symmetric = {
  coordinate_transformation_mode: string("half_pixel_symmetric"),
  nearest_mode: string("floor"),
};
const asymmetric = (nearest: string): Attributes => ({
  coordinate_transformation_mode: string("asymmetric"),
  nearest_mode: string(nearest),
});
const resize = (
  dims: readonly number[],
  to: { readonly scales?: readonly number[]; readonly sizes?: readonly number[] },
  attributes: Attributes,
): NodeCase => {
  const scales = to.scales && tensor("float32", to.scales, [to.scales.length]);
  const sizes = to.sizes && tensor("int64", to.sizes);
  return node("Resize", [dims, undefined, ...(sizes ? [undefined, sizes] : [scales])], attributes, at(19));
};

const cases: readonly NodeCase[] = [
  ...[6, 22].map((v) => node("Selu", [[3, 4]], {}, at(Math.max(v, 7)))),
  node("Selu", [[3, 4]], { alpha: float(1.2), gamma: float(0.8) }),
  node("Celu", [[3, 4]], { alpha: float(2) }, at(12)),
  node("Softsign", [[3, 4]]),
  node("Mish", [[3, 4]], {}, at(18)),
  node("Shrink", [[3, 4]]),
  node("Shrink", [[3, 4]], { lambd: float(1), bias: float(0.4) }, at(9)),
  node("Swish", [[3, 4]], {}, at(24)),
  node("Swish", [[3, 4]], { alpha: float(1.5) }, at(24)),
  node("Gelu", [[3, 4]], {}, at(20)),
  node("Gelu", [[3, 4]], { approximate: string("tanh") }, at(20)),
  microsoft("Gelu", [[3, 4]]),
  microsoft("BiasGelu", [[3, 4], [4]]),
  microsoft("FastGelu", [[3, 4], [4]]),
  microsoft("FastGelu", [[3, 4]]),
  microsoft("QuickGelu", [[3, 4]]),
  microsoft("QuickGelu", [[3, 4]], { alpha: float(1) }),
  ...[7, 12, 13].map((v) => node("Hardmax", [[2, 3, 4]], {}, at(v))),
  node("Hardmax", [[2, 3, 4]], { axis: int(1) }, at(13)),
  ...[7, 12, 13].map((v) => node("Softmax", [[2, 3, 4]], {}, at(v))),
  node("LogSoftmax", [[2, 3, 4]], { axis: int(0) }, at(11)),
  node("RMSNormalization", [[2, 3, 4], [4]], { epsilon: float(0.1) }, at(23)),
  node(
    "RMSNormalization",
    [
      [2, 3, 4],
      [3, 4],
    ],
    { axis: int(1) },
    at(23),
  ),
  node("LayerNormalization", [[2, 3, 4], [4], [4]], { epsilon: float(0.01) }, at(17)),
  node(
    "LayerNormalization",
    [
      [2, 3, 4],
      [3, 4],
    ],
    { axis: int(1) },
    { opset: 17, outputs: 3 },
  ),
  node("LayerNormalization", [[2, 3, 4], [4], [4]], {}, at(11)),
  node("InstanceNormalization", [[2, 3, 4], [3], [3]], { epsilon: float(0.1) }, at(7)),
  node("GroupNormalization", [[2, 4, 3], [2], [2]], { num_groups: int(2) }, at(18)),
  node("GroupNormalization", [[2, 4, 3], [4], [4]], { num_groups: int(2), epsilon: float(0.1) }, at(21)),
  node("MeanVarianceNormalization", [[2, 3, 2, 2]], {}, at(9)),
  node("LRN", [[2, 5, 2, 2]], { size: int(3), alpha: float(0.5), bias: float(2) }),
  ...[1, 2].map((n) => node("LpNormalization", [[2, 3, 4]], p(n, { axis: int(1) }), at(7))),
  node("LpNormalization", [[2, 3]], {}, at(22)),
  ...[1, 2, 3].map((n) => node("LpPool", [[1, 2, 5, 6]], p(n, window(2, 2)), at(11))),
  node("LpPool", [[1, 2, 5, 5]], p(2, window(3, 2, 1)), at(18)),
  node("LpPool", [[1, 2, 5, 6]], p(3, { ...window(2, 1), dilations: ints([2, 1]) }), at(22)),
  ...[1, 2, 3].map((n) => node("GlobalLpPool", [[2, 2, 3, 3]], p(n))),
  node("Sum", [[2, 3], [3], [2, 1]]),
  node("Mean", [[2, 3], [3], [2, 1]], {}, at(8)),
  node("CastLike", [[2, 3], tensor("int32", [1])], {}, at(15)),
  node("Clip", [[2, 3]], { min: float(-1), max: float(0.5) }, at(7)),
  ...["ReduceL1", "ReduceL2", "ReduceLogSumExp", "ReduceSumSquare", "ReduceProd"].flatMap((op) => [
    node(op, [[2, 3, 2]], { axes: ints([1]) }, at(13)),
    node(op, [[2, 3, 2], tensor("int64", [0, -1])], { keepdims: int(0) }, at(18)),
  ]),
  node("ReduceLogSum", [{ dims: [2, 3], low: 0.5 }], { axes: ints([1]) }, at(11)),
  node("Upsample", [[1, 1, 2, 3]], { mode: string("linear"), scales: floats([1, 1, 2, 2]) }, at(7)),
  // Sizes and places that hang on the last bit of a float32.
  resize([1, 1, 10], { scales: [1, 1, 0.7] }, { mode: string("linear") }),
  resize([1, 1, 9], { sizes: [1, 1, 5] }, symmetric),
  resize([1, 1, 8], { sizes: [1, 1, 12] }, symmetric),
  resize([1, 1, 3], { sizes: [1, 1, 1] }, symmetric),
  resize([1, 1, 7], { sizes: [1, 1, 2] }, asymmetric("round_prefer_ceil")),
  resize([1, 1, 7], { sizes: [1, 1, 4] }, asymmetric("round_prefer_ceil")),
  resize([1, 1, 14], { sizes: [1, 1, 19] }, {}),
  // An axis that keeps its size is copied, antialiased.
  resize([1, 1, 6, 3], { scales: [1, 1, 0.5, 1.1] }, { mode: string("linear"), antialias: int(1) }),
  node("Upsample", [[1, 1, 5], tensor("float32", [1, 1, 1.3])], {}, at(9)),
];

testAgreement(cases);
