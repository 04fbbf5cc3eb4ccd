// Activation functions of one element. Softmax and LogSoftmax are in softmax.ts; Gelu and its kin in activation-gelu.ts.
// Conventions at kinks are PyTorch's: relu'(0) = 0.
import type { Value } from "../graph/graph.ts";
import { geluOps } from "./activation-gelu.ts";
import { type Builder, float } from "./builder.ts";
import { defineOp, oneNode } from "./define.ts";
import { passPositive, positiveMask } from "./gate.ts";
import { sameAsFirst } from "./infer.ts";
import { softmaxOps } from "./softmax.ts";

/** left where x > 0, else right. */
function wherePositive(b: Builder, x: Value, left: Value, right: Value): Value {
  return b.where(b.greater(x, b.like(x, 0)), left, right);
}

/** y = max(x, 0);  dx = dy where y > 0, else 0. */
const relu = defineOp({
  op: "Relu",
  versions: [6, 13, 14],
  emit: oneNode,
  infer: sameAsFirst,
  grad: ({ b, y, dy }) => [() => passPositive(b, y(0), dy(0))],
});

/** y = x for x > 0, else αx;  dx = dy for x > 0, else α·dy. */
const leakyRelu = defineOp({
  op: "LeakyRelu",
  versions: [6, 16],
  emit: oneNode,
  infer: sameAsFirst,
  grad: ({ b, x, dy, attr }) => [
    () => {
      const alpha = attr.float("alpha", 0.01);
      if (alpha < 0 || alpha > 1) return wherePositive(b, x(0), dy(0), b.scale(dy(0), alpha));
      // max(mask, α), as a Clip because that is the faster kernel.
      const mask = positiveMask(b, x(0));
      return b.mul(dy(0), b.node("Clip", [mask, b.like(mask, alpha), b.like(mask, 1)]));
    },
  ],
});

/** y = x for x > 0, else s·x, s broadcast to x's shape;  dx = dy for x > 0, else s·dy;  ds = dy·min(x, 0). */
const pRelu = defineOp({
  op: "PRelu",
  versions: [7, 9, 16],
  weights: [1],
  undecayed: [1],
  emit: oneNode,
  infer: sameAsFirst,
  grad: ({ b, x, dy }) => [
    () => wherePositive(b, x(0), dy(0), b.mul(dy(0), x(1))),
    () => b.mul(dy(0), b.min(x(0), b.like(x(0), 0))),
  ],
});

/** y = x for x > 0, else α(eˣ − 1);  dx = dy for x > 0, else dy·(y + α). */
const elu = defineOp({
  op: "Elu",
  versions: [6, 22],
  emit: oneNode,
  infer: sameAsFirst,
  grad: ({ b, x, y, dy, attr }) => [
    () => wherePositive(b, x(0), dy(0), b.mul(dy(0), b.shift(y(0), attr.float("alpha", 1)))),
  ],
});

/** y = γ·Elu(x; α). Selu and Celu are written with Elu because WebGPU has no kernel for them. */
const selu = defineOp({
  op: "Selu",
  versions: [6, 22],
  composed: true,
  emit: ({ b, x, attr }) => {
    const alpha = attr.float("alpha", 1.6732631921768188);
    return [b.scale(b.node("Elu", [x(0)], { alpha: float(alpha) }), attr.float("gamma", 1.0507010221481323))];
  },
});

/** y = x for x > 0, else α(exp(x/α) − 1), α·Elu(x/α; 1) there;  dx = dy for x > 0, else dy·(y/α + 1). */
const celu = defineOp({
  op: "Celu",
  versions: [12, 28],
  composed: true,
  emit: ({ b, x, attr }) => {
    const alpha = attr.float("alpha", 1);
    const y = wherePositive(
      b,
      x(0),
      x(0),
      b.scale(b.node("Elu", [b.scale(x(0), 1 / alpha)], { alpha: float(1) }), alpha),
    );
    b.region({
      inputs: [x(0)],
      outputs: [y],
      grad: (dy) => [() => wherePositive(b, x(0), dy(0), b.mul(dy(0), b.shift(b.scale(y, 1 / alpha), 1)))],
    });
    return [y];
  },
});

