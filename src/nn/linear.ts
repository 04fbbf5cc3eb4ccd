// The fully connected layer, and what makes a matrix of a map.
import { checkKeys, DistillError } from "../base/errors.ts";
import { biasInitialization, checkInitialization, type Initialization } from "../base/initialization.ts";
import { formatShape } from "../base/tensor.ts";
import { int } from "../graph/graph.ts";
import {
  checkCount,
  type Dim,
  type Draft,
  type Fans,
  type Flow,
  knownDim,
  type Layer,
  type LayerOptions,
} from "./layer.ts";

export interface LinearOptions extends LayerOptions {
  /** Default true. */
  readonly bias?: boolean;
  /** Default "pytorch". */
  readonly init?: Initialization;
}

/**
 * Of a matrix y = x · weightᵀ + bias, [N, F] → [N, features]; of a sequence y = x · weight + bias, [N, T, F] → [N, T, features].
 *
 * Weights: `weight` [features, F] (of a sequence [F, features], as MatMul takes it), `bias` [features].
 * Errors: E_ARGUMENT for a count out of range; E_SHAPE for an input that is neither.
 *
 * @example
 * sequential(globalAveragePool(), linear(10));
 */
export function linear(features: number, options: LinearOptions = {}): Layer {
  checkCount(features, "linear: features");
  checkKeys("linear", options, ["name", "bias", "init"]);
  const init = options.init ?? "pytorch";
  checkInitialization(init, "linear");
  const ofSequence = (draft: Draft, x: Flow, path: string, from: number, fans: Fans): Flow => {
    const dims = [...x.dims.slice(0, 2), features];
    const weight = draft.weight(`${path}.weight`, [from, features], init, fans);
    if (!(options.bias ?? true)) return draft.node("MatMul", path, [x, weight], dims);
    const product = draft.node("MatMul", path, [x, weight], dims, {}, "product");
    const bias = draft.weight(`${path}.bias`, [features], biasInitialization(init), fans);
    return draft.node("Add", path, [product, bias], dims);
  };
  return {
    kind: "linear",
    name: options.name,
    build: (draft, x, path) => {
      if (x.dims.length !== 2 && x.dims.length !== 3)
        throw new DistillError(
          "E_SHAPE",
          `layer "${path}": linear expects a matrix [N, F] or a sequence [N, T, F], got ${formatShape(x.dims)}; put flatten(), globalAveragePool() or tokens() before it`,
        );
      const from = knownDim(x, x.dims.length - 1, path, "the features");
      const fans = { fanIn: from, fanOut: features };
      if (x.dims.length === 3) return ofSequence(draft, x, path, from, fans);
      const inputs = [x, draft.weight(`${path}.weight`, [features, from], init, fans)];
      if (options.bias ?? true)
        inputs.push(draft.weight(`${path}.bias`, [features], biasInitialization(init), fans));
      return draft.node("Gemm", path, inputs, [x.dims[0]!, features], { transB: int(1) });
    },
  };
}

/** A matrix of what follows the first axis: [N, C, H, W] → [N, C·H·W]. */
export function flatten(options: LayerOptions = {}): Layer {
  checkKeys("flatten", options, ["name"]);
  return {
    kind: "flatten",
    name: options.name,
    build: (draft, x, path) =>
      draft.node("Flatten", path, [x], [x.dims[0] ?? 1, joined(x)], { axis: int(1) }),
  };
}

function joined(x: Flow): Dim {
  const rest = x.dims.slice(1);
  return rest.every((d) => typeof d === "number") ? rest.reduce((n, d) => n * d, 1) : "?";
}
