// Convolution layers over maps [N, C, …]; 1-D to 3-D by the rank of the input. Weights as ONNX and PyTorch have them.
import { checkKeys, DistillError } from "../base/errors.ts";
import { biasInitialization, checkInitialization, type Initialization } from "../base/initialization.ts";
import { sizeOf } from "../base/tensor.ts";
import { int, ints } from "../graph/graph.ts";
import { checkCount, knownDim, type Layer, type LayerOptions, perAxis, spatialRank } from "./layer.ts";
import { type Padding, windowOf } from "./window.ts";

export interface ConvOptions extends LayerOptions {
  /** Step of the window, for all spatial axes or each. Default 1. */
  readonly stride?: number | readonly number[];
  /** Zeros at both sides, for all spatial axes or each; "same": ⌈size / stride⌉ pixels come out. Default 0. */
  readonly padding?: Padding;
  /** Distance between the elements of the kernel. Default 1. */
  readonly dilation?: number | readonly number[];
  /** Channels are split into so many groups that do not see each other. Default 1. */
  readonly groups?: number;
  /** Default true. Pass false before batchNorm, which has a bias of its own. */
  readonly bias?: boolean;
  /** Default "pytorch". */
  readonly init?: Initialization;
}

const convOptions = ["name", "stride", "padding", "dilation", "groups", "bias", "init"];

/**
 * y[n, f, p] = bias[f] + Σ over c and k of weight[f, c, k] · x[n, c, stride·p + dilation·k − padding].
 *
 * [N, C, H, W] → [N, filters, H', W'], H' = ⌊(H + 2·padding − dilation·(kernel − 1) − 1) / stride⌋ + 1.
 * Weights: `weight` [filters, C / groups, kernel, kernel], `bias` [filters].
 *
 * Errors: E_ARGUMENT for counts and sizes out of range, E_SHAPE for an input that is no map, is smaller than the kernel, or
 * has channels that the groups do not divide.
 *
 * @example
 * sequential(conv(16, 3, { padding: "same", bias: false }), batchNorm(), relu());
 */
export function conv(filters: number, kernel: number | readonly number[], options: ConvOptions = {}): Layer {
  checkCount(filters, "conv: filters");
  checkKeys("conv", options, convOptions);
  return convolution("conv", () => filters, kernel, options, options.groups ?? 1);
}

export interface DepthwiseConvOptions extends Omit<ConvOptions, "groups"> {
  /** Filters for each channel. Default 1. */
  readonly multiplier?: number;
}

/** A convolution of each channel by itself: conv with as many groups as there are channels. [N, C, H, W] → [N, C·multiplier, H', W']. */
export function depthwiseConv(kernel: number | readonly number[], options: DepthwiseConvOptions = {}): Layer {
  checkKeys("depthwiseConv", options, [...convOptions.filter((k) => k !== "groups"), "multiplier"]);
  const multiplier = options.multiplier ?? 1;
  checkCount(multiplier, "depthwiseConv: multiplier");
  return convolution("conv", (channels) => channels * multiplier, kernel, options, "channels");
}

function convolution(
  kind: string,
  filtersOf: (channels: number) => number,
  kernel: number | readonly number[],
  options: Omit<ConvOptions, "groups">,
  grouping: number | "channels",
): Layer {
  const init = options.init ?? "pytorch";
  checkInitialization(init, "conv");
  if (grouping !== "channels") checkCount(grouping, "conv: groups");
  return {
    kind,
    name: options.name,
    build: (draft, x, path) => {
      const where = `layer "${path}"`;
      const rank = spatialRank(x, path);
      const channels = knownDim(x, 1, path, "the channels");
      const filters = filtersOf(channels);
      const groups = grouping === "channels" ? channels : grouping;
      if (channels % groups !== 0 || filters % groups !== 0)
        throw new DistillError(
          "E_SHAPE",
          `${where}: ${groups} groups do not divide ${channels} channels in and ${filters} out; both must be multiples of the groups`,
        );
      const size = perAxis(kernel, rank, 1, `${where}: kernel`);
      const dilations = perAxis(options.dilation ?? 1, rank, 1, `${where}: dilation`);
      const { dims, strides, pads } = windowOf(
        x,
        path,
        size,
        options.stride ?? 1,
        options.padding ?? 0,
        dilations,
      );
      const fans = { fanIn: (channels / groups) * sizeOf(size), fanOut: filters * sizeOf(size) };
      const inputs = [x, draft.weight(`${path}.weight`, [filters, channels / groups, ...size], init, fans)];
      if (options.bias ?? true)
        inputs.push(draft.weight(`${path}.bias`, [filters], biasInitialization(init), fans));
      return draft.node("Conv", path, inputs, [x.dims[0]!, filters, ...dims], {
        kernel_shape: ints(size),
        strides: ints(strides),
        pads: ints(pads),
        dilations: ints(dilations),
        group: int(groups),
      });
    },
  };
}