/** y = 1/(1 + e⁻ˣ);  dx = dy · y(1 − y). */
const sigmoid = defineOp({
  op: "Sigmoid",
  versions: [6, 13],
  emit: oneNode,
  infer: sameAsFirst,
  grad: ({ b, y, dy }) => [() => b.mul(dy(0), b.sub(y(0), b.square(y(0))))],
});

/** y = tanh x;  dx = dy · (1 − y²). */
const tanh = defineOp({
  op: "Tanh",
  versions: [6, 13],
  emit: oneNode,
  infer: sameAsFirst,
  grad: ({ b, y, dy }) => [() => b.mul(dy(0), b.sub(b.like(y(0), 1), b.square(y(0))))],
});

/** y = clip(αx + β, 0, 1);  dx = α·dy strictly inside, where y(1 − y) > 0; else 0. */
const hardSigmoid = defineOp({
  op: "HardSigmoid",
  versions: [6, 22],
  emit: oneNode,
  infer: sameAsFirst,
  grad: ({ b, y, dy, attr }) => [
    () => passPositive(b, b.sub(y(0), b.square(y(0))), b.scale(dy(0), attr.float("alpha", 0.2))),
  ],
});

/** y = x · clip(x/6 + 1/2, 0, 1);  dx = 0 for x <= −3, dy for x >= 3, else dy·(x/3 + 1/2). */
const hardSwish = defineOp({
  op: "HardSwish",
  versions: [14, 22],
  emit: oneNode,
  infer: sameAsFirst,
  grad: ({ b, x, dy }) => [
    () => {
      const middle = b.mul(dy(0), b.shift(b.scale(x(0), 1 / 3), 0.5));
      const upper = b.where(b.less(x(0), b.like(x(0), 3)), middle, dy(0));
      return b.where(b.greater(x(0), b.like(x(0), -3)), upper, b.like(dy(0), 0));
    },
  ],
});

/** y = log(1 + eˣ);  dx = dy · σ(x). */
const softplus = defineOp({
  op: "Softplus",
  versions: [1, 22],
  emit: oneNode,
  infer: sameAsFirst,
  grad: ({ b, x, dy }) => [() => b.mul(dy(0), b.node("Sigmoid", [x(0)]))],
});

/** y = x/(1 + |x|);  dx = dy/(1 + |x|)². Written out because WebGPU has no kernel for it. */
const softsign = defineOp({
  op: "Softsign",
  versions: [1, 22],
  composed: true,
  emit: ({ b, x }) => {
    const size = b.shift(b.abs(x(0)), 1);
    const y = b.div(x(0), size);
    b.region({ inputs: [x(0)], outputs: [y], grad: (dy) => [() => b.div(dy(0), b.square(size))] });
    return [y];
  },
});

/** y = x · tanh(softplus(x)). */
const mish = defineOp({
  op: "Mish",
  versions: [18, 22],
  composed: true,
  emit: ({ b, x }) => [b.mul(x(0), b.tanh(b.node("Softplus", [x(0)])))],
});

/** y = x + bias for x < −λ, else x − bias for x > λ, else 0;  dx = dy outside of [−λ, λ], else 0. */
const shrink = defineOp({
  op: "Shrink",
  versions: [9],
  composed: true,
  emit: ({ b, x, attr }) => {
    const [lambda, bias] = [attr.float("lambd", 0.5), attr.float("bias", 0)];
    const above = b.where(b.greater(x(0), b.like(x(0), lambda)), b.shift(x(0), -bias), b.like(x(0), 0));
    return [b.where(b.less(x(0), b.like(x(0), -lambda)), b.shift(x(0), bias), above)];
  },
});

/** y = x for x > α, else 0;  dx = dy for x > α, else 0. */
const thresholdedRelu = defineOp({
  op: "ThresholdedRelu",
  versions: [10, 22],
  emit: oneNode,
  infer: sameAsFirst,
  grad: ({ b, x, dy, attr }) => [() => passPositive(b, b.shift(x(0), -attr.float("alpha", 1)), dy(0))],
});

export const activationOps = [
  relu,
  leakyRelu,
  pRelu,
  elu,
  selu,
  celu,
  sigmoid,
  tanh,
  hardSigmoid,
  hardSwish,
  softplus,
  softsign,
  mish,
  thresholdedRelu,
  shrink,
  ...geluOps,
  ...softmaxOps,
] as const;
