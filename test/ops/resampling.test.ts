// Resize, Upsample, DepthToSpace and SpaceToDepth against ONNX Runtime, and their gradients.
import { describe, expect, it } from "vitest";
import { type Tensor, tensor } from "../../src/base/tensor.ts";
import { type Attribute, float, int, ints, string } from "../../src/graph/graph.ts";
import { newBuilder } from "../../src/ops/index.ts";
import { resamplingOps } from "../../src/ops/resampling.ts";
import { targets } from "../../src/ops/target.ts";
import { emit, i64 } from "./emit.ts";
import { node, testNodes } from "./node-cases.ts";

const scales = (...values: number[]): Tensor => tensor("float32", values);
const how = (mode: string, coordinates?: string, nearest?: string) => ({
  mode: string(mode),
  ...(coordinates ? { coordinate_transformation_mode: string(coordinates) } : {}),
  ...(nearest ? { nearest_mode: string(nearest) } : {}),
});
const blocks = (n: number, mode?: string) => ({ blocksize: int(n), ...(mode ? { mode: string(mode) } : {}) });
const floats = (value: readonly number[]): Attribute => ({ kind: "floats", value });
const none = undefined;

testNodes(resamplingOps, [
  node("Resize", [[1, 2, 3, 4], none, scales(1, 1, 2, 2)]),
  node("Resize", [[1, 2, 3, 4], none, scales(1, 1, 2, 3)], how("nearest", "asymmetric", "floor")),
  node("Resize", [[1, 1, 4, 6], none, scales(1, 1, 0.5, 0.5)], how("nearest", "asymmetric", "floor")),
  node("Resize", [[1, 1, 3, 5], none, none, i64(1, 1, 7, 4)]),
  node(
    "Resize",
    [[1, 1, 3, 5], none, none, i64(1, 1, 5, 3)],
    how("nearest", "align_corners", "round_prefer_ceil"),
  ),
  node("Resize", [[1, 1, 3, 5], none, none, i64(1, 1, 4, 8)], how("nearest", "pytorch_half_pixel", "ceil")),
  node("Resize", [[1, 2, 3, 4], scales(), scales(1, 1, 2, 2)], how("linear"), { opset: 11 }),
  node("Resize", [[1, 2, 3, 4], scales(), scales(), i64(1, 2, 5, 7)], how("linear", "align_corners"), {
    opset: 13,
  }),
  node("Resize", [[1, 2, 4, 5], none, none, i64(1, 2, 2, 3)], how("linear", "pytorch_half_pixel"), {
    opset: 13,
  }),
  node(
    "Resize",
    [[2, 3, 4], none, scales(2)],
    { ...how("linear", "asymmetric"), axes: ints([1]) },
    { opset: 18 },
  ),
  node("Resize", [[1, 1, 3, 3], none, scales(1, 1, 2, 2)], how("linear", "half_pixel_symmetric"), {
    opset: 19,
  }),
  node("Resize", [[1, 2, 4, 5], scales(), scales(1, 1, 2, 1.5)], how("cubic"), { opset: 11 }),
  node("Resize", [[1, 1, 5, 6], none, none, i64(1, 1, 3, 4)], how("cubic", "align_corners"), { opset: 13 }),
  node(
    "Resize",
    [[1, 1, 4, 5], none, scales(1, 1, 1.7, 0.6)],
    { ...how("cubic", "pytorch_half_pixel"), cubic_coeff_a: float(-0.5), exclude_outside: int(1) },
    { opset: 18 },
  ),
  node(
    "Resize",
    [[1, 2, 7, 6], none, scales(1, 1, 0.4, 0.5)],
    { ...how("linear"), antialias: int(1) },
    {
      opset: 19,
    },
  ),
  node("Resize", [[1, 1, 9, 8], none, scales(1, 1, 0.4, 0.5)], { ...how("cubic"), antialias: int(1) }),
  node(
    "Resize",
    [[1, 1, 9, 8], none, none, i64(1, 1, 4, 11)],
    { ...how("cubic"), antialias: int(1), exclude_outside: int(1), cubic_coeff_a: float(-0.5) },
    { opset: 18 },
  ),
  ...["not_larger", "not_smaller"].map((policy) =>
    node(
      "Resize",
      [[1, 1, 4, 6], none, none, i64(7, 8)],
      { ...how("linear"), keep_aspect_ratio_policy: string(policy), axes: ints([2, 3]) },
      { opset: 18 },
    ),
  ),
  node("Resize", [[1, 1, 3, 4], scales(1, 1, 2, 2)], how("nearest"), { opset: 10 }),
  node("Resize", [[1, 1, 4, 4], scales(1, 1, 0.5, 0.5)], how("nearest"), { opset: 10 }),
  node("Resize", [[1, 1, 3, 4], scales(1, 1, 2, 2)], how("linear"), { opset: 10 }),
  node("Upsample", [[1, 2, 3, 4]], { ...how("nearest"), scales: floats([1, 1, 2, 3]) }, { opset: 7 }),
  node("Upsample", [[1, 2, 3, 4], scales(1, 1, 2, 2)], how("nearest"), { opset: 9 }),
  node("Upsample", [[1, 2, 3, 4], scales(1, 1, 2, 2)], how("linear"), { opset: 9 }),
  node("DepthToSpace", [[2, 8, 2, 3]], blocks(2)),
  node("DepthToSpace", [[1, 8, 2, 3]], blocks(2, "CRD"), { opset: 11 }),
  node("DepthToSpace", [[1, 9, 1, 2]], blocks(3), { opset: 7 }),
  node("SpaceToDepth", [[2, 2, 4, 6]], blocks(2)),
  node("SpaceToDepth", [[1, 1, 3, 6]], blocks(3), { opset: 7 }),
]);

describe("refusals", () => {
  const resize = (attributes: Parameters<typeof emit>[3], inputs = [none, scales(1, 1, 2, 2)]) => {
    const b = newBuilder("test", targets.cpu);
    return emit(
      b,
      "Resize",
      [b.graph.addInput("x", { dtype: "float32", dims: [1, 1, 2, 2] }), ...inputs],
      attributes,
    );
  };
  it.each([
    [how("area"), 'Resize at node "node": mode "area" is not supported; use nearest, linear or cubic'],
    [
      { antialias: int(1) },
      'Resize at node "node": antialias is for the modes linear and cubic, not for nearest',
    ],
    [
      how("linear", "tf_crop_and_resize"),
      'Resize at node "node": coordinate_transformation_mode "tf_crop_and_resize" is not supported; use half_pixel, align_corners or asymmetric',
    ],
  ])("%o", (attributes, message) => {
    expect(() => resize(attributes)).toThrow(expect.objectContaining({ message }));
  });
  it("names both counts where scales do not fit the axes", () => {
    expect(() => resize({}, [none, scales(2, 2)])).toThrow(
      'Resize at node "node": 2 scales or sizes for 4 axes of [1,1,2,2]',
    );
  });
  it("wants a map for DepthToSpace", () => {
    const b = newBuilder("test", targets.cpu);
    const x = b.graph.addInput("x", { dtype: "float32", dims: [4, 2] });
    expect(() => emit(b, "DepthToSpace", [x], blocks(2))).toThrow(
      'DepthToSpace at node "node": expected a [N, C, H, W] map, got [4,2]',
    );
  });
});
