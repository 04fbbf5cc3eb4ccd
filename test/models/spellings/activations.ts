// Activations.
import { f32, type Meaning, number, project, w } from "./spelling.ts";

export const relu6: Meaning = {
  layer: "Relu6",
  input: [2, 4],
  weights: {
    w: f32(
      Array.from(w.data as Float32Array, (e) => 8 * e),
      [4, 3],
    ),
  },
  spellings: [
    {
      name: "Clip of constants",
      constants: { low: number(0), high: number(6) },
      text: "p = MatMul(x, w)\ny = Clip(p, low, high)",
    },
    { name: "Clip of attributes", opset: 7, text: "p = MatMul(x, w)\ny = Clip(p) min=0.0 max=6.0" },
    {
      name: "Clip of Constant nodes",
      text: `p = MatMul(x, w)
             low = Constant() value_float=0.0
             high = Constant() value_float=6.0
             y = Clip(p, low, high)`,
    },
    {
      name: "Relu and Min",
      constants: { six: number(6) },
      text: "p = MatMul(x, w)\nr = Relu(p)\ny = Min(r, six)",
    },
    {
      name: "Relu and Clip without a minimum",
      constants: { six: number(6) },
      text: "p = MatMul(x, w)\nr = Relu(p)\ny = Clip(r, , six)",
    },
    {
      name: "Min and Max",
      constants: { six: f32([6]), zero: f32([0]) },
      text: "p = MatMul(x, w)\nr = Max(zero, p)\ny = Min(six, r)",
    },
  ],
};

export const gelu: Meaning = {
  layer: "Gelu",
  input: [2, 4],
  weights: { w },
  spellings: [
    { name: "Gelu", opset: 20, text: `${project}y = Gelu(p)` },
    { name: "com.microsoft Gelu", text: `${project}y = com.microsoft::Gelu(p)` },
    {
      name: "Erf of a quotient, halved last",
      constants: { root: number(Math.SQRT2), one: number(1), half: number(0.5) },
      text: `${project}
             d = Div(p, root)
             e = Erf(d)
             a = Add(e, one)
             m = Mul(p, a)
             y = Mul(m, half)`,
    },
    {
      name: "Erf of a product, halved first",
      constants: { root: number(Math.SQRT1_2), one: number(1), half: number(0.5) },
      text: `${project}
             d = Mul(p, root)
             e = Erf(d)
             a = Add(one, e)
             h = Mul(half, p)
             y = Mul(h, a)`,
    },
  ],
};

export const hardSwish: Meaning = {
  layer: "HardSwish",
  input: [2, 4],
  weights: {
    w: f32(
      Array.from(w.data as Float32Array, (e) => 4 * e),
      [4, 3],
    ),
  },
  spellings: [
    { name: "HardSwish", text: `${project}y = HardSwish(p)` },
    {
      name: "HardSigmoid and Mul",
      text: `${project}s = HardSigmoid(p) alpha=0.16666667 beta=0.5\ny = Mul(p, s)`,
    },
    {
      name: "Clip and Div, as TorchScript writes it",
      opset: 13,
      constants: { three: number(3), low: number(0), high: number(6), six: number(6) },
      text: `${project}
             a = Add(p, three)
             c = Clip(a, low, high)
             d = Div(c, six)
             y = Mul(p, d)`,
    },
    {
      name: "Mul before Div, and Relu6 by Clip of attributes",
      opset: 10,
      constants: { three: f32([3]), six: f32([6]) },
      text: `${project}
             a = Add(p, three)
             c = Clip(a) min=0.0 max=6.0
             m = Mul(p, c)
             y = Div(m, six)`,
    },
  ],
};

export const swish: Meaning = {
  layer: "Swish",
  input: [2, 4],
  weights: { w },
  spellings: [
    { name: "Sigmoid and Mul", text: `${project}s = Sigmoid(p)\ny = Mul(p, s)` },
    { name: "QuickGelu", text: `${project}y = com.microsoft::QuickGelu(p) alpha=1.0` },
    {
      name: "Exp, Add and Div",
      constants: { one: number(1) },
      text: `${project}
             n = Neg(p)
             e = Exp(n)
             a = Add(e, one)
             y = Div(p, a)`,
    },
  ],
};

export const mish: Meaning = {
  layer: "Mish",
  input: [2, 4],
  weights: { w },
  spellings: [
    { name: "Mish", opset: 18, text: `${project}y = Mish(p)` },
    { name: "Softplus, Tanh and Mul", text: `${project}s = Softplus(p)\nt = Tanh(s)\ny = Mul(p, t)` },
    {
      name: "Softplus as Log of Exp",
      constants: { one: number(1) },
      text: `${project}
             e = Exp(p)
             a = Add(e, one)
             s = Log(a)
             t = Tanh(s)
             y = Mul(t, p)`,
    },
  ],
};
