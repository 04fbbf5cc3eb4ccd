// Small sums over tensors that a comparison needs.
import { sizeOf, type Tensor } from "../../src/base/tensor.ts";

/** Euclidean norm. */
export function norm(a: ArrayLike<number>): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += (a[i] as number) ** 2;
  return Math.sqrt(sum);
}

export function dot(a: ArrayLike<number>, b: ArrayLike<number>): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += (a[i] as number) * (b[i] as number);
  return sum;
}

/** ‖a − expected‖ / ‖expected‖. */
export function relativeError(a: Float32Array, expected: Float32Array): number {
  return norm(Float64Array.from(expected, (e, i) => (a[i] as number) - e)) / norm(expected);
}

/** The elements with the axes in the order `perm`. */
export function transposed(t: Tensor, perm: readonly number[]): Float32Array {
  const data = t.data as Float32Array;
  if (perm.every((p, i) => p === i)) return data;
  const strides = t.dims.map((_, i) => sizeOf(t.dims.slice(i + 1)));
  const dims = perm.map((p) => t.dims[p] as number);
  const steps = perm.map((p) => strides[p] as number);
  const out = new Float32Array(data.length);
  const at = dims.map(() => 0);
  let from = 0;
  for (let i = 0; i < out.length; i++) {
    out[i] = data[from] as number;
    for (let axis = dims.length - 1; axis >= 0; axis--) {
      from += steps[axis] as number;
      if (++at[axis]! < (dims[axis] as number)) break;
      from -= (steps[axis] as number) * (dims[axis] as number);
      at[axis] = 0;
    }
  }
  return out;
}

export function sameBits(a: Tensor, b: Tensor): boolean {
  const bits = (t: Tensor): Buffer => {
    const { buffer, byteOffset, byteLength } = t.data as Float32Array;
    return Buffer.from(buffer, byteOffset, byteLength);
  };
  return bits(a).equals(bits(b));
}
