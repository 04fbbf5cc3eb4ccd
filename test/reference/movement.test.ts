// The reference operators that move elements, and Resize, against ONNX Runtime.
import { expect, it } from "vitest";
import { type Attributes, int, ints, string } from "../../src/graph/graph.ts";
import { type Case, evaluateCase, f32, i64, randomInputs, scalar, testTable } from "./hold-to-runtime.ts";
import { indexing } from "./indexing.ts";
import { movement } from "./movement.ts";
import { resizing } from "./resize.ts";

const { floats, whole } = randomInputs(16);
const end = Number.MAX_SAFE_INTEGER;

const slice = (x: number[], ...parts: number[][]): Case => ({
  op: "Slice",
  inputs: [floats(x), ...parts.map((p) => i64(p))],
});
const pad = (x: number[], pads: number[], mode?: string, more: Case["inputs"] = []): Case => ({
  op: "Pad",
  inputs: [floats(x), i64(pads), ...more],
  attributes: mode ? { mode: string(mode) } : {},
});
const none = f32([], [0]);
const resize = (x: number[], attributes: Attributes, scales?: number[], sizes?: number[]): Case => ({
  op: "Resize",
  inputs: [floats(x), none, scales ? f32(scales) : undefined, ...(sizes ? [i64(sizes)] : [])],
  attributes,
});
const modes = ["half_pixel", "half_pixel_symmetric", "pytorch_half_pixel", "align_corners", "asymmetric"];
const rounding = ["round_prefer_floor", "round_prefer_ceil", "floor", "ceil"];
const reductions = ["none", "add", "mul", "min", "max"];

const moves: Case[] = [
  { op: "Reshape", inputs: [floats([2, 3, 4]), i64([4, 6])] },
  { op: "Reshape", inputs: [floats([2, 3, 4]), i64([0, -1])] },
  { op: "Reshape", inputs: [floats([2, 3, 4]), i64([-1])] },
  { op: "Reshape", inputs: [floats([0, 3]), i64([3, 0])], attributes: { allowzero: int(1) } },
  { op: "Flatten", inputs: [floats([2, 3, 4])] },
  ...[0, 2, 3, -1].map((axis) => ({
    op: "Flatten",
    inputs: [floats([2, 3, 4])],
    attributes: { axis: int(axis) },
  })),
  { op: "Transpose", inputs: [floats([2, 3, 4])] },
  { op: "Transpose", inputs: [floats([2, 3, 4, 5])], attributes: { perm: ints([2, 0, 3, 1]) } },
  { op: "Squeeze", inputs: [floats([1, 3, 1, 4])] },
  { op: "Squeeze", inputs: [floats([1, 3, 1, 4]), i64([-2])] },
  { op: "Unsqueeze", inputs: [floats([3, 4]), i64([0, -1])] },
  { op: "Unsqueeze", inputs: [floats([3, 4]), i64([2, 1])] },
  { op: "Concat", inputs: [floats([2, 3]), floats([2, 1]), floats([2, 4])], attributes: { axis: int(1) } },
  { op: "Concat", inputs: [floats([2, 3, 2]), floats([1, 3, 2])], attributes: { axis: int(-3) } },
  { op: "Split", inputs: [floats([6, 2])], attributes: { num_outputs: int(3) }, outputs: 3 },
  { op: "Split", inputs: [floats([2, 7])], attributes: { axis: int(1), num_outputs: int(3) }, outputs: 3 },
  { op: "Split", inputs: [floats([2, 7]), i64([1, 4, 2])], attributes: { axis: int(-1) }, outputs: 3 },
  slice([4, 5, 6], [1, 0, 2], [3, 4, 6]),
  slice([4, 5, 6], [-2], [end], [1]),
  slice([4, 5, 6], [0, 1], [end, -1], [-1, 0], [2, 1]),
  slice([4, 5, 6], [-1, 4], [-end, 0], [0, 1], [-1, -2]),
  slice([4, 5], [3], [1], [1]),
  slice([7], [100], [-100], [0], [-3]),
  pad([2, 3], [1, 0, 2, 3]),
  pad([2, 3], [1, 0, 2, 3], "constant", [scalar(0.5)]),
  pad([4, 5], [-1, 1, 0, -2]),
  pad([4, 5], [1, 2, 3, 1], "reflect"),
  pad([4, 5], [2, 1, 0, 4], "edge"),
  pad([4, 5], [1, 2, 3, 1], "wrap"),
  pad([4, 5, 6], [1, 2, 1, 0], "edge", [undefined, i64([-1, 0])]),
  { op: "Expand", inputs: [floats([3, 1]), i64([2, 1, 4])] },
  { op: "Expand", inputs: [floats([2, 3]), i64([1])] },
  { op: "Tile", inputs: [floats([2, 3]), i64([2, 3])] },
  ...[0, 1].flatMap((upper) => [
    { op: "Trilu", inputs: [floats([2, 4, 5])], attributes: { upper: int(upper) } },
    { op: "Trilu", inputs: [floats([4, 4]), scalar(-1, "int64")], attributes: { upper: int(upper) } },
    { op: "Trilu", inputs: [floats([4, 3]), scalar(1, "int64")], attributes: { upper: int(upper) } },
  ]),
  { op: "DepthToSpace", inputs: [floats([2, 8, 2, 3])], attributes: { blocksize: int(2) } },
  {
    op: "DepthToSpace",
    inputs: [floats([2, 8, 2, 3])],
    attributes: { blocksize: int(2), mode: string("CRD") },
  },
  { op: "SpaceToDepth", inputs: [floats([2, 3, 4, 6])], attributes: { blocksize: int(2) } },
  { op: "Shape", inputs: [floats([2, 3, 4])] },
  { op: "Shape", inputs: [floats([2, 3, 4])], attributes: { start: int(1) } },
  { op: "Shape", inputs: [floats([2, 3, 4])], attributes: { start: int(-3), end: int(-1) } },
  { op: "Size", inputs: [floats([2, 3, 4])] },
  { op: "Range", inputs: [scalar(1), scalar(4), scalar(0.5)] },
  { op: "Range", inputs: [scalar(10, "int64"), scalar(1, "int64"), scalar(-3, "int64")] },
  { op: "ConstantOfShape", inputs: [i64([2, 3])] },
  { op: "ConstantOfShape", inputs: [i64([])], attributes: { value: { kind: "tensor", value: i64([7]) } } },
  { op: "EyeLike", inputs: [floats([3, 4])] },
  { op: "EyeLike", inputs: [floats([3, 4])], attributes: { k: int(1), dtype: int(7) } },
  { op: "EyeLike", inputs: [floats([3, 3])], attributes: { k: int(-1) } },
];

