// Where the neurons of an activation tensor are, and moving them to where a row is a sample and back. The one place that
// knows the layouts [N, C], [N, T, C] and [N, C, …space].
import type { Shape } from "./tensor.ts";

/** The axis that counts neurons: the last of [N, C] and [N, T, C], the second of [N, C, H, W] and [N, C, D, H, W]. */
export function neuronAxis(rank: number): number {
  return rank >= 4 ? 1 : rank - 1;
}

/** How many positions a sample of that shape has: T, H·W, D·H·W; 1 of [N, C]. */
export function positionsOf(dims: Shape): number {
  return dims.reduce((n, d, axis) => (axis === 0 || axis === neuronAxis(dims.length) ? n : n * d), 1);
}

/**
 * The elements of a tensor [N, C, …space] in the order of [N, …space, C] ("last"), or back ("second"); `dims` are those of
 * the former either way.
 */
export function moveNeurons<T extends Float32Array | Float64Array>(
  data: T,
  dims: Shape,
  to: "last" | "second",
): T {
  const [samples = 0, neurons = 0] = dims;
  const positions = positionsOf(dims);
  const out = new (data.constructor as new (length: number) => T)(data.length);
  for (let n = 0, second = 0; n < samples; n++)
    for (let c = 0; c < neurons; c++)
      for (let p = 0, last = n * positions * neurons + c; p < positions; p++, second++, last += neurons)
        if (to === "last") out[last] = data[second] as number;
        else out[second] = data[last] as number;
  return out;
}
