// Reference gathers and scatters: operators whose indices are data.
// Source: ONNX operator specification, opset 21.
import { sizeOf } from "../../src/base/tensor.ts";
import {
  type AttributeReader,
  around,
  axisOf,
  type NDArray,
  need,
  type Operator,
  type OperatorTable,
  offsets,
  strides,
  take,
} from "./array.ts";

/** An index counted from the front; out of range is an error, as in the specification. */
function wrapIndex(index: number, size: number): number {
  const i = index < 0 ? index + size : index;
  if (i < 0 || i >= size) throw new Error(`index ${index} is outside an axis of ${size}`);
  return i;
}

const gather: Operator = (inputs, a) => {
  const [x, indices] = [need(inputs, 0), need(inputs, 1)];
  const axis = axisOf(a.int("axis", 0), x.dims.length);
  const { outer, size, inner } = around(x.dims, axis);
  const table = new Int32Array(outer * indices.data.length * inner);
  let at = 0;
  for (let o = 0; o < outer; o++)
    for (const index of indices.data)
      for (let i = 0; i < inner; i++) table[at++] = (o * size + wrapIndex(index, size)) * inner + i;
  return take(x, [...x.dims.slice(0, axis), ...indices.dims, ...x.dims.slice(axis + 1)], table);
};

/** For each entry of `indices`: the offset into `x` of its own index, with the one along `axis` replaced by it. */
function elementOffsets(x: NDArray, indices: NDArray, axis: number): Int32Array {
  const steps = strides(x.dims);
  const table = offsets(
    indices.dims,
    steps.map((step, i) => (i === axis ? 0 : step)),
  );
  return table.map((offset, i) => offset + wrapIndex(indices.data[i]!, x.dims[axis]!) * steps[axis]!);
}

const gatherElements: Operator = (inputs, a) => {
  const [x, indices] = [need(inputs, 0), need(inputs, 1)];
  const axis = axisOf(a.int("axis", 0), x.dims.length);
  return take(x, indices.dims, elementOffsets(x, indices, axis));
};

/** For each tuple (last axis of `indices`): where the slice of `x` that it names begins; and how long slices are. */
function tupleOffsets(x: NDArray, indices: NDArray, batchDims: number): { starts: number[]; run: number } {
  const length = indices.dims.at(-1)!;
  const steps = strides(x.dims);
  const tuples = sizeOf(indices.dims.slice(0, -1));
  const perBatch = tuples / sizeOf(x.dims.slice(0, batchDims));
  const batchRun = sizeOf(x.dims.slice(batchDims));
  const starts = Array.from({ length: tuples }, (_, t) => {
    let start = Math.floor(t / perBatch) * batchRun;
    for (let j = 0; j < length; j++) {
      const axis = batchDims + j;
      start += wrapIndex(indices.data[t * length + j]!, x.dims[axis]!) * steps[axis]!;
    }
    return start;
  });
  return { starts, run: sizeOf(x.dims.slice(batchDims + length)) };
}

const gatherND: Operator = (inputs, a) => {
  const [x, indices] = [need(inputs, 0), need(inputs, 1)];
  const batchDims = a.int("batch_dims", 0);
  const { starts, run } = tupleOffsets(x, indices, batchDims);
  const table = Int32Array.from(
    { length: starts.length * run },
    (_, i) => starts[Math.floor(i / run)]! + (i % run),
  );
  const dims = [...indices.dims.slice(0, -1), ...x.dims.slice(batchDims + indices.dims.at(-1)!)];
  return take(x, dims, table);
};

const combine = {
  none: (_: number, update: number): number => update,
  add: (old: number, update: number): number => old + update,
  mul: (old: number, update: number): number => old * update,
  min: (old: number, update: number): number => Math.min(old, update),
  max: (old: number, update: number): number => Math.max(old, update),
};

const readCombine = (a: AttributeReader): ((old: number, update: number) => number) =>
  combine[a.string("reduction", ["none", "add", "mul", "min", "max"])];

const scatterElements: Operator = (inputs, a) => {
  const [x, indices, updates] = [need(inputs, 0), need(inputs, 1), need(inputs, 2)];
  const table = elementOffsets(x, indices, axisOf(a.int("axis", 0), x.dims.length));
  const f = readCombine(a);
  const data = x.data.slice();
  for (let i = 0; i < table.length; i++) data[table[i]!] = f(data[table[i]!]!, updates.data[i]!);
  return { ...x, data };
};

const scatterND: Operator = (inputs, a) => {
  const [x, indices, updates] = [need(inputs, 0), need(inputs, 1), need(inputs, 2)];
  const { starts, run } = tupleOffsets(x, indices, 0);
  const f = readCombine(a);
  const data = x.data.slice();
  starts.forEach((start, t) => {
    for (let i = 0; i < run; i++) data[start + i] = f(data[start + i]!, updates.data[t * run + i]!);
  });
  return { ...x, data };
};

/** A new axis of size `depth`: values[1] where its index is the given one, else values[0]; an index out of range is nowhere. */
const oneHot: Operator = (inputs, a) => {
  const [indices, depths, values] = [need(inputs, 0), need(inputs, 1), need(inputs, 2)];
  const depth = depths.data[0]!;
  const [off, on] = values.data as unknown as [number, number];
  const axis = axisOf(a.int("axis", -1), indices.dims.length + 1);
  const inner = sizeOf(indices.dims.slice(axis));
  const data = new Float64Array(indices.data.length * depth).fill(off);
  indices.data.forEach((index, i) => {
    const k = index < 0 ? index + depth : index;
    if (k >= 0 && k < depth) data[(Math.floor(i / inner) * depth + k) * inner + (i % inner)] = on;
  });
  return { dtype: values.dtype, dims: indices.dims.toSpliced(axis, 0, depth), data };
};

/** The first lengths[n] entries along the time axis of each n, the other way round. */
const reverseSequence: Operator = (inputs, a) => {
  const [x, lengths] = [need(inputs, 0), need(inputs, 1)];
  const [time, batch] = [a.int("time_axis", 0), a.int("batch_axis", 1)];
  const steps = strides(x.dims);
  const table = offsets(x.dims, steps).map((offset) => {
    const at = (axis: number): number => Math.floor(offset / steps[axis]!) % x.dims[axis]!;
    const length = lengths.data[at(batch)]!;
    const t = at(time);
    return t < length ? offset + (length - 1 - 2 * t) * steps[time]! : offset;
  });
  return take(x, x.dims, table);
};

export const indexing: OperatorTable = {
  Gather: gather,
  GatherElements: gatherElements,
  GatherND: gatherND,
  ScatterElements: scatterElements,
  ScatterND: scatterND,
  OneHot: oneHot,
  ReverseSequence: reverseSequence,
};
