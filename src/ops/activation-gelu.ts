// Gelu in both its forms, and ONNX Runtime's own spellings of it (com.microsoft), which its transformer tools write. All are
// emitted as their parts: the runtime fuses them again where it can.
import { DistillError } from "../base/errors.ts";
import type { Value } from "../graph/graph.ts";
import type { Builder } from "./builder.ts";
import { defineOp } from "./define.ts";

/** y = x·Φ(x), Φ(x) = (1 + erf(x/√2))/2;  dx = dy · (Φ(x) + x·exp(−x²/2)/√(2π)). */
function exactGelu(b: Builder, x: Value): Value {
  const share = b.scale(b.shift(b.erf(b.scale(x, Math.SQRT1_2)), 1), 0.5);
  const y = b.mul(x, share);
  b.region({
    inputs: [x],
    outputs: [y],
    grad: (dy) => [
      () => {
        const density = b.scale(b.exp(b.scale(b.square(x), -0.5)), 1 / Math.sqrt(2 * Math.PI));
        return b.mul(dy(0), b.add(share, b.mul(x, density)));
      },
    ],
  });
  return y;
}

/** y = x/2 · (1 + tanh(√(2/π)·(x + 0.044715 x³))). */
function tanhGelu(b: Builder, x: Value): Value {
  const inner = b.mul(x, b.shift(b.scale(b.square(x), 0.044715), 1));
  const t = b.tanh(b.scale(inner, Math.sqrt(2 / Math.PI)));
  return b.mul(b.scale(x, 0.5), b.shift(t, 1));
}

const gelu = defineOp({
  op: "Gelu",
  versions: [20],
  composed: true,
  emit: ({ b, x, attr, where }) => {
    const form = attr.string("approximate", "none");
    if (form !== "none" && form !== "tanh")
      throw new DistillError(
        "E_MODEL",
        `${where}: approximate is ${JSON.stringify(form)}; ONNX knows "none" and "tanh"`,
      );
    return [form === "tanh" ? tanhGelu(b, x(0)) : exactGelu(b, x(0))];
  },
});

const microsoftGelu = defineOp({
  op: "Gelu",
  domain: "com.microsoft",
  versions: [1],
  composed: true,
  emit: ({ b, x }) => [exactGelu(b, x(0))],
});

/** y = gelu(x + bias), exact. */
const biasGelu = defineOp({
  op: "BiasGelu",
  domain: "com.microsoft",
  versions: [1],
  weights: [1],
  undecayed: [1],
  composed: true,
  emit: ({ b, x }) => [exactGelu(b, b.add(x(0), x(1)))],
});

/** y = gelu(x + bias), the tanh form; the bias may be missing. */
const fastGelu = defineOp({
  op: "FastGelu",
  domain: "com.microsoft",
  versions: [1],
  weights: [1],
  undecayed: [1],
  composed: true,
  emit: ({ b, x, has }) => [tanhGelu(b, has(1) ? b.add(x(0), x(1)) : x(0))],
});

/** y = x · σ(αx), α = 1 by default. Ramachandran et al. 2017. */
const swish = defineOp({
  op: "Swish",
  versions: [24],
  composed: true,
  emit: ({ b, x, attr }) => [b.mul(x(0), b.node("Sigmoid", [b.scale(x(0), attr.float("alpha", 1))]))],
});

/** y = x · σ(αx), α = 1.702 by default. */
const quickGelu = defineOp({
  op: "QuickGelu",
  domain: "com.microsoft",
  versions: [1],
  composed: true,
  emit: ({ b, x, attr }) => [b.mul(x(0), b.node("Sigmoid", [b.scale(x(0), attr.float("alpha", 1.702))]))],
});

export const geluOps = [gelu, microsoftGelu, biasGelu, fastGelu, quickGelu, swish] as const;
