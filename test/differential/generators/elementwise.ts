// Arithmetic, comparisons, logic, functions of one element.
import type { NumericDType } from "../../../src/base/tensor.ts";
import { type Attributes, float, int } from "../../../src/graph/graph.ts";
import { f32, fed, type Generator, known } from "../case.ts";
import type { FloatOptions } from "../draw.ts";

const floats = ["float32", "float32", "float32", "float64"] as const;
const numbers = [...floats, "int32", "int64"] as const;

/** One input of any rank. */
export const unary =
  (options: FloatOptions = {}, types: readonly NumericDType[] = ["float32"]): Generator =>
  ({ d }) => ({
    inputs: [fed(d.tensor(d.pick(types), d.shape(d.int(0, 4), { zero: true }), options))],
  });

/** One float input and float attributes, each left out now and then. */
export const withAttributes =
  (ranges: Readonly<Record<string, readonly [number, number]>>, options: FloatOptions = {}): Generator =>
  ({ d }) => {
    const attributes: Record<string, Attributes[string]> = {};
    for (const [name, [low, high]] of Object.entries(ranges))
      if (d.chance(0.7)) attributes[name] = float(Math.fround(d.float(low, high)));
    return { inputs: [fed(d.floats(d.shape(d.int(0, 4), { zero: true }), options))], attributes };
  };

/** Two inputs that broadcast to each other, on either side; one is a constant now and then. */
const binary =
  (types: readonly NumericDType[], options: FloatOptions = {}, attributes: Attributes = {}): Generator =>
  ({ d }) => {
    const dtype = d.pick(types);
    const shapes = d.broadcastable(2, d.int(0, 4));
    const [a, c] = d.chance(0.5) ? shapes : shapes.reverse();
    const one = (dims: readonly number[] = []) => d.tensor(dtype, dims, options);
    return {
      inputs: d.chance(0.2) ? [fed(one(a)), known(one(c))] : [fed(one(a)), fed(one(c))],
      attributes,
    };
  };

/** Any number of inputs that broadcast together. */
/** Any number of inputs that broadcast together, of one shape before opset 8. */
const several =
  (types: (opset: number) => readonly NumericDType[]): Generator =>
  ({ d, opset }) => {
    const count = d.int(1, 4);
    const rank = d.int(0, 3);
    const same = d.shape(rank);
    const shapes = opset >= 8 ? d.broadcastable(count, rank) : Array.from({ length: count }, () => same);
    const dtype = d.pick(types(opset));
    return { inputs: d.shuffled(shapes).map((dims) => fed(d.tensor(dtype, dims))) };
  };

const extremum = several((opset) => (opset >= 12 ? numbers : opset >= 8 ? floats : ["float32"]));

/** Whole numbers without a zero, for divisors. */
const divisor: Generator = ({ d }) => {
  const dtype = d.pick(numbers);
  const [a = [], c = []] = d.broadcastable(2, d.int(0, 4));
  const right = dtype.startsWith("int") ? d.ints(c, 1, 5, dtype) : d.floats(c, { dtype });
  return { inputs: [fed(d.tensor(dtype, a)), fed(right)] };
};

const compared = (opset: number, whole: number): readonly NumericDType[] =>
  opset >= whole ? numbers : floats;

const bits = ["int32", "int64", "uint8", "int8"] as const;