const gathers: Case[] = [
  { op: "Gather", inputs: [floats([4, 3]), i64([2, -1, 0])] },
  { op: "Gather", inputs: [floats([2, 4, 3]), whole([2, 2], 0, 3, "int32")], attributes: { axis: int(1) } },
  { op: "Gather", inputs: [floats([2, 4]), scalar(1, "int64")], attributes: { axis: int(-1) } },
  { op: "GatherElements", inputs: [floats([3, 4]), whole([2, 4], -3, 2)] },
  { op: "GatherElements", inputs: [floats([3, 4]), whole([3, 2], 0, 3)], attributes: { axis: int(1) } },
  { op: "GatherND", inputs: [floats([3, 4, 5]), i64([0, 1, 2, -1], [2, 2])] },
  { op: "GatherND", inputs: [floats([3, 4]), i64([2, 0], [1, 2, 1])] },
  {
    op: "GatherND",
    inputs: [floats([2, 3, 4]), i64([1, 2, 0, 1], [2, 2, 1])],
    attributes: { batch_dims: int(1) },
  },
  ...reductions.flatMap((reduction) => [
    {
      op: "ScatterElements",
      inputs: [floats([4, 3]), i64([1, 0, 2, 3, 2, -4], [2, 3]), floats([2, 3])],
      attributes: { reduction: string(reduction) },
    },
    {
      op: "ScatterND",
      inputs: [floats([4, 2, 3]), i64([0, 1, -1, 0], [2, 2]), floats([2, 3])],
      attributes: { reduction: string(reduction) },
    },
  ]),
  // Indices that meet.
  ...reductions.slice(1).flatMap((reduction) => [
    {
      op: "ScatterElements",
      inputs: [floats([3, 2]), i64([1, 0, 1, 0, -2, 2], [3, 2]), floats([3, 2])],
      attributes: { reduction: string(reduction) },
    },
    {
      op: "ScatterND",
      inputs: [floats([4, 3]), i64([1, 3, 1], [3, 1]), floats([3, 3])],
      attributes: { reduction: string(reduction) },
    },
  ]),
  {
    op: "ScatterElements",
    inputs: [floats([2, 5]), i64([1, 1, 4], [1, 3]), floats([1, 3])],
    attributes: { axis: int(1), reduction: string("add") },
  },
  { op: "ScatterND", inputs: [floats([4, 3]), i64([3, 1], [2, 1]), floats([2, 3])] },
  { op: "OneHot", inputs: [i64([0, 2, -1, 7]), scalar(4, "int64"), f32([0, 1])] },
  { op: "OneHot", inputs: [i64([0, 2, 1, 1], [2, 2]), i64([3]), f32([-1, 5])], attributes: { axis: int(1) } },
];

const resizes: Case[] = [
  ...modes.flatMap((mode): Case[] => {
    const coordinates = { coordinate_transformation_mode: string(mode) };
    const linear = { ...coordinates, mode: string("linear") };
    return [
      resize([1, 2, 3, 4], linear, [1, 1, 2, 3]),
      resize([1, 2, 5, 7], linear, undefined, [1, 2, 3, 11]),
      resize([1, 2, 6, 8], linear, [1, 1, 0.5, 0.7]),
      resize([1, 1, 4, 5], linear, undefined, [1, 1, 1, 3]),
      ...rounding.map((r) => resize([1, 1, 4, 5], { ...coordinates, nearest_mode: string(r) }, [1, 1, 2, 2])),
      resize([1, 1, 6, 5], coordinates, undefined, [1, 1, 3, 7]),
    ];
  }),
  resize([1, 2, 3, 4], { mode: string("linear"), axes: ints([2, 3]) }, [2, 2]),
  resize([1, 2, 3, 4], { axes: ints([3]) }, undefined, [8]),
];

testTable(movement, moves);
testTable(indexing, [
  ...gathers,
  { op: "ReverseSequence", inputs: [floats([4, 3, 2]), i64([1, 4, 2])] },
  {
    op: "ReverseSequence",
    inputs: [floats([2, 3, 2]), i64([3, 2])],
    attributes: { time_axis: int(1), batch_axis: int(0) },
  },
]);
testTable(resizing, resizes);

it("an index out of range is an error", () => {
  expect(() => evaluateCase({ op: "Gather", inputs: [floats([4, 3]), i64([4])] })).toThrow(
    'reference: Gather at node "node" on [4,3], [1]: index 4 is outside an axis of 4',
  );
});
