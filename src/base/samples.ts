// Batches as tensors whose first axis counts samples: picking samples out and putting batches together.
import { DistillError } from "./errors.ts";
import { formatShape, newArray, sizeOf, type Tensor, type TypedArray } from "./tensor.ts";

/** The samples `indices` of `t` [n, …], in that order; one may be taken more than once. */
export function takeSamples(t: Tensor, indices: ArrayLike<number>): Tensor {
  const dims = [indices.length, ...t.dims.slice(1)];
  const each = sizeOf(t.dims.slice(1));
  if (t.dtype === "string") {
    const from = t.data as readonly string[];
    return {
      dtype: t.dtype,
      dims,
      data: Array.from(indices, (i) => from.slice(i * each, (i + 1) * each)).flat(),
    };
  }
  const from = t.data as Float32Array;
  const data = newArray(t.dtype, sizeOf(dims)) as Float32Array;
  for (let i = 0; i < indices.length; i++) {
    const at = (indices[i] as number) * each;
    data.set(from.subarray(at, at + each), i * each);
  }
  return { dtype: t.dtype, dims, data: data as TypedArray };
}

/** Batches [n₁, …], [n₂, …], … as one [n₁ + n₂ + …, …]; E_SHAPE where samples differ in shape. */
export function joinBatches(batches: readonly Tensor[]): Tensor {
  const [first] = batches;
  if (!first) throw new DistillError("E_SHAPE", "no batches to put together");
  if (batches.length === 1) return first;
  const each = first.dims.slice(1);
  const odd = batches.find((t) => formatShape(t.dims.slice(1)) !== formatShape(each));
  if (odd)
    throw new DistillError(
      "E_SHAPE",
      `batches of ${formatShape(first.dims)} and ${formatShape(odd.dims)} hold samples of different shapes`,
    );
  const dims = [batches.reduce((n, t) => n + (t.dims[0] as number), 0), ...each];
  if (first.dtype === "string")
    return { dtype: first.dtype, dims, data: batches.flatMap((t) => t.data as readonly string[]) };
  const data = newArray(first.dtype, sizeOf(dims)) as Float32Array;
  let at = 0;
  for (const t of batches) {
    data.set(t.data as Float32Array, at);
    at += t.data.length;
  }
  return { dtype: first.dtype, dims, data: data as TypedArray };
}
