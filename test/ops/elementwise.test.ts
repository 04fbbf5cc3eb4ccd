// Arithmetic, functions of one element, comparisons and choices: values, gradients, older spellings, refusals.
import { describe, expect, it } from "vitest";
import { differentiate } from "../../src/autodiff/differentiate.ts";
import { type DType, type NumericDType, type Tensor, tensor, toNumbers } from "../../src/base/tensor.ts";
import { type Attributes, float, int, string, typeOf, type Value } from "../../src/graph/graph.ts";
import type { Builder } from "../../src/ops/builder.ts";
import { elementwiseOps } from "../../src/ops/elementwise.ts";
import { newBuilder } from "../../src/ops/index.ts";
import { targets } from "../../src/ops/target.ts";
import type { InputSpec, Sample } from "../gradient-checker.ts";
import { evaluate } from "../reference/index.ts";
import { checkFamily, type Samples } from "./check-family.ts";
import { emit, emitAll } from "./emit.ts";

type Input = InputSpec | readonly number[];
const spec = (input: Input): InputSpec => ("dims" in input ? input : { dims: input });

/** One node on float inputs; `constants` follow the inputs. */
function sample(
  op: string,
  name: string,
  inputs: readonly Input[],
  attributes: Attributes = {},
  constants: readonly (Tensor | undefined)[] = [],
  opset = 21,
): Sample {
  return {
    name: `${op}: ${name}`,
    inputs: inputs.map(spec),
    build: (b, ...xs) => emit(b, op, [...xs, ...constants], attributes, { opset }),
  };
}

/** A boolean answer picks between two values that do have gradients. */
function asked(op: string, inputs: readonly Input[], attributes: Attributes = {}): Sample {
  return {
    name: `${op}: chooses`,
    inputs: inputs.map(spec),
    build: (b, ...xs) => b.where(emit(b, op, xs, attributes), b.square(xs[0] as Value), xs[0] as Value),
  };
}

/** And, Or, Xor of x > 0 and z > 1/2. */
function logical(op: string): Sample {
  return {
    name: `${op}: chooses`,
    inputs: [
      { dims: [4, 5], kinks: [0] },
      { dims: [5], kinks: [0.5] },
    ],
    build: (b, x, z) => {
      const answer = emit(b, op, [
        b.greater(x as Value, b.like(x as Value, 0)),
        b.greater(z as Value, b.like(z as Value, 0.5)),
      ]);
      return b.where(answer, b.square(x as Value), z as Value);
    },
  };
}

const positive = (...dims: number[]): InputSpec => ({ dims, low: 0.3, high: 2.5 });
const f = (value: number): Tensor => ({ dtype: "float32", dims: [], data: Float32Array.of(value) });
/** A float constant of the inputs' own type, which differs between the reference and ONNX Runtime. */
const withScalars = (
  op: string,
  name: string,
  input: Input,
  values: readonly (number | undefined)[],
): Sample => ({
  name: `${op}: ${name}`,
  inputs: [spec(input)],
  build: (b, x) =>
    emit(b, op, [x as Value, ...values.map((v) => (v === undefined ? v : b.like(x as Value, v)))]),
});
const binary = (op: string, second: (...dims: number[]) => InputSpec = (...dims) => ({ dims })): Sample[] => [
  sample(op, "same shape", [[2, 3], second(2, 3)]),
  sample(op, "the second broadcasts", [[2, 3, 4], second(3, 1)]),
  sample(op, "the first broadcasts", [[4], second(2, 1, 4)]),
  sample(op, "both broadcast", [[2, 1, 4], second(3, 1)]),
  sample(op, "a scalar", [[2, 3], second()]),
  { ...sample(op, "one input twice", []), inputs: [second(3)], build: (b, x) => emit(b, op, [x, x]) },
];
const inside = (...dims: number[]): InputSpec => ({ dims, low: -0.9, high: 0.9 });
/** Whole numbers made of x and its double pick out bits; they pass no gradient, their factor does. */
const bitwise = (op: string, attributes: Attributes = {}): Sample[] => [
  {
    name: `${op}: passes no gradient`,
    inputs: [
      { dims: [3, 4], low: 0.5, high: 7, kinks: [0.5, 1, 1.5, 2, 2.5, 3, 3.5, 4, 4.5, 5, 5.5, 6, 6.5] },
    ],
    build: (b, x) => {
      const dtype = op === "BitShift" ? "uint32" : "int32";
      const number = (v: Value): Value => b.cast(v, dtype);
      const inputs = [number(x as Value), number(b.scale(x as Value, 2))];
      const bits = emit(b, op, inputs.slice(0, op === "BitwiseNot" ? 1 : 2), attributes);
      return b.mul(b.cast(bits, typeOf(x as Value).dtype), x as Value);
    },
  },
];
const roundings = (op: string): Sample[] => [
  {
    name: `${op}: passes no gradient`,
    inputs: [{ dims: [3, 4], kinks: [-2, -1.5, -1, -0.5, 0, 0.5, 1, 1.5, 2] }],
    build: (b, x) => b.mul(emit(b, op, [x]), x as Value),
  },
];

