// The activation functions that LSTM, GRU and RNN may name, with their parameters and the clipping before them.
// Source: ONNX operator specification, LSTM-22.
import { DistillError, didYouMean } from "../base/errors.ts";
import type { Value } from "../graph/graph.ts";
import { type Builder, float } from "./builder.ts";
import type { EmitContext } from "./define.ts";

export type Activation = (b: Builder, x: Value) => Value;

interface Form {
  /** Default of alpha and of beta, where the function has them. */
  readonly alpha?: number;
  readonly beta?: number;
  readonly make: (alpha: number, beta: number) => Activation;
}

/** As in ONNX Runtime: names without regard to case; parameters that ONNX gives no default are 0. */
const forms: Readonly<Record<string, Form>> = {
  sigmoid: { make: () => (b, x) => b.node("Sigmoid", [x]) },
  tanh: { make: () => (b, x) => b.tanh(x) },
  relu: { make: () => (b, x) => b.relu(x) },
  softplus: { make: () => (b, x) => b.node("Softplus", [x]) },
  softsign: { make: () => (b, x) => b.div(x, b.shift(b.abs(x), 1)) },
  leakyrelu: { alpha: 0.01, make: (a) => (b, x) => b.node("LeakyRelu", [x], { alpha: float(a) }) },
  thresholdedrelu: { alpha: 0, make: (a) => (b, x) => b.node("ThresholdedRelu", [x], { alpha: float(a) }) },
  elu: { alpha: 1, make: (a) => (b, x) => b.node("Elu", [x], { alpha: float(a) }) },
  affine: { alpha: 0, beta: 0, make: (p, q) => (b, x) => b.shift(b.scale(x, p), q) },
  scaledtanh: { alpha: 0, beta: 0, make: (p, q) => (b, x) => b.scale(b.tanh(b.scale(x, q)), p) },
  hardsigmoid: {
    alpha: 0.2,
    beta: 0.5,
    make: (p, q) => (b, x) => b.node("HardSigmoid", [x], { alpha: float(p), beta: float(q) }),
  },
};

/**
 * Each direction's functions, `defaults` where the node names none. Parameters are given in the order of their users. Of a
 * direction's functions the first two are clipped before, as in ONNX Runtime: an LSTM's cell stays as it is.
 */
export function activationsOf(
  c: EmitContext,
  directions: number,
  defaults: readonly string[],
): readonly (readonly Activation[])[] {
  const names = c.attr.strings("activations", Array.from({ length: directions }, () => defaults).flat());
  const alphas = [...c.attr.floats("activation_alpha", [])];
  const betas = [...c.attr.floats("activation_beta", [])];
  const limit = c.attr.has("clip") ? c.attr.float("clip") : undefined;
  const made = names.map((name, i): Activation => {
    const form = forms[name.toLowerCase()];
    if (!form)
      throw new DistillError(
        "E_OP",
        `${c.where}: activation "${name}" is not known.${didYouMean(name, Object.keys(forms))}`,
      );
    const alpha = form.alpha === undefined ? 0 : (alphas.shift() ?? form.alpha);
    const beta = form.beta === undefined ? 0 : (betas.shift() ?? form.beta);
    const f = form.make(alpha, beta);
    if (limit === undefined || i % defaults.length > 1) return f;
    return (b, x) => f(b, b.node("Clip", [x, b.like(x, -limit), b.like(x, limit)]));
  });
  if (made.length !== directions * defaults.length)
    throw new DistillError(
      "E_MODEL",
      `${c.where}: ${made.length} activations; ${directions} direction${directions > 1 ? "s" : ""} of ${defaults.length} each want ${directions * defaults.length}`,
    );
  return Array.from({ length: directions }, (_, d) =>
    made.slice(d * defaults.length, (d + 1) * defaults.length),
  );
}
