// Reference operators that compute each element by itself: arithmetic, activations, comparisons, casts.
// Source: ONNX operator specification, opset 21.
import { broadcastShapes, type DType, isFloat, type Shape, sizeOf } from "../../src/base/tensor.ts";
import {
  type AttributeReader,
  array,
  broadcastStrides,
  type NDArray,
  need,
  type Operator,
  type OperatorTable,
  offsets,
} from "./array.ts";
import { isFloat8, roundToFloat8 } from "./float8.ts";

/** Element types by their numbers in TensorProto.DataType. */
const dtypes: Readonly<Record<number, DType>> = {
  1: "float64",
  2: "uint8",
  3: "int8",
  4: "uint16",
  5: "int16",
  6: "int32",
  7: "int64",
  9: "bool",
  10: "float64",
  11: "float64",
  12: "uint32",
  13: "uint64",
  16: "float64",
  17: "float8e4m3fn",
  18: "float8e4m3fnuz",
  19: "float8e5m2",
  20: "float8e5m2fnuz",
  21: "uint4",
  22: "int4",
};

export function dtypeFromNumber(number: number): DType {
  const dtype = dtypes[number];
  if (!dtype) throw new Error(`element type ${number} is not known to the reference`);
  return dtype;
}

function map(x: NDArray, f: (x: number) => number, dtype = x.dtype): NDArray {
  return { dtype, dims: x.dims, data: x.data.map(f) };
}

/** y = f(x), with the constants of f taken from the attributes. */
function unary(make: (a: AttributeReader) => (x: number) => number): Operator {
  return (inputs, a) => map(need(inputs, 0), make(a));
}

const plain = (f: (x: number) => number): Operator => unary(() => f);

export function commonShape(arrays: readonly NDArray[]): Shape {
  const dims = broadcastShapes(...arrays.map((x) => x.dims));
  if (!dims) throw new Error(`shapes ${arrays.map((x) => `[${x.dims}]`).join(", ")} do not broadcast`);
  return dims;
}

/** y = f(a, b), broadcast; y has the type of a unless `dtype` says otherwise. */
function zip(a: NDArray, b: NDArray, f: (a: number, b: number) => number, dtype = a.dtype): NDArray {
  const dims = commonShape([a, b]);
  const data = new Float64Array(sizeOf(dims));
  const ofA = offsets(dims, broadcastStrides(a.dims, dims));
  const ofB = offsets(dims, broadcastStrides(b.dims, dims));
  for (let i = 0; i < data.length; i++) data[i] = f(a.data[ofA[i]!]!, b.data[ofB[i]!]!);
  return { dtype, dims, data };
}

const binary =
  (f: (a: number, b: number) => number, dtype?: DType): Operator =>
  (inputs) =>
    zip(need(inputs, 0), need(inputs, 1), f, dtype);

const variadic =
  (f: (a: number, b: number) => number): Operator =>
  (inputs) =>
    inputs.map((_, i) => need(inputs, i)).reduce((a, b) => zip(a, b, f));

/** erf by its series with positive terms only: erf(x) = 2/√π · e^(−x²) · Σ 2ⁿ x^(2n+1) / (1·3·…·(2n+1)). */
export function erf(x: number): number {
  if (Number.isNaN(x)) return x;
  if (Math.abs(x) > 6) return Math.sign(x);
  let term = x;
  let sum = x;
  for (let n = 1; Math.abs(term) > Math.abs(sum) * 1e-18; n++) {
    term *= (2 * x * x) / (2 * n + 1);
    sum += term;
  }
  return (2 / Math.sqrt(Math.PI)) * Math.exp(-x * x) * sum;
}

const sigmoid = (x: number): number => 1 / (1 + Math.exp(-x));
const softplus = (x: number): number => Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x)));
const clamp = (x: number, low: number, high: number): number => Math.min(Math.max(x, low), high);

function roundHalfToEven(x: number): number {
  const floor = Math.floor(x);
  if (x - floor !== 0.5) return Math.round(x);
  return floor % 2 === 0 ? floor : floor + 1;
}