const samples: Samples = {
  Add: binary("Add"),
  Sub: binary("Sub"),
  Mul: binary("Mul"),
  Div: binary("Div", positive),
  Neg: [sample("Neg", "plain", [[2, 3]])],
  Abs: [sample("Abs", "plain", [{ dims: [4, 5], kinks: [0] }])],
  Sqrt: [sample("Sqrt", "plain", [positive(2, 3)])],
  Exp: [sample("Exp", "plain", [[2, 3]])],
  Log: [sample("Log", "plain", [positive(2, 3)])],
  Reciprocal: [sample("Reciprocal", "plain", [positive(2, 3)])],
  Erf: [sample("Erf", "plain", [[2, 3]])],
  Sin: [sample("Sin", "plain", [[2, 3]])],
  Cos: [sample("Cos", "plain", [[2, 3]])],
  Tan: [sample("Tan", "plain", [{ dims: [2, 3], low: -1.2, high: 1.2 }])],
  Asin: [sample("Asin", "plain", [inside(2, 3)])],
  Acos: [sample("Acos", "plain", [inside(2, 3)])],
  Atan: [sample("Atan", "plain", [[2, 3]], {}, [], 22)],
  Sinh: [sample("Sinh", "plain", [[2, 3]])],
  Cosh: [sample("Cosh", "plain", [[2, 3]])],
  Asinh: [sample("Asinh", "plain", [[2, 3]], {}, [], 9)],
  Acosh: [sample("Acosh", "plain", [{ dims: [2, 3], low: 1.1, high: 4 }])],
  Atanh: [sample("Atanh", "plain", [inside(2, 3)])],
  BitwiseAnd: bitwise("BitwiseAnd"),
  BitwiseOr: bitwise("BitwiseOr"),
  BitwiseXor: bitwise("BitwiseXor"),
  BitwiseNot: bitwise("BitwiseNot"),
  BitShift: bitwise("BitShift", { direction: string("LEFT") }),
  Pow: [
    sample("Pow", "both differentiated", [positive(2, 3), [2, 3]]),
    sample("Pow", "both broadcast", [positive(2, 1, 2), [3, 1]]),
    ...[-1, 0, 0.5, 1, 3, 1.7, -2.5].map((p) => withScalars("Pow", `constant ${p}`, positive(5), [p])),
    ...[2, 3].map((p) => withScalars("Pow", `constant ${p} of negative numbers`, [6], [p])),
    sample("Pow", "int64 exponents of negative numbers", [{ dims: [4], values: [-1.5, 2, -0.5, 1.25] }], {}, [
      tensor("int64", [3, 2, 1, 0]),
    ]),
    sample("Pow", "int64 scalar", [[5]], {}, [tensor("int64", [2], [])]),
    sample("Pow", "a scalar constant of higher rank", [positive(3)], {}, [tensor("int64", [2], [1, 1])]),
    {
      name: "Pow: primitive node, constants 1 and 2",
      inputs: [{ dims: [4], low: 0.5 }],
      build: (b, x) => [b.pow(x as Value, b.like(x as Value, 1)), b.pow(x as Value, b.like(x as Value, 2))],
    },
  ],
  Floor: roundings("Floor"),
  Ceil: roundings("Ceil"),
  Round: roundings("Round"),
  Sign: roundings("Sign"),
  Mod: [
    {
      name: "Mod: fmod",
      inputs: [{ dims: [6], low: 0.1, high: 5, kinks: [1.5, 3, 4.5] }],
      build: (b, x) => emit(b, "Mod", [x, b.like(x as Value, 1.5)], { fmod: int(1) }),
    },
  ],
  Cast: [
    {
      name: "Cast: to float64 and back",
      inputs: [{ dims: [2, 3] }],
      build: (b, x) =>
        emit(
          b,
          "Cast",
          [b.square(emit(b, "Cast", [x], { to: int(11) }))],
          { to: int(typeOf(x as Value).dtype === "float32" ? 1 : 11) },
          { opset: 9 },
        ),
    },
    {
      name: "Cast: through int32 passes nothing",
      inputs: [{ dims: [8], kinks: [-1, 0, 1], low: -1.9, high: 1.9 }],
      build: (b, x) => {
        const back = int(typeOf(x as Value).dtype === "float32" ? 1 : 11);
        const whole = emit(b, "Cast", [emit(b, "Cast", [x], { to: int(6) })], { to: back });
        return b.mul(whole, x as Value);
      },
    },
  ],
  CastLike: [
    {
      name: "CastLike: bool to float",
      inputs: [{ dims: [5], kinks: [0] }],
      build: (b, x) =>
        b.mul(emit(b, "CastLike", [b.greater(x as Value, b.like(x as Value, 0)), x]), x as Value),
    },
  ],
  Clip: [
    withScalars("Clip", "both bounds", { dims: [20], kinks: [-1, 0.5] }, [-1, 0.5]),
    withScalars("Clip", "from below", { dims: [20], kinks: [0] }, [0]),
    withScalars("Clip", "from above", { dims: [20], kinks: [0.5] }, [undefined, 0.5]),
    withScalars("Clip", "no bounds", [3], []),
    sample(
      "Clip",
      "attributes",
      [{ dims: [20], low: -3, high: 9, kinks: [0, 6] }],
      { min: float(0), max: float(6) },
      [],
      6 + 1,
    ),
    sample("Clip", "one attribute", [{ dims: [20], kinks: [0] }], { min: float(0) }, [], 10),
  ],
  Identity: [sample("Identity", "plain", [[2, 3]])],
  Dropout: [
    sample("Dropout", "without a mask", [[2, 3]], {}, [f(0.5)]),
    {
      name: "Dropout: with a mask, both outputs",
      inputs: [{ dims: [2, 3] }],
      build: (b, x) => {
        const hooks = {
          runningStatistics: () => undefined,
          dropoutMask: (): Value =>
            b.constant(tensor(typeOf(x as Value).dtype as NumericDType, [0, 4, 4, 0, 4, 0], [2, 3])),
        };
        const [y, kept] = emitAll(b, "Dropout", [x, f(0.75)], {}, { hooks, outputs: 2 });
        return b.where(kept as Value, y as Value, x as Value);
      },
    },
  ],
  Sum: [
    sample("Sum", "three, broadcast", [[2, 3], [3], [2, 1]]),
    sample("Sum", "one", [[2, 3]]),
    sample("Sum", "opset 8", [[2], [2]], {}, [], 8),
  ],
  Mean: [sample("Mean", "three, broadcast", [[2, 3], [3], [2, 1]]), sample("Mean", "one", [[2]])],
  Greater: [asked("Greater", [[3, 4], [4]])],
  GreaterOrEqual: [asked("GreaterOrEqual", [[3, 4], [4]])],
  Less: [asked("Less", [[3, 4], [4]])],
  LessOrEqual: [
    asked("LessOrEqual", [
      [3, 4],
      [3, 1],
    ]),
  ],
  Equal: [asked("Equal", [[3, 4], [4]])],
  And: [logical("And")],
  Or: [logical("Or")],
  Xor: [logical("Xor")],
  Not: [
    {
      name: "Not: chooses",
      inputs: [{ dims: [6], kinks: [0] }],
      build: (b, x) => {
        const v = x as Value;
        return b.where(emit(b, "Not", [b.greater(v, b.like(v, 0))]), b.square(v), v);
      },
    },
  ],
  IsNaN: [asked("IsNaN", [[2, 3]])],
  IsInf: [asked("IsInf", [[2, 3]]), asked("IsInf", [[2, 3]], { detect_negative: int(0) })],
  Where: [
    {
      name: "Where: everything broadcasts",
      inputs: [{ dims: [3, 1], kinks: [0] }, { dims: [2, 1, 4] }, { dims: [] }],
      build: (b, x, y, z) => {
        const v = x as Value;
        return b.add(v, emit(b, "Where", [b.greater(v, b.like(v, 0)), y, z]));
      },
    },
  ],
  Max: [
    sample("Max", "two, broadcast", [
      { dims: [2, 3], low: 0, high: 1 },
      { dims: [3], low: 1.1 },
    ]),
    sample("Max", "three", [{ dims: [3, 4] }, { dims: [3, 4] }, { dims: [4] }]),
    sample("Max", "one", [[3]], {}, [], 7),
  ],
  Min: [
    sample("Min", "two, broadcast", [{ dims: [2, 3] }, { dims: [2, 1] }]),
    sample("Min", "three", [{ dims: [3, 4] }, { dims: [3, 4] }, { dims: [4] }], {}, [], 12),
  ],
};

