// Products with an activation behind them, as ONNX Runtime's optimizer leaves them in a model: com.microsoft FusedConv
// and FusedGemm. Source: ONNX Runtime's contrib operators.
import { DistillError } from "../base/errors.ts";
import type { Value } from "../graph/graph.ts";
import { float, int } from "./builder.ts";
import { conv } from "./convolution.ts";
import { defineOp, type EmitContext } from "./define.ts";

/** Activations that ONNX Runtime fuses; their parameters in the order of the attribute. */
const activations: Readonly<Record<string, (c: EmitContext, x: Value, p: readonly number[]) => Value>> = {
  Relu: ({ b }, x) => b.relu(x),
  Sigmoid: ({ b }, x) => b.node("Sigmoid", [x]),
  Tanh: ({ b }, x) => b.tanh(x),
  LeakyRelu: ({ b }, x, [alpha = 0.01]) => b.node("LeakyRelu", [x], { alpha: float(alpha) }),
  Clip: ({ b }, x, [low = Number.NEGATIVE_INFINITY, high = Number.POSITIVE_INFINITY]) =>
    b.node("Clip", [x, b.like(x, low), b.like(x, high)]),
  HardSigmoid: ({ b }, x, [alpha = 0.2, beta = 0.5]) =>
    b.node("HardSigmoid", [x], { alpha: float(alpha), beta: float(beta) }),
};

function activate(c: EmitContext, x: Value, parameters: readonly number[]): Value {
  const name = c.attr.string("activation", "");
  if (name === "") return x;
  const rule = activations[name];
  if (!rule)
    throw new DistillError(
      "E_OP",
      `${c.where}: activation "${name}" is not one of ${Object.keys(activations).join(", ")}; export the model without graph optimizations`,
    );
  return rule(c, x, parameters);
}

/** y = activation(w ∗ x + bias + z). */
const fusedConv = defineOp({
  op: "FusedConv",
  domain: "com.microsoft",
  versions: [1],
  weights: [1, 2],
  undecayed: [2],
  composed: true,
  emit: (c) => {
    const y = conv.emit(c)[0] as Value;
    const sum = c.has(3) ? c.b.add(y, c.x(3)) : y;
    return [activate(c, sum, c.attr.floats("activation_params", []))];
  },
});

/** y = activation(α·A'·B' + β·C). */
const fusedGemm = defineOp({
  op: "FusedGemm",
  domain: "com.microsoft",
  versions: [1],
  weights: [1, 2],
  undecayed: [2],
  composed: true,
  emit: (c) => {
    const { b, x, has, attr } = c;
    const y = b.node("Gemm", [x(0), x(1), has(2) ? x(2) : undefined], {
      alpha: float(attr.float("alpha", 1)),
      beta: float(attr.float("beta", 1)),
      transA: int(attr.int("transA", 0)),
      transB: int(attr.int("transB", 0)),
    });
    const parameters = ["alpha", "beta"].flatMap((name) =>
      attr.has(`activation_${name}`) ? [attr.float(`activation_${name}`)] : [],
    );
    return [activate(c, y, parameters)];
  },
});

export const fusedOps = [fusedConv, fusedGemm] as const;