const gelu: Operator = unary((a) => {
  if (a.string("approximate", ["none", "tanh"]) === "none") return (x) => 0.5 * x * (1 + erf(x / Math.SQRT2));
  return (x) => 0.5 * x * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3)));
});

const clip: Operator = (inputs) => {
  const x = need(inputs, 0);
  const low = inputs[1]?.data[0] ?? Number.NEGATIVE_INFINITY;
  const high = inputs[2]?.data[0] ?? Number.POSITIVE_INFINITY;
  return map(x, (v) => clamp(v, low, high));
};

const mean: Operator = (inputs, a, outputs) => {
  const sum = variadic((x, y) => x + y)(inputs, a, outputs) as NDArray;
  return map(sum, (x) => x / inputs.length);
};

const where: Operator = (inputs) => {
  const [condition, x, y] = [need(inputs, 0), need(inputs, 1), need(inputs, 2)];
  const dims = commonShape([condition, x, y]);
  const [ofC, ofX, ofY] = [condition, x, y].map((v) => offsets(dims, broadcastStrides(v.dims, dims)));
  const data = new Float64Array(sizeOf(dims));
  for (let i = 0; i < data.length; i++)
    data[i] = condition.data[ofC![i]!]! ? x.data[ofX![i]!]! : y.data[ofY![i]!]!;
  return { dtype: x.dtype, dims, data };
};

function castTo(x: NDArray, dtype: DType, saturate = true): NDArray {
  if (isFloat8(dtype)) return map(x, (v) => roundToFloat8(v, dtype, saturate), dtype);
  if (dtype === "bool") return map(x, (v) => (v !== 0 ? 1 : 0), dtype);
  return isFloat(dtype) ? { ...x, dtype } : map(x, Math.trunc, dtype);
}

const mod: Operator = (inputs, a) => {
  const [x, y] = [need(inputs, 0), need(inputs, 1)];
  const fmod = a.int("fmod", 0) === 1;
  if (!fmod && isFloat(x.dtype)) throw new Error("Mod of floats needs fmod=1");
  return zip(x, y, fmod ? (p, q) => p % q : (p, q) => p - q * Math.floor(p / q));
};

/** Inference form: the data passes, the mask (second output) is all true. */
const dropout: Operator = (inputs, a) => {
  a.ignore("seed");
  const x = need(inputs, 0);
  if (inputs[2]?.data[0] && inputs[1]?.data[0] !== 0)
    throw new Error(
      "Dropout in training mode is random: give the mask as an input of the graph and multiply",
    );
  return [x, map(x, () => 1, "bool")];
};

const constant: Operator = (_, a) => {
  const value = a.tensor("value");
  if (value) return array(isFloat(value.dtype) ? "float64" : value.dtype, value.dims, numbers(value.data));
  const [one, many] = [a.float("value_float"), a.floats("value_floats")];
  const [whole, wholes] = [a.int("value_int"), a.ints("value_ints")];
  if (one !== undefined) return array("float64", [], [one]);
  if (many) return array("float64", [many.length], many);
  if (whole !== undefined) return array("int64", [], [whole]);
  if (wholes) return array("int64", [wholes.length], wholes);
  throw new Error("Constant without a value that the reference reads");
};

export function numbers(data: ArrayLike<unknown>): Float64Array {
  return Float64Array.from(data as ArrayLike<number | bigint>, Number);
}