checkFamily(elementwiseOps, samples);

/** Gradients at given points of Σ y · (1, 2, 3, …), in the reference evaluator; float32 types, so as to run those forms. */
function gradientsAt(
  inputs: readonly (readonly number[])[],
  build: (b: Builder, ...xs: Value[]) => Value,
  dtype: DType = "float32",
): (number[] | undefined)[] {
  const b = newBuilder("kinks", targets.cpu);
  const xs = inputs.map((v, i) => b.graph.addInput(`x${i}`, { dtype, dims: [v.length] }));
  const y = build(b, ...xs);
  const weights = b.constant(
    tensor(
      dtype as NumericDType,
      Array.from({ length: b.dims(y)[0] ?? 1 }, (_, i) => i + 1),
    ),
  );
  const gradients = differentiate(b, b.reduceSum(b.mul(y, weights)), xs);
  const feeds = Object.fromEntries(inputs.map((v, i) => [`x${i}`, tensor(dtype as NumericDType, v)]));
  const values = evaluate(b.graph, feeds);
  return xs.map((x) => {
    const g = gradients.get(x);
    return g && toNumbers(values.get(g) as Tensor);
  });
}

describe("conventions at kinks, as PyTorch's", () => {
  it("|x|: 0 at 0", () => {
    for (const dtype of ["float32", "float64"] as const)
      expect(gradientsAt([[-2, 0, 3]], (b, x) => emit(b, "Abs", [x]), dtype)).toEqual([[-1, 0, 3]]);
  });
  it("Clip: 0 at both bounds, as relu6 and hardtanh", () => {
    expect(
      gradientsAt([[-1, 0, 1, 6, 7]], (b, x) =>
        emit(b, "Clip", [x, b.like(x as Value, 0), b.like(x as Value, 6)]),
      ),
    ).toEqual([[0, 0, 3, 0, 0]]);
  });
  it("Max and Min: half each where both are equal", () => {
    for (const op of ["Max", "Min"])
      expect(
        gradientsAt(
          [
            [1, 4],
            [1, 4],
          ],
          (b, x, y) => emit(b, op, [x, y]),
        ),
      ).toEqual([
        [0.5, 1],
        [0.5, 1],
      ]);
  });
  it("Pow: no NaN at x = 0, and 0 where the exponent is 0", () => {
    const [dx, dp] = gradientsAt(
      [
        [0, 0, 2, 0],
        [2, 0, 0, 1],
      ],
      (b, x, p) => emit(b, "Pow", [x, p]),
    );
    expect(dx).toEqual([0, 0, 0, 4]);
    expect(dp).toEqual([0, 0, 3 * Math.log(2), 0]);
  });
});

