// Activation functions, Softmax and its kin, Gelu and its spellings.
import { int, string } from "../../../src/graph/graph.ts";
import { fed, type Generator, type UpTo, upTo } from "../case.ts";
import { unary, withAttributes } from "./elementwise.ts";

const floats = ["float32", "float32", "float64"] as const;

/** Before opset 13 the axis cuts the input into a matrix; a row of it may be −∞ alone, or hold NaN. */
const softmaxLike: Generator = ({ d, opset }) => {
  const dims = d.shape(d.int(opset < 13 ? 2 : 1, 4), { zero: true });
  const x = d.floats(dims, { dtype: d.pick(["float32", "float64"]), low: -9, high: 9 });
  return { inputs: [fed(x)], attributes: d.chance(0.3) ? {} : { axis: int(d.int(0, dims.length - 1)) } };
};

const withBias =
  (required: boolean): Generator =>
  ({ d }) => {
    const dims = d.shape(d.int(1, 3));
    const bias = fed(d.floats(dims.slice(-1)));
    return { inputs: required || d.chance(0.5) ? [fed(d.floats(dims)), bias] : [fed(d.floats(dims))] };
  };

export const activation = {
  Relu: unary({}, floats),
  LeakyRelu: withAttributes({ alpha: [-0.5, 1.5] }),
  PRelu: ({ d }) => {
    const [whole = [], part = []] = d.broadcastable(2, d.int(1, 4));
    return { inputs: [fed(d.floats(whole)), fed(d.floats(part))] };
  },
  Elu: withAttributes({ alpha: [-1, 2] }),
  Selu: withAttributes({ alpha: [0.5, 2], gamma: [0.5, 2] }),
  Celu: withAttributes({ alpha: [0.1, 3] }),
  Sigmoid: unary({ low: -20, high: 20 }, floats),
  Tanh: unary({ low: -10, high: 10 }, floats),
  HardSigmoid: withAttributes({ alpha: [0.1, 1], beta: [-0.5, 1] }),
  HardSwish: unary({ low: -5, high: 5 }),
  Softplus: unary({ low: -20, high: 20 }),
  Softsign: unary(),
  Mish: unary({ low: -20, high: 20 }),
  ThresholdedRelu: withAttributes({ alpha: [-1, 1.5] }),
  Shrink: withAttributes({ lambd: [-0.5, 1], bias: [-1, 1] }),
  Gelu: ({ d }) => ({
    inputs: [fed(d.floats(d.shape(d.int(0, 3)), { low: -6, high: 6 }))],
    attributes: d.chance(0.3) ? {} : { approximate: string(d.pick(["none", "tanh"])) },
  }),
  "com.microsoft::Gelu": unary({ low: -6, high: 6 }),
  "com.microsoft::BiasGelu": withBias(true),
  "com.microsoft::FastGelu": withBias(false),
  "com.microsoft::QuickGelu": withAttributes({ alpha: [-1, 3] }),
  Swish: upTo(24, "the runtime finds no kernel from opset 25 on", withAttributes({ alpha: [-1, 3] })),
  Softmax: softmaxLike,
  LogSoftmax: softmaxLike,
  Hardmax: ({ d }) => {
    const dims = d.shape(d.int(1, 4));
    // Beside a NaN the runtime finds no maximum, or another.
    return {
      inputs: [fed(d.floats(dims, { edges: "ordered" }))],
      attributes: { axis: int(d.int(0, dims.length - 1)) },
    };
  },
} satisfies Record<string, Generator | UpTo>;
