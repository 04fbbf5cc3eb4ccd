// The reference convolutions and pools against ONNX Runtime.
import { expect, it } from "vitest";
import { type Attributes, int, ints, string } from "../../src/graph/graph.ts";
import { convolution } from "./convolution.ts";
import {
  type Case,
  evaluateCase,
  expectClose,
  f32,
  i64,
  randomInputs,
  testTable,
} from "./hold-to-runtime.ts";

const { floats } = randomInputs(14);

const conv = (x: number[], w: number[], attributes: Attributes = {}, bias = false): Case => ({
  op: "Conv",
  inputs: [floats(x), floats(w), ...(bias ? [floats([w[0]!])] : [])],
  attributes,
});
const transposed = (x: number[], w: number[], attributes: Attributes = {}, bias = false): Case => ({
  op: "ConvTranspose",
  inputs: [
    floats(x),
    floats(w),
    ...(bias ? [floats([w[1]! * ((attributes.group?.value as number | undefined) ?? 1)])] : []),
  ],
  attributes,
});
const same = ["SAME_UPPER", "SAME_LOWER", "VALID"].map(string);

const pools: Attributes[] = [
  { kernel_shape: ints([2, 2]) },
  { kernel_shape: ints([3, 2]), strides: ints([2, 1]) },
  { kernel_shape: ints([3, 3]), strides: ints([2, 2]), pads: ints([1, 1, 1, 1]) },
  { kernel_shape: ints([3, 3]), strides: ints([2, 3]), pads: ints([0, 1, 2, 0]) },
  { kernel_shape: ints([3, 3]), strides: ints([2, 2]), pads: ints([1, 1, 1, 1]), ceil_mode: int(1) },
  { kernel_shape: ints([2, 2]), strides: ints([3, 3]), ceil_mode: int(1) },
  { kernel_shape: ints([2, 2]), dilations: ints([2, 3]), pads: ints([1, 0, 1, 0]) },
  ...same.map((auto_pad) => ({ kernel_shape: ints([3, 2]), strides: ints([2, 2]), auto_pad })),
];

