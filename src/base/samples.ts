// Batches as tensors whose first axis counts samples: picking samples out and putting batches together.
import { DistillError } from "./errors.ts";
import { formatShape, newArray, sizeOf, type Tensor, type TypedArray } from "./tensor.ts";

/** The samples `indices` of `t`, in that order, along `axis` (default 0: [n, …]); one may be taken more than once. */
export function takeSamples(t: Tensor, indices: ArrayLike<number>, axis = 0): Tensor {
  const dims = t.dims.map((d, i) => (i === axis ? indices.length : d));
  const each = sizeOf(t.dims.slice(axis + 1));
  const row = each * (t.dims[axis] as number);
  const outer = sizeOf(t.dims.slice(0, axis));
  const data = emptyLike(t, sizeOf(dims));
  let to = 0;
  for (let o = 0; o < outer; o++)
    for (let i = 0; i < indices.length; i++, to += each)
      copy(t, o * row + (indices[i] as number) * each, each, data, to);
  return { dtype: t.dtype, dims, data };
}

/** Batches of n₁, n₂, … samples along `axis` (default 0) as one of n₁ + n₂ + …; E_SHAPE where samples differ in shape. */
export function joinBatches(batches: readonly Tensor[], axis = 0): Tensor {
  const [first] = batches;
  if (!first) throw new DistillError("E_SHAPE", "no batches to put together");
  if (batches.length === 1) return first;
  const sample = (t: Tensor): string => formatShape(t.dims.filter((_, i) => i !== axis));
  const odd = batches.find((t) => sample(t) !== sample(first));
  if (odd)
    throw new DistillError(
      "E_SHAPE",
      `batches of ${formatShape(first.dims)} and ${formatShape(odd.dims)} hold samples of different shapes`,
    );
  const n = batches.reduce((sum, t) => sum + (t.dims[axis] as number), 0);
  const dims = first.dims.map((d, i) => (i === axis ? n : d));
  const outer = sizeOf(dims.slice(0, axis));
  const data = emptyLike(first, sizeOf(dims));
  let to = 0;
  for (let o = 0; o < outer; o++)
    for (const t of batches) {
      const row = t.data.length / outer;
      copy(t, o * row, row, data, to);
      to += row;
    }
  return { dtype: first.dtype, dims, data };
}

function emptyLike(t: Tensor, length: number): TypedArray {
  if (t.dtype !== "string") return newArray(t.dtype, length);
  throw new DistillError("E_DATA", "samples of text can't be put into batches; tokenize them first");
}

function copy(from: Tensor, at: number, length: number, to: TypedArray, start: number): void {
  (to as Float32Array).set((from.data as Float32Array).subarray(at, at + length), start);
}
