// Activation layers: elementwise, any shape, no weights.
import { checkKeys, DistillError } from "../base/errors.ts";
import { type Attributes, float } from "../graph/graph.ts";
import type { Draft, Flow, Layer, LayerOptions } from "./layer.ts";

function activation(
  kind: string,
  options: LayerOptions,
  build: (draft: Draft, x: Flow, path: string) => Flow,
): Layer {
  checkKeys(kind, options, ["name"]);
  return { kind, name: options.name, build };
}

const oneNode =
  (op: string, attributes: Attributes = {}) =>
  (draft: Draft, x: Flow, path: string): Flow =>
    draft.node(op, path, [x], x.dims, attributes);

/** y = max(x, 0). */
export function relu(options: LayerOptions = {}): Layer {
  return activation("relu", options, oneNode("Relu"));
}

/** y = x for x ≥ 0, slope · x below. `slope`: default 0.01. */
export function leakyRelu(slope = 0.01, options: LayerOptions = {}): Layer {
  if (!Number.isFinite(slope))
    throw new DistillError("E_ARGUMENT", `leakyRelu: slope must be a number, got ${slope}`);
  return activation("leakyRelu", options, oneNode("LeakyRelu", { alpha: float(slope) }));
}

/** y = min(max(x, 0), 6). */
export function relu6(options: LayerOptions = {}): Layer {
  return activation("relu6", options, (draft, x, path) => {
    const bounds = [draft.filled(`${path}.min`, [], 0), draft.filled(`${path}.max`, [], 6)];
    return draft.node("Clip", path, [x, ...bounds], x.dims);
  });
}

/** y = 1 / (1 + exp(−x)). */
export function sigmoid(options: LayerOptions = {}): Layer {
  return activation("sigmoid", options, oneNode("Sigmoid"));
}

/** y = tanh(x). */
export function tanh(options: LayerOptions = {}): Layer {
  return activation("tanh", options, oneNode("Tanh"));
}

/** y = x · min(max(x/6 + 1/2, 0), 1). */
export function hardSwish(options: LayerOptions = {}): Layer {
  return activation("hardSwish", options, oneNode("HardSwish"));
}

/** y = x · sigmoid(x), also called swish. */
export function silu(options: LayerOptions = {}): Layer {
  return activation("silu", options, (draft, x, path) => {
    const gate = draft.node("Sigmoid", path, [x], x.dims, {}, "gate");
    return draft.node("Mul", path, [x, gate], x.dims);
  });
}

/** y = x/2 · (1 + erf(x/√2)): the exact form. Source: D. Hendrycks and K. Gimpel, 2016. */
export function gelu(options: LayerOptions = {}): Layer {
  return activation("gelu", options, (draft, x, path) => {
    const number = (name: string, value: number) => draft.filled(`${path}.${name}`, [], value);
    const part = (op: string, inputs: Parameters<Draft["node"]>[2], name: string) =>
      draft.node(op, path, inputs, x.dims, {}, name);
    const erf = part("Erf", [part("Div", [x, number("sqrt2", Math.SQRT2)], "scaled")], "erf");
    const both = part("Mul", [x, part("Add", [erf, number("one", 1)], "shifted")], "product");
    return draft.node("Mul", path, [both, number("half", 0.5)], x.dims);
  });
}
