// Whether a value of a whole batch is the values of its parts put together, and where. Numbers only.
import { sizeOf, type Tensor } from "../base/tensor.ts";

/**
 * If `both` holds a and b side by side along one axis, or within one (an axis of positions and samples, say), into how many
 * pieces each is cut by what lies outside (1: the batch is outermost). Where several places fit, the outermost.
 */
export function stackedAt(a: Tensor, b: Tensor, both: Tensor): number | undefined {
  const size = sizeOf(a.dims);
  if (both.data.length !== 2 * size || b.data.length !== size) return undefined;
  const places = new Set<number>();
  let outside = 1;
  for (const d of both.dims) {
    for (let k = 1; k <= d; k++) if (d % k === 0 && size % (outside * k) === 0) places.add(outside * k);
    outside *= d;
  }
  return [...places].sort((p, q) => p - q).find((outer) => isStacked(a, b, both, outer));
}

function isStacked(a: Tensor, b: Tensor, both: Tensor, outer: number): boolean {
  const [x, y, z] = [a.data, b.data, both.data] as [Float32Array, Float32Array, Float32Array];
  const each = x.length / outer;
  const near = closeness(a, b);
  for (let i = 0; i < outer; i++)
    for (let k = 0; k < each; k++) {
      const at = i * each + k;
      if (!near(x[at] as number, z[2 * i * each + k] as number)) return false;
      if (!near(y[at] as number, z[(2 * i + 1) * each + k] as number)) return false;
    }
  return true;
}

export function nearlyEqual(a: Tensor, b: Tensor): boolean {
  const near = closeness(a, b);
  const [x, y] = [a.data, b.data] as [Float32Array, Float32Array];
  return x.length === y.length && x.every((v, i) => near(v, y[i] as number));
}

/** Float32 sums in another order: a few units in the sixth digit of the largest number. */
function closeness(...tensors: readonly Tensor[]): (p: number, q: number) => boolean {
  let largest = 0;
  for (const t of tensors)
    for (const v of t.data as Float32Array) if (Number.isFinite(v)) largest = Math.max(largest, Math.abs(v));
  const tolerance = 1e-5 + 1e-4 * largest;
  return (p, q) => Object.is(p, q) || Math.abs(p - q) <= tolerance;
}

/** The axes of a value, made for batches of `fixed`, that a batch may lie in which cuts it into `outer` pieces. */
export function axesFor(dims: readonly number[] | undefined, outer: number, fixed: number): number[] {
  let outside = 1;
  return (dims ?? []).flatMap((d, axis) => {
    const within = outer / outside;
    outside *= d;
    return Number.isInteger(within) && d % (within * fixed) === 0 ? [axis] : [];
  });
}
