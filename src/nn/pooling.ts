// Pooling layers over maps [N, C, …]; no weights.
import { checkKeys } from "../base/errors.ts";
import { type Attributes, int, ints } from "../graph/graph.ts";
import { type Layer, type LayerOptions, perAxis, spatialRank } from "./layer.ts";
import { type Padding, windowOf } from "./window.ts";

export interface PoolOptions extends LayerOptions {
  /** Default: the kernel, so that windows do not overlap. */
  readonly stride?: number | readonly number[];
  /** Default 0. Must be at most half the kernel. */
  readonly padding?: Padding;
}

/** y = the maximum of each window. [N, C, H, W] → [N, C, H', W'], H' = ⌊(H + 2·padding − kernel) / stride⌋ + 1. */
export function maxPool(kernel: number | readonly number[], options: PoolOptions = {}): Layer {
  return pool("maxPool", "MaxPool", kernel, options, {});
}

/** y = the mean of each window, padding counted as zeros (PyTorch's default). Shapes as maxPool. */
export function averagePool(kernel: number | readonly number[], options: PoolOptions = {}): Layer {
  return pool("averagePool", "AveragePool", kernel, options, { count_include_pad: int(1) });
}

function pool(
  kind: string,
  op: string,
  kernel: number | readonly number[],
  options: PoolOptions,
  attributes: Attributes,
): Layer {
  checkKeys(kind, options, ["name", "stride", "padding"]);
  return {
    kind,
    name: options.name,
    build: (draft, x, path) => {
      const size = perAxis(kernel, spatialRank(x, path), 1, `layer "${path}": kernel`);
      const { dims, strides, pads } = windowOf(x, path, size, options.stride ?? size, options.padding ?? 0);
      return draft.node(op, path, [x], [...x.dims.slice(0, 2), ...dims], {
        kernel_shape: ints(size),
        strides: ints(strides),
        pads: ints(pads),
        ...attributes,
      });
    },
  };
}

export interface GlobalPoolOptions extends LayerOptions {
  /** Gives the matrix [N, C] that linear expects, instead of [N, C, 1, 1]. Default true. */
  readonly flatten?: boolean;
}

/** y = the mean of each channel's map. [N, C, H, W] → [N, C]. */
export function globalAveragePool(options: GlobalPoolOptions = {}): Layer {
  return globalPool("globalAveragePool", "GlobalAveragePool", options);
}

/** y = the maximum of each channel's map. [N, C, H, W] → [N, C]. */
export function globalMaxPool(options: GlobalPoolOptions = {}): Layer {
  return globalPool("globalMaxPool", "GlobalMaxPool", options);
}

function globalPool(kind: string, op: string, options: GlobalPoolOptions): Layer {
  checkKeys(kind, options, ["name", "flatten"]);
  return {
    kind,
    name: options.name,
    build: (draft, x, path) => {
      const ones = Array.from({ length: spatialRank(x, path) }, () => 1);
      const lead = x.dims.slice(0, 2);
      if (options.flatten === false) return draft.node(op, path, [x], [...lead, ...ones]);
      const y = draft.node(op, path, [x], [...lead, ...ones], {}, "pool");
      return draft.node("Flatten", path, [y], lead, { axis: int(1) });
    },
  };
}
