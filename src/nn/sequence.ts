// Layers of sequences [N, T, C]: what makes one of token ids or of an image, positions, normalisation, the mean.
import { checkKeys, DistillError } from "../base/errors.ts";
import { formatShape } from "../base/tensor.ts";
import { float, int, ints } from "../graph/graph.ts";
import {
  checkCount,
  type Dim,
  type Flow,
  knownDim,
  type Layer,
  type LayerOptions,
  spatialRank,
} from "./layer.ts";

/** The axes of a sequence; an error where x is none. */
export function sequenceDims(x: Flow, path: string, what: string): readonly [Dim, Dim, Dim] {
  if (x.dims.length === 3) return x.dims as unknown as readonly [Dim, Dim, Dim];
  throw new DistillError(
    "E_SHAPE",
    `layer "${path}": ${what} expects a sequence [N, T, C], got ${formatShape(x.dims)}; put embedding() or tokens() before it`,
  );
}

/**
 * y[n, t] = weight[ids[n, t]].  int64 [N, T] → [N, T, width]; ids from 0 to count − 1.
 *
 * Weights: `weight` [count, width], normal with standard deviation 0.02. The model's input must be int64.
 *
 * @example
 * buildModel({ input: { name: "ids", dtype: "int64", dims: ["batch", 64] } }, sequential(embedding(8000, 128), …));
 */
export function embedding(count: number, width: number, options: LayerOptions = {}): Layer {
  checkCount(count, "embedding: count");
  checkCount(width, "embedding: width");
  checkKeys("embedding", options, ["name"]);
  return {
    kind: "embedding",
    name: options.name,
    build: (draft, x, path) => {
      if (x.dtype !== "int64" || x.dims.length !== 2)
        throw new DistillError(
          "E_SHAPE",
          `layer "${path}": embedding expects ids int64 [N, T], got ${x.dtype} ${formatShape(x.dims)}; declare the model's input with dtype "int64"`,
        );
      const weight = draft.weight(`${path}.weight`, [count, width], "normal", {
        fanIn: count,
        fanOut: width,
      });
      return draft.node("Gather", path, [weight, x], [...x.dims, width], { axis: int(0) });
    },
  };
}

/** An image or another map as a sequence of its positions: [N, C, H, W] → [N, H·W, C]. */
export function tokens(options: LayerOptions = {}): Layer {
  checkKeys("tokens", options, ["name"]);
  return {
    kind: "tokens",
    name: options.name,
    build: (draft, x, path) => {
      spatialRank(x, path);
      const channels = knownDim(x, 1, path, "the channels");
      const spatial = x.dims.slice(2);
      const length = spatial.every((d) => typeof d === "number") ? spatial.reduce((n, d) => n * d, 1) : "?";
      const shape = draft.integers(`${path}.shape`, [0, channels, -1]);
      const flat = draft.node("Reshape", path, [x, shape], [x.dims[0]!, channels, length], {}, "flat");
      return draft.node("Transpose", path, [flat], [x.dims[0]!, length, channels], { perm: ints([0, 2, 1]) });
    },
  };
}

/**
 * y = x + weight, a learned vector for each position.  [N, T, C] → the same; T must be a number.
 *
 * Weights: `weight` [1, T, C], normal with standard deviation 0.02.
 */
export function positionEmbedding(options: LayerOptions = {}): Layer {
  checkKeys("positionEmbedding", options, ["name"]);
  return {
    kind: "position",
    name: options.name,
    build: (draft, x, path) => {
      sequenceDims(x, path, "positionEmbedding");
      const [length, width] = [knownDim(x, 1, path, "the length"), knownDim(x, 2, path, "the width")];
      const weight = draft.weight(`${path}.weight`, [1, length, width], "normal", {
        fanIn: length,
        fanOut: width,
      });
      return draft.node("Add", path, [x, weight], x.dims);
    },
  };
}

export interface LayerNormOptions extends LayerOptions {
  /** Added to the variance. Default 1e-5. */
  readonly epsilon?: number;
}

/**
 * y = weight · (x − mean)/√(variance + epsilon) + bias over the last axis.  Any shape → the same.
 *
 * Weights: `weight` (1) and `bias` (0), each [C]. Source: J. Ba, J. Kiros, G. Hinton, "Layer normalization", 2016.
 */
export function layerNorm(options: LayerNormOptions = {}): Layer {
  checkKeys("layerNorm", options, ["name", "epsilon"]);
  const { epsilon = 1e-5 } = options;
  if (!(epsilon > 0) || !Number.isFinite(epsilon))
    throw new DistillError("E_ARGUMENT", `layerNorm: epsilon must be a number above 0, got ${epsilon}`);
  return {
    kind: "ln",
    name: options.name,
    build: (draft, x, path) => {
      const width = [knownDim(x, x.dims.length - 1, path, "the last axis")];
      const inputs = [x, draft.filled(`${path}.weight`, width, 1), draft.filled(`${path}.bias`, width, 0)];
      return draft.node("LayerNormalization", path, inputs, x.dims, {
        axis: int(-1),
        epsilon: float(epsilon),
      });
    },
  };
}

/** The mean over the positions: [N, T, C] → [N, C]. */
export function meanPool(options: LayerOptions = {}): Layer {
  checkKeys("meanPool", options, ["name"]);
  return {
    kind: "meanPool",
    name: options.name,
    build: (draft, x, path) => {
      const [batch, , width] = sequenceDims(x, path, "meanPool");
      return draft.node("ReduceMean", path, [x], [batch, width], { axes: ints([1]), keepdims: int(0) });
    },
  };
}