describe("what makes no node", () => {
  const count = (build: (b: Builder, x: Value) => Value): number => {
    const b = newBuilder("nodes", targets.cpu);
    build(b, b.graph.addInput("x", { dtype: "float32", dims: [2, 3] }));
    return b.graph.nodes.length;
  };
  it("Identity, Dropout without a mask, a Cast to the same type, a power of 1", () => {
    expect(count((b, x) => emit(b, "Identity", [x]))).toBe(0);
    expect(count((b, x) => emit(b, "Dropout", [x], { ratio: float(0.3) }, { opset: 10 }))).toBe(0);
    // An infinity does not pass it.
    expect(count((b, x) => emit(b, "Clip", [x]))).toBe(1);
    expect(count((b, x) => emit(b, "Cast", [x], { to: int(1) }))).toBe(0);
    expect(count((b, x) => emit(b, "Pow", [x, b.like(x, 1)]))).toBe(0);
  });
});

describe("Dropout asks for its mask", () => {
  const asks = (inputs: (Tensor | undefined)[], attributes: Attributes, opset: number): unknown[] => {
    const b = newBuilder("mask", targets.cpu);
    const x = b.graph.addInput("x", { dtype: "float32", dims: [4] });
    const asked: unknown[] = [];
    const hooks = {
      runningStatistics: () => undefined,
      dropoutMask: (...args: unknown[]) => {
        asked.push(args);
        return undefined;
      },
    };
    emit(b, "Dropout", [x, ...inputs], attributes, { opset, hooks });
    return asked;
  };
  const type = { dtype: "float32", dims: [4] };
  it("with the node's name, the type and the ratio, in each spelling", () => {
    expect(asks([], { ratio: float(0.25) }, 7)).toEqual([["node", type, 0.25]]);
    expect(asks([], {}, 11)).toEqual([["node", type, 0.5]]);
    expect(asks([f(0.25)], {}, 12)).toEqual([["node", type, 0.25]]);
    expect(asks([], {}, 22)).toEqual([["node", type, 0.5]]);
    expect(asks([f(0)], {}, 13)).toEqual([]);
  });
  it("refuses a ratio that leaves nothing", () => {
    expect(() => asks([f(1)], {}, 13)).toThrow('Dropout at node "node": ratio is 1; it must be in [0, 1)');
  });
});