export const elementwise: OperatorTable = {
  Add: binary((a, b) => a + b),
  Sub: binary((a, b) => a - b),
  Mul: binary((a, b) => a * b),
  Div: binary((a, b) => a / b),
  Pow: binary((a, b) => a ** b),
  Mod: mod,
  Min: variadic(Math.min),
  Max: variadic(Math.max),
  Sum: variadic((a, b) => a + b),
  Mean: mean,

  Neg: plain((x) => -x),
  Abs: plain(Math.abs),
  Sqrt: plain(Math.sqrt),
  Exp: plain(Math.exp),
  Log: plain(Math.log),
  Reciprocal: plain((x) => 1 / x),
  Floor: plain(Math.floor),
  Ceil: plain(Math.ceil),
  Round: plain(roundHalfToEven),
  Sign: plain(Math.sign),
  Erf: plain(erf),
  Sin: plain(Math.sin),
  Cos: plain(Math.cos),
  Tan: plain(Math.tan),
  Asin: plain(Math.asin),
  Acos: plain(Math.acos),
  Atan: plain(Math.atan),
  Sinh: plain(Math.sinh),
  Cosh: plain(Math.cosh),
  Asinh: plain(Math.asinh),
  Acosh: plain(Math.acosh),
  Atanh: plain(Math.atanh),
  Identity: plain((x) => x),
  Clip: clip,

  Sigmoid: plain(sigmoid),
  Tanh: plain(Math.tanh),
  Relu: plain((x) => Math.max(x, 0)),
  LeakyRelu: unary((a) => {
    const alpha = a.float("alpha", 0.01);
    return (x) => (x < 0 ? alpha * x : x);
  }),
  PRelu: (inputs) => {
    const [x, slope] = [need(inputs, 0), need(inputs, 1)];
    broadcastStrides(slope.dims, x.dims);
    return zip(x, slope, (v, s) => (v < 0 ? s * v : v));
  },
  ThresholdedRelu: unary((a) => {
    const alpha = a.float("alpha", 1);
    return (x) => (x > alpha ? x : 0);
  }),
  Elu: unary((a) => {
    const alpha = a.float("alpha", 1);
    return (x) => (x < 0 ? alpha * Math.expm1(x) : x);
  }),
  Selu: unary((a) => {
    const alpha = a.float("alpha", 1.6732631921768188);
    const gamma = a.float("gamma", 1.0507010221481323);
    return (x) => (x > 0 ? gamma * x : gamma * alpha * Math.expm1(x));
  }),
  Celu: unary((a) => {
    const alpha = a.float("alpha", 1);
    return (x) => Math.max(0, x) + Math.min(0, alpha * Math.expm1(x / alpha));
  }),
  HardSigmoid: unary((a) => {
    const [alpha, beta] = [a.float("alpha", 0.2), a.float("beta", 0.5)];
    return (x) => clamp(alpha * x + beta, 0, 1);
  }),
  HardSwish: plain((x) => x * clamp(x / 6 + 0.5, 0, 1)),
  Softplus: plain(softplus),
  Softsign: plain((x) => x / (1 + Math.abs(x))),
  Mish: plain((x) => x * Math.tanh(softplus(x))),
  Gelu: gelu,

  Greater: binary((a, b) => Number(a > b), "bool"),
  GreaterOrEqual: binary((a, b) => Number(a >= b), "bool"),
  Less: binary((a, b) => Number(a < b), "bool"),
  LessOrEqual: binary((a, b) => Number(a <= b), "bool"),
  Equal: binary((a, b) => Number(a === b), "bool"),
  And: binary((a, b) => a & b, "bool"),
  Or: binary((a, b) => a | b, "bool"),
  Xor: binary((a, b) => a ^ b, "bool"),
  Not: plain((x) => 1 - x),
  BitwiseAnd: binary((a, b) => a & b),
  BitwiseOr: binary((a, b) => a | b),
  BitwiseXor: binary((a, b) => a ^ b),
  BitwiseNot: plain((x) => ~x),
  BitShift: (inputs, a) => {
    const left = a.text("direction") === "LEFT";
    return zip(need(inputs, 0), need(inputs, 1), (x, n) => (left ? x << n : x >>> n));
  },
  Where: where,
  IsNaN: (inputs) => map(need(inputs, 0), (x) => Number(Number.isNaN(x)), "bool"),
  IsInf: (inputs, a) => {
    const [negative, positive] = [a.int("detect_negative", 1) === 1, a.int("detect_positive", 1) === 1];
    const found = (x: number): boolean => (x === Infinity && positive) || (x === -Infinity && negative);
    return map(need(inputs, 0), (x) => Number(found(x)), "bool");
  },

  Cast: (inputs, a) => {
    return castTo(need(inputs, 0), dtypeFromNumber(a.int("to", 0)), a.int("saturate", 1) === 1);
  },
  CastLike: (inputs, a) => {
    a.ignore("saturate");
    return castTo(need(inputs, 0), need(inputs, 1).dtype);
  },
  Dropout: dropout,
  Constant: constant,
};
