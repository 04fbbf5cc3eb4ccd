// Batch normalisation and dropout, in inference form: training gives them their training form by itself.
import { checkKeys, DistillError } from "../base/errors.ts";
import { float } from "../graph/graph.ts";
import { knownDim, type Layer, type LayerOptions } from "./layer.ts";

export interface BatchNormOptions extends LayerOptions {
  /** Added to the variance. Default 1e-5. */
  readonly epsilon?: number;
  /** Share of the old running statistics that each step keeps, as ONNX has it. Default 0.9 (PyTorch's momentum of 0.1). */
  readonly momentum?: number;
}

/**
 * y = weight · (x − running_mean) / √(running_var + epsilon) + bias, per channel. [N, C, …] → the same.
 *
 * Weights: `weight` (1), `bias` (0), and the state `running_mean` (0) and `running_var` (1), each [C].
 * Source: S. Ioffe and C. Szegedy, "Batch normalization", 2015.
 */
export function batchNorm(options: BatchNormOptions = {}): Layer {
  checkKeys("batchNorm", options, ["name", "epsilon", "momentum"]);
  const { epsilon = 1e-5, momentum = 0.9 } = options;
  if (!(epsilon > 0) || !Number.isFinite(epsilon))
    throw new DistillError("E_ARGUMENT", `batchNorm: epsilon must be a number above 0, got ${epsilon}`);
  checkShare(momentum, "batchNorm: momentum");
  return {
    kind: "bn",
    name: options.name,
    build: (draft, x, path) => {
      const channels = [knownDim(x, 1, path, "the channels")];
      const inputs = [
        x,
        draft.filled(`${path}.weight`, channels, 1),
        draft.filled(`${path}.bias`, channels, 0),
        draft.filled(`${path}.running_mean`, channels, 0),
        draft.filled(`${path}.running_var`, channels, 1),
      ];
      const attributes = { epsilon: float(epsilon), momentum: float(momentum) };
      return draft.node("BatchNormalization", path, inputs, x.dims, attributes);
    },
  };
}

/**
 * In training, zeroes each element with probability `ratio` (default 0.5, in [0, 1)) and divides the others by 1 − ratio;
 * otherwise does nothing. Any shape.
 */
export function dropout(ratio = 0.5, options: LayerOptions = {}): Layer {
  checkKeys("dropout", options, ["name"]);
  checkShare(ratio, "dropout: ratio");
  return {
    kind: "dropout",
    name: options.name,
    build: (draft, x, path) =>
      draft.node("Dropout", path, [x, draft.filled(`${path}.ratio`, [], ratio)], x.dims),
  };
}

function checkShare(value: number, where: string): void {
  if (!(value >= 0 && value < 1))
    throw new DistillError("E_ARGUMENT", `${where} must be in [0, 1), got ${value}`);
}