describe("refusals", () => {
  const add = (a: { dtype: DType; dims: number[] }, c: { dtype: DType; dims: number[] }) => () => {
    const b = newBuilder("refusal", targets.cpu);
    return emit(b, "Add", [b.graph.addInput("a", a), b.graph.addInput("c", c)]);
  };
  it("says what does not fit", () => {
    expect(add({ dtype: "float32", dims: [2, 3] }, { dtype: "float32", dims: [2] })).toThrow(
      'Add "node/Add": the shapes [2,3] and [2] do not broadcast; each axis, counted from the last, must be equal or 1',
    );
    expect(add({ dtype: "float32", dims: [2] }, { dtype: "int64", dims: [2] })).toThrow(
      'Add "node/Add": its inputs are float32 and int64; ONNX wants one element type, put a Cast before it',
    );
  });
  it("knows no gradient of a bound", () => {
    const b = newBuilder("bound", targets.cpu);
    const x = b.graph.addInput("x", { dtype: "float32", dims: [2] });
    const low = b.graph.addInput("layer.low", { dtype: "float32", dims: [] });
    const loss = b.reduceSum(emit(b, "Clip", [x, low]));
    expect(() => differentiate(b, loss, [low])).toThrow("no gradient rule for Clip (input 1)");
  });
});
