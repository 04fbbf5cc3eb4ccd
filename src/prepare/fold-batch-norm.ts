// Folds BatchNormalization in inference form into the convolution before it. Numbers only: which goes where was
// settled when they were inserted (insert-batch-norm.ts).
import type { Tensor } from "../base/tensor.ts";

/** Names of the constants of one convolution and of the BatchNormalization after it. */
export interface Fold {
  readonly weight: string;
  /** Bias of the exported convolution. */
  readonly bias: string;
  readonly scale: string;
  readonly shift: string;
  readonly mean: string;
  readonly variance: string;
  readonly epsilon: number;
  /** Output channels. */
  readonly channels: number;
  /** Groups of a ConvTranspose, whose weight is [C, M / groups, …]; undefined: a Conv's [M, C / groups, …]. */
  readonly transposedGroups?: number;
}

/**
 * Weights and statistics with each BatchNormalization folded away: with s = γ/√(v + ε) per output channel,
 * weight' = s · weight, bias' = β − s · running mean, computed in float64. The constants of the BatchNormalization are left out,
 * everything else is passed on.
 */
export function foldBatchNorm(
  state: ReadonlyMap<string, Tensor>,
  folds: readonly Fold[],
): Map<string, Tensor> {
  const folded = new Map(state);
  for (const f of folds) {
    const of = (name: string): Float32Array => state.get(name)?.data as Float32Array;
    const [scale, shift, mean, variance] = [of(f.scale), of(f.shift), of(f.mean), of(f.variance)];
    const s = Float64Array.from(scale, (g, c) => g / Math.sqrt((variance[c] as number) + f.epsilon));
    const weight = state.get(f.weight) as Tensor;
    const channelOf = channelsOf(weight.dims, f);
    const from = weight.data as Float32Array;
    folded.set(f.weight, {
      ...weight,
      data: Float32Array.from(from, (w, i) => w * (s[channelOf(i)] as number)),
    });
    folded.set(f.bias, {
      dtype: "float32",
      dims: [f.channels],
      data: Float32Array.from(shift, (b, c) => b - (s[c] as number) * (mean[c] as number)),
    });
    for (const name of [f.scale, f.shift, f.mean, f.variance]) folded.delete(name);
  }
  return folded;
}

/** The output channel that element i of a weight belongs to. */
function channelsOf(dims: readonly number[], f: Fold): (i: number) => number {
  const kernel = dims.slice(2).reduce((n, d) => n * d, 1);
  const second = dims[1] as number;
  if (f.transposedGroups === undefined) return (i) => Math.floor(i / (second * kernel));
  const perGroup = (dims[0] as number) / f.transposedGroups;
  return (i) => {
    const input = Math.floor(i / (second * kernel));
    return Math.floor(input / perGroup) * second + (Math.floor(i / kernel) % second);
  };
}