export const elementwise = {
  Add: binary(numbers),
  Sub: binary(numbers),
  Mul: binary(numbers),
  Div: divisor,
  Neg: unary({}, numbers),
  Abs: unary({}, numbers),
  Sqrt: unary({ low: 0 }, floats),
  Exp: unary({}, floats),
  Log: unary({ low: 0 }, floats),
  Reciprocal: unary({}, floats),
  Erf: unary({}, ["float32"]),
  Pow: ({ d, opset }) => {
    const [a = [], c = []] = d.broadcastable(2, d.int(0, 3));
    const base = d.floats(a, { edges: "finite", low: d.pick([0, -2]) });
    const one = d.chance(0.5)
      ? f32([d.pick([0, 1, 2, 3, 0.5, -1, -2, 2.5, -0.5])], d.pick([[], [1]]))
      : undefined;
    const dtype =
      opset >= 12 ? d.pick(["float32", "float32", "int32", "int64", "float64"] as const) : "float32";
    const exponent =
      one ?? fed(dtype.startsWith("int") ? d.ints(c, -2, 3, dtype) : d.floats(c, { dtype, edges: "none" }));
    return { inputs: [fed(base), exponent] };
  },
  Floor: unary({}, floats),
  Ceil: unary({}, floats),
  Round: unary({}, floats),
  Sign: unary({}, numbers),
  Mod: ({ d }) => {
    const dtype = d.pick(numbers);
    const [a = [], c = []] = d.broadcastable(2, d.int(0, 3));
    const whole = dtype.startsWith("int");
    const right = whole ? d.ints(c, 1, 5, dtype) : d.floats(c, { dtype, low: 0.5, edges: "none" });
    return {
      inputs: [fed(d.tensor(dtype, a, { edges: "none" })), fed(right)],
      attributes: { fmod: int(whole ? d.int(0, 1) : 1) },
    };
  },
  Cast: ({ d }) => {
    const from = d.pick(["float32", "float64", "int32", "int64", "bool", "uint8"] as const);
    const to = d.pick([1, 1, 6, 7, 9, 11]);
    // What becomes of a float beyond an integer type is nobody's promise.
    const edges = to === 6 || to === 7 ? "none" : "any";
    const x = d.tensor(from, d.shape(d.int(0, 3), { zero: true }), { edges, low: -9, high: 9 });
    return { inputs: [fed(x)], attributes: { to: int(to) } };
  },
  CastLike: ({ d }) => {
    const from = d.pick(["float32", "float64", "int32", "bool"] as const);
    const to = d.pick(["float32", "float64", "int64", "bool"] as const);
    const x = d.tensor(from, d.shape(d.int(0, 3)), { edges: to === "int64" ? "none" : "any" });
    return { inputs: [fed(x), fed(d.tensor(to, d.shape(1)))] };
  },
  Clip: ({ d, opset }) => {
    const dtype = opset >= 12 ? d.pick(numbers) : "float32";
    const x = fed(d.tensor(dtype, d.shape(d.int(0, 3), { zero: true })));
    const bound = () => d.tensor(dtype, [], { edges: d.chance(0.2) ? "any" : "none" });
    const [low, high] = [d.chance(0.7), d.chance(0.7)];
    if (opset >= 11) {
      const input = () => (d.chance(0.5) ? known(bound()) : fed(bound()));
      return { inputs: [x, low ? input() : undefined, high ? input() : undefined] };
    }
    const number = () => float(Math.fround(d.float(-1.5, 1.5)));
    return { inputs: [x], attributes: { ...(low && { min: number() }), ...(high && { max: number() }) } };
  },
  Identity: unary({}, [...numbers, "bool"]),
  Dropout: ({ d, opset }) => {
    const x = fed(d.floats(d.shape(d.int(1, 3), { zero: true })));
    const outputs = d.int(1, 2);
    if (opset >= 12) return { inputs: d.chance(0.5) ? [x] : [x, f32([d.pick([0, 0.5, 0.1])], [])], outputs };
    return { inputs: [x], attributes: d.chance(0.5) ? {} : { ratio: float(0.25) }, outputs };
  },
  Sum: several(() => floats),
  Mean: several(() => ["float32"]),
  Max: extremum,
  Min: extremum,
  Greater: (asked) => binary(compared(asked.opset, 9))(asked),
  Less: (asked) => binary(compared(asked.opset, 9))(asked),
  GreaterOrEqual: (asked) => binary(compared(asked.opset, 16))(asked),
  LessOrEqual: (asked) => binary(compared(asked.opset, 16))(asked),
  Equal: (asked) => binary(asked.opset >= 11 ? [...numbers, "bool"] : ["int32", "int64", "bool"])(asked),
  And: binary(["bool"]),
  Or: binary(["bool"]),
  Xor: binary(["bool"]),
  Not: unary({}, ["bool"]),
  BitwiseAnd: binary(bits),
  BitwiseOr: binary(bits),
  BitwiseXor: binary(bits),
  BitwiseNot: unary({}, bits),
  BitShift: ({ d }) => {
    const [a = [], c = []] = d.broadcastable(2, d.int(0, 3));
    const dtype = d.pick(["uint8", "uint32", "uint64"] as const);
    return {
      inputs: [fed(d.ints(a, 0, 200, dtype)), fed(d.ints(c, 0, 7, dtype))],
      attributes: { direction: { kind: "string", value: d.pick(["LEFT", "RIGHT"]) } },
    };
  },
  IsNaN: unary({}, floats),
  IsInf: ({ d }) => ({
    inputs: [fed(d.floats(d.shape(d.int(0, 3)), { dtype: d.pick(floats) }))],
    attributes: {
      ...(d.chance(0.5) && { detect_negative: int(d.int(0, 1)) }),
      ...(d.chance(0.5) && { detect_positive: int(d.int(0, 1)) }),
    },
  }),
  Where: ({ d }) => {
    const dtype = d.pick(["float32", "float32", "int64"]);
    const [a = [], c = [], e = []] = d.shuffled(d.broadcastable(3, d.int(0, 3)));
    return { inputs: [fed(d.bools(a)), fed(d.tensor(dtype, c)), fed(d.tensor(dtype, e))] };
  },
  Sin: unary({ edges: "summed", low: -9, high: 9 }, floats),
  Cos: unary({ edges: "summed", low: -9, high: 9 }, floats),
  Tan: unary({ edges: "summed" }),
  Asin: unary({ low: -1, high: 1 }),
  Acos: unary({ low: -1, high: 1 }),
  Atan: unary(),
  Sinh: unary(),
  Cosh: unary(),
  Asinh: unary(),
  Acosh: unary({ low: 1, high: 5 }),
  Atanh: unary({ low: -1, high: 1 }),
} satisfies Record<string, Generator>;
