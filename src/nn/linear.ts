// The fully connected layer, and what makes a matrix of a map.
import { checkKeys, DistillError } from "../base/errors.ts";
import { biasInitialization, checkInitialization, type Initialization } from "../base/initialization.ts";
import { formatShape } from "../base/tensor.ts";
import { int } from "../graph/graph.ts";
import { checkCount, type Dim, type Flow, knownDim, type Layer, type LayerOptions } from "./layer.ts";

export interface LinearOptions extends LayerOptions {
  /** Default true. */
  readonly bias?: boolean;
  /** Default "pytorch". */
  readonly init?: Initialization;
}

/**
 * y = x · weightᵀ + bias.  [N, F] → [N, features].
 *
 * Weights: `weight` [features, F], `bias` [features].
 * Errors: E_ARGUMENT for a count out of range; E_SHAPE for an input that is no matrix.
 *
 * @example
 * sequential(globalAveragePool(), linear(10));
 */
export function linear(features: number, options: LinearOptions = {}): Layer {
  checkCount(features, "linear: features");
  checkKeys("linear", options, ["name", "bias", "init"]);
  const init = options.init ?? "pytorch";
  checkInitialization(init, "linear");
  return {
    kind: "linear",
    name: options.name,
    build: (draft, x, path) => {
      if (x.dims.length !== 2)
        throw new DistillError(
          "E_SHAPE",
          `layer "${path}": linear expects a matrix [N, F], got ${formatShape(x.dims)}; put flatten() or globalAveragePool() before it`,
        );
      const from = knownDim(x, 1, path, "the features");
      const fans = { fanIn: from, fanOut: features };
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