const cases: Case[] = [
  conv([2, 4, 8, 8], [6, 4, 3, 3]),
  conv([2, 4, 8, 8], [6, 4, 3, 3], { pads: ints([1, 1, 1, 1]), kernel_shape: ints([3, 3]) }, true),
  conv([2, 3, 7, 9], [4, 3, 3, 2], { strides: ints([2, 3]), pads: ints([0, 1, 2, 0]) }, true),
  conv([1, 3, 9, 9], [4, 3, 3, 3], { dilations: ints([2, 3]), pads: ints([2, 2, 2, 2]) }),
  conv([2, 4, 6, 6], [6, 2, 3, 3], { group: int(2) }, true),
  conv([2, 4, 6, 6], [8, 1, 3, 3], { group: int(4), strides: ints([2, 2]) }),
  conv([2, 3, 10], [5, 3, 4], { strides: ints([3]), pads: ints([1, 2]) }, true),
  conv([1, 2, 4, 5, 6], [3, 2, 2, 3, 2], { pads: ints([1, 1, 0, 0, 1, 1]), strides: ints([1, 2, 1]) }),
  ...same.map((auto_pad) => conv([1, 2, 7, 8], [3, 2, 4, 3], { auto_pad, strides: ints([2, 3]) })),
  ...same.map((auto_pad) => conv([1, 2, 7], [3, 2, 2], { auto_pad })),

  transposed([2, 4, 5, 6], [4, 3, 3, 3]),
  transposed([2, 4, 5, 6], [4, 3, 3, 3], { strides: ints([2, 3]), pads: ints([1, 0, 0, 2]) }, true),
  transposed([1, 4, 4, 4], [4, 3, 3, 3], {
    strides: ints([2, 2]),
    pads: ints([1, 1, 1, 1]),
    output_padding: ints([1, 1]),
  }),
  transposed([1, 4, 4, 4], [4, 3, 3, 2], { group: int(2), dilations: ints([2, 1]) }, true),
  transposed([1, 2, 4, 4], [2, 3, 3, 3], { strides: ints([2, 2]), output_shape: ints([8, 8]) }),
  transposed([1, 2, 4, 4], [2, 3, 3, 3], {
    strides: ints([2, 2]),
    output_shape: ints([8, 8]),
    auto_pad: string("SAME_UPPER"),
  }),
  ...same.map((auto_pad) => transposed([1, 2, 4, 5], [2, 3, 3, 3], { strides: ints([2, 2]), auto_pad })),
  transposed([2, 3, 5], [3, 2, 4], { strides: ints([3]), pads: ints([1, 1]) }, true),
  transposed([1, 2, 3, 2, 3], [2, 2, 2, 3, 2], { strides: ints([2, 1, 2]), pads: ints([0, 1, 1, 1, 0, 0]) }),

  ...pools.flatMap((attributes): Case[] => [
    { op: "MaxPool", inputs: [floats([2, 3, 8, 7])], attributes, outputs: 2 },
    { op: "AveragePool", inputs: [floats([2, 3, 8, 7])], attributes },
    {
      op: "AveragePool",
      inputs: [floats([2, 3, 8, 7])],
      attributes: { ...attributes, count_include_pad: int(1) },
    },
  ]),
  // A last window that would start in the padding after the end is left out.
  ...["MaxPool", "AveragePool"].map((op) => ({
    op,
    inputs: [floats([1, 2, 5])],
    attributes: { kernel_shape: ints([2]), strides: ints([3]), pads: ints([1, 1]), ceil_mode: int(1) },
  })),
  {
    op: "MaxPool",
    inputs: [f32([1, 2, 2, 0, 2, 1], [1, 1, 6])],
    attributes: { kernel_shape: ints([3]) },
    outputs: 2,
  },
  { op: "MaxPool", inputs: [floats([1, 2, 4, 4, 4])], attributes: { kernel_shape: ints([2, 2, 3]) } },
  {
    op: "AveragePool",
    inputs: [floats([1, 2, 9])],
    attributes: { kernel_shape: ints([3]), strides: ints([2]) },
  },
  {
    op: "MaxUnpool",
    inputs: [floats([1, 2, 2, 2]), i64([0, 2, 9, 11, 16, 19, 28, 30], [1, 2, 2, 2])],
    attributes: { kernel_shape: ints([2, 2]), strides: ints([2, 2]) },
  },
  ...["GlobalAveragePool", "GlobalMaxPool"].flatMap((op) => [
    { op, inputs: [floats([2, 3, 4, 5])] },
    { op, inputs: [floats([2, 3, 7])] },
  ]),
];

testTable(convolution, cases);

it("ConvTranspose is the adjoint of Conv: ⟨conv(x), y⟩ = ⟨x, convTranspose(y)⟩", () => {
  const attributes = {
    strides: ints([2, 1]),
    pads: ints([1, 0, 1, 2]),
    dilations: ints([1, 2]),
    group: int(2),
  };
  const [x, w] = [floats([2, 4, 7, 8]), floats([6, 2, 3, 3])];
  const [y] = evaluateCase({ op: "Conv", inputs: [x, w], attributes });
  const cotangent = floats(y!.dims);
  const [back] = evaluateCase({ op: "ConvTranspose", inputs: [cotangent, w], attributes });
  expect(back!.dims).toEqual(x.dims);
  const dot = (a: ArrayLike<unknown>, b: ArrayLike<unknown>): number =>
    Array.from(a).reduce((sum: number, v, i) => sum + (v as number) * (b[i] as number), 0);
  expect(dot(y!.data, cotangent.data)).toBeCloseTo(dot(x.data, back!.data), 10);
});

it("MaxPool's indices count through the whole input", () => {
  const x = f32([1, 5, 2, 0, 7, 3, 4, 6], [2, 1, 4]);
  const attributes = { kernel_shape: ints([2]), strides: ints([2]) };
  const [y, indices] = evaluateCase({ op: "MaxPool", inputs: [x], attributes, outputs: 2 });
  expectClose(y!, f32([5, 2, 7, 6], [2, 1, 2]));
  expectClose(indices!, i64([1, 2, 4, 7], [2, 1, 2]));
});
