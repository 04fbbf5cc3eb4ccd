// The element-by-element reference operators against ONNX Runtime.
import { describe, expect, it } from "vitest";
import { tensor } from "../../src/base/tensor.ts";
import { type Attributes, float, int, string } from "../../src/graph/graph.ts";
import { elementwise, erf } from "./elementwise.ts";
import {
  type Case,
  evaluateCase,
  expectClose,
  f32,
  randomInputs,
  scalar,
  testTable,
} from "./hold-to-runtime.ts";

const { floats, whole, bools } = randomInputs(11);

const unary = (op: string, low = -3, high = 3, attributes: Attributes = {}): Case => ({
  op,
  inputs: [floats([2, 3, 4], low, high)],
  attributes,
});
const binary = (op: string): Case[] => [
  { op, inputs: [floats([2, 3, 4]), floats([2, 3, 4])] },
  { op, inputs: [floats([2, 1, 4]), floats([3, 1])] },
  { op, inputs: [floats([4]), floats([2, 3, 4])] },
  { op, inputs: [floats([]), floats([2, 0, 3])] },
];
const integers = (op: string): Case[] => [
  { op, inputs: [whole([3, 4], -9, 9), whole([4], 1, 5)] },
  { op, inputs: [whole([3, 4], -9, 9, "int32"), whole([3, 1], -5, -1, "int32")] },
];
const variadic = (op: string): Case[] => [
  { op, inputs: [floats([2, 3])] },
  { op, inputs: [floats([2, 3]), floats([3])] },
  { op, inputs: [floats([2, 1]), floats([3]), floats([4, 1, 1])] },
];
const logical = (op: string): Case[] => [
  { op, inputs: [bools([4, 5]), bools([4, 5])] },
  { op, inputs: [bools([4, 1]), bools([5])] },
];
const comparison = (op: string): Case[] => [
  ...binary(op),
  { op, inputs: [whole([4, 5], 0, 3), whole([5], 0, 3)] },
  { op, inputs: [f32([1, 2, Number.NaN]), f32([1, 1, Number.NaN])] },
];

const halves = f32([-2.5, -1.5, -0.5, 0.5, 1.5, 2.5, 0.4, -0.6, 3]);
const special = f32([Number.NaN, Infinity, -Infinity, 0, -1, 5]);
const wide = { inputs: [f32([-90, -30, -8, -1e-3, 0, 1e-3, 8, 30, 90])] };

