// Along which axis a value's samples lie, where its shape does not tell: it is made once more with the samples in another order.
import { floatsAsFloat32 } from "../base/floats.ts";
import { takeSamples } from "../base/samples.ts";
import { sameShape, type Tensor } from "../base/tensor.ts";

/**
 * 0 or 1, of a float value whose first two axes are both as long as the samples are many; undefined where neither axis turns
 * with the samples.
 *
 * @param again the value for the samples that stand at these places
 */
export async function axisThatTurns(
  value: Tensor,
  samples: number,
  again: (at: readonly number[]) => Promise<Tensor>,
): Promise<0 | 1 | undefined> {
  const turned = Array.from({ length: samples }, (_, i) => (i + 1) % samples);
  const [given, seen] = [value, await again(turned)].map(floatsAsFloat32) as [Tensor, Tensor];
  if (!sameShape(seen.dims, given.dims)) return undefined;
  const [along0, along1] = [0, 1].map((axis) => distance(takeSamples(given, turned, axis), seen));
  if (along0! <= 0.1 * along1! && along1! > 0) return 0;
  if (along1! <= 0.1 * along0! && along0! > 0) return 1;
  return undefined;
}

/** Of two tensors of the same shape: Σ |a − b|, of what is finite. */
function distance(a: Tensor, b: Tensor): number {
  const other = b.data as Float32Array;
  return (a.data as Float32Array).reduce((sum, v, i) => {
    const d = Math.abs(v - (other[i] as number));
    return Number.isFinite(d) ? sum + d : sum;
  }, 0);
}