const cases: Case[] = [
  ...["Add", "Sub", "Mul", "Div"].flatMap((op) => [...binary(op), ...integers(op)]),
  { op: "Pow", inputs: [floats([2, 3], 0.1, 3), floats([3])] },
  { op: "Pow", inputs: [floats([2, 3]), whole([1], 3, 3)] },
  { op: "Pow", inputs: [whole([2, 3], -4, 4), whole([3], 0, 3)] },
  { op: "Mod", inputs: [floats([3, 4], -5, 5), floats([4], 1, 3)], attributes: { fmod: int(1) } },
  ...integers("Mod"),
  ...integers("Mod").map((c) => ({ ...c, attributes: { fmod: int(1) } })),
  ...["Min", "Max", "Sum", "Mean"].flatMap(variadic),
  { op: "Max", inputs: [whole([2, 3], -5, 5), whole([3], -5, 5)] },

  ...["Neg", "Abs", "Floor", "Ceil", "Sign", "Sin", "Cos", "Identity"].map((op) => unary(op)),
  ...["Neg", "Abs", "Sign"].map((op) => ({ op, inputs: [whole([7], -3, 3)] })),
  ...["Exp", "Erf"].flatMap((op) => [unary(op), unary(op, -0.01, 0.01)]),
  unary("Tan", -1.2, 1.2),
  ...["Atan", "Sinh", "Cosh", "Asinh"].map((op) => unary(op)),
  ...["Asin", "Acos", "Atanh"].map((op) => unary(op, -0.95, 0.95)),
  unary("Acosh", 1.1, 4),
  ...["BitwiseAnd", "BitwiseOr", "BitwiseXor"].map((op) => ({
    op,
    inputs: [whole([2, 3], -9, 9, "int32"), whole([3], -9, 9, "int32")],
  })),
  { op: "BitwiseNot", inputs: [whole([5], -9, 9)] },
  ...["LEFT", "RIGHT"].map((direction) => ({
    op: "BitShift",
    inputs: [whole([5], 0, 200, "uint8"), whole([5], 0, 7, "uint8")],
    attributes: { direction: string(direction) },
  })),
  ...["Sqrt", "Log", "Reciprocal"].map((op) => unary(op, 0.05, 4)),
  { op: "Round", inputs: [halves] },
  { op: "Floor", inputs: [halves] },
  { op: "Ceil", inputs: [halves] },
  unary("Clip"),
  { op: "Clip", inputs: [floats([9]), scalar(-0.5)] },
  { op: "Clip", inputs: [floats([9]), undefined, scalar(0.5)] },
  { op: "Clip", inputs: [floats([9]), scalar(-0.5), scalar(1)] },
  { op: "Clip", inputs: [whole([9], -9, 9, "int32"), scalar(-3, "int32"), scalar(4, "int32")] },

  ...["Sigmoid", "Tanh", "Relu", "Softplus", "Softsign", "HardSwish", "Mish"].flatMap((op) => [
    unary(op),
    { op, ...wide },
  ]),
  ...["LeakyRelu", "Elu", "Selu", "Celu", "ThresholdedRelu", "HardSigmoid"].map((op) => unary(op)),
  ...["LeakyRelu", "Elu", "Celu", "ThresholdedRelu"].map((op) => unary(op, -3, 3, { alpha: float(0.3) })),
  unary("Selu", -3, 3, { alpha: float(1.2), gamma: float(0.7) }),
  unary("HardSigmoid", -3, 3, { alpha: float(0.4), beta: float(0.3) }),
  { op: "PRelu", inputs: [floats([2, 3, 4]), floats([3, 1])] },
  { op: "PRelu", inputs: [floats([2, 3, 4]), floats([1])] },
  unary("Gelu"),
  unary("Gelu", -3, 3, { approximate: string("tanh") }),

  ...["Greater", "GreaterOrEqual", "Less", "LessOrEqual", "Equal"].flatMap(comparison),
  ...["And", "Or", "Xor"].flatMap(logical),
  { op: "Equal", inputs: [bools([9]), bools([9])] },
  { op: "Not", inputs: [bools([9])] },
  { op: "Where", inputs: [bools([2, 3]), floats([2, 3]), floats([2, 3])] },
  { op: "Where", inputs: [bools([3, 1]), floats([4]), floats([2, 1, 1])] },
  { op: "Where", inputs: [bools([3]), whole([3], 0, 9), whole([1], 0, 9)] },
  { op: "IsNaN", inputs: [special] },
  { op: "IsInf", inputs: [special] },
  { op: "IsInf", inputs: [special], attributes: { detect_negative: int(0) } },
  { op: "IsInf", inputs: [special], attributes: { detect_positive: int(0) } },

  ...[1, 6, 7, 9, 11].map((to) => ({ op: "Cast", inputs: [floats([9])], attributes: { to: int(to) } })),
  { op: "Cast", inputs: [whole([5], 250, 260)], attributes: { to: int(2) } },
  { op: "Cast", inputs: [bools([5])], attributes: { to: int(1) } },
  { op: "CastLike", inputs: [floats([9]), whole([1], 0, 0, "int32")] },
  { op: "Dropout", inputs: [floats([3, 4])], attributes: { seed: int(3) }, outputs: 2 },
  { op: "Dropout", inputs: [floats([3, 4]), scalar(0.7), scalar(0, "bool")], outputs: 2 },
  { op: "Constant", inputs: [], attributes: { value: { kind: "tensor", value: floats([2, 3]) } } },
  { op: "Constant", inputs: [], attributes: { value: { kind: "tensor", value: whole([2], 0, 9) } } },
  { op: "Constant", inputs: [], attributes: { value_float: float(0.5) } },
  { op: "Constant", inputs: [], attributes: { value_floats: { kind: "floats", value: [0.5, 2] } } },
  { op: "Constant", inputs: [], attributes: { value_int: int(-3) } },
  { op: "Constant", inputs: [], attributes: { value_ints: { kind: "ints", value: [1, 2] } } },
];

testTable(elementwise, cases);

describe("float64", () => {
  it("erf is right to 14 digits", () => {
    // From tables to 16 digits; a term of the sum rounds by 1e-16.
    expect(erf(0.1)).toBeCloseTo(0.1124629160182849, 14);
    expect(erf(1)).toBeCloseTo(0.8427007929497149, 14);
    expect(erf(-2.5)).toBeCloseTo(-0.999593047982555, 14);
    expect(erf(0)).toBe(0);
    expect(erf(Infinity)).toBe(1);
    expect(erf(Number.NaN)).toBeNaN();
  });

  it("does not round to float32 between", () => {
    const tiny = tensor("float64", [1e-12]);
    const [sum] = evaluateCase({ op: "Add", inputs: [tensor("float64", [1]), tiny] });
    expect((sum!.data[0] as number) - 1).toBeCloseTo(1e-12, 15);
  });

  it("a cast to float32 keeps the digits of float64", () => {
    const [y] = evaluateCase({ op: "Cast", inputs: [tensor("float64", [0.1])], attributes: { to: int(1) } });
    expectClose(y!, tensor("float64", [0.1]), 0);
  });
});

it("Dropout in training mode is refused", () => {
  const inputs = [floats([3]), scalar(0.5), scalar(1, "bool")];
  expect(() => evaluateCase({ op: "Dropout", inputs })).toThrow("give the mask as an input");
});

it("PRelu's slope is broadcast one way only", () => {
  expect(() => evaluateCase({ op: "PRelu", inputs: [floats([3]), floats([2, 3])] })).toThrow(
    "does not broadcast",
  );
});
