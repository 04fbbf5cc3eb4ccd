// Slice: strided pieces of a tensor, and the same thing for rules that know their indices before training.
// Source: ONNX operator specification, Slice-13 (and its older spellings: attributes in opset 1, no steps before 10).
import type { Shape } from "../base/tensor.ts";
import { typeOf, type Value } from "../graph/graph.ts";
import type { Builder } from "./builder.ts";
import { defineOp, oneOutput, zero } from "./define.ts";
import { axisOf } from "./infer.ts";

/** Which elements of one axis are taken: start, start + step, …, `count` of them. */
interface Range {
  readonly axis: number;
  readonly start: number;
  readonly step: number;
  readonly count: number;
}

/** Written as an end, these mean "to the last element" in either direction, to ONNX Runtime as to exporters. */
const isOpen = (end: number): boolean => end === 2 ** 31 - 1 || end >= 2 ** 63;

/** Starts and ends below 0 count from the end, then both are clamped: a start to an element, also where NumPy would find none. */
function rangesOf(
  dims: Shape,
  starts: readonly number[],
  ends: readonly number[],
  axes: readonly number[] | undefined,
  steps: readonly number[] | undefined,
  where: string,
): Range[] {
  return starts.map((given, i) => {
    const axis = axisOf(axes?.[i] ?? i, dims.length, where);
    const size = dims[axis] as number;
    const step = steps?.[i] ?? 1;
    const [low, high] = step > 0 ? [0, size] : [-1, size - 1];
    const clamp = (at: number, from: number): number =>
      Math.min(Math.max(at < 0 ? at + size : at, from), high);
    const start = clamp(given, 0);
    const wanted = ends[i] as number;
    const end = isOpen(wanted) ? (step > 0 ? size : -1) : clamp(wanted, low);
    return { axis, start, step, count: Math.max(0, Math.ceil((end - start) / step)) };
  });
}

/** x[…, start:…:step, …] over several axes; axes that are taken whole cost nothing. */
export function emitSlice(b: Builder, x: Value, ranges: readonly Range[]): Value {
  const dims = b.dims(x);
  const real = ranges.filter((r) => r.start !== 0 || r.step !== 1 || r.count !== dims[r.axis]);
  if (real.length === 0) return x;
  return b.slice(
    x,
    real.map((r) => (r.count === 0 ? 0 : r.start)),
    // An end before the first element cannot be written −1, which is the last one; beyond −size it is clamped.
    real.map((r) => {
      const end = r.start + r.step * r.count;
      return r.count === 0 ? 0 : end < 0 ? -(dims[r.axis] as number) - 1 : end;
    }),
    real.map((r) => r.axis),
    real.map((r) => (r.count === 0 ? 1 : r.step)),
  );
}

/** y = x[start : end : step] on some axes;  dx = dy spread out to its places, zeros elsewhere. */
export const slice = defineOp({
  op: "Slice",
  versions: [1, 10, 11, 13],
  emit: oneOutput((c) => {
    const x = c.x(0);
    const old = c.version < 10;
    const input = (i: number) => (c.has(i) ? c.numbers(i) : undefined);
    const axes = old ? (c.attr.has("axes") ? c.attr.ints("axes") : undefined) : input(3);
    const starts = old ? c.attr.ints("starts") : c.numbers(1);
    const ends = old ? c.attr.ints("ends") : c.numbers(2);
    return emitSlice(c.b, x, rangesOf(c.b.dims(x), starts, ends, axes, old ? undefined : input(4), c.where));
  }),
  infer: (c) => {
    const dims = [...c.dims(0)];
    const input = (i: number) => (c.has(i) ? c.numbers(i) : undefined);
    for (const r of rangesOf(dims, c.numbers(1), c.numbers(2), input(3), input(4), c.where))
      dims[r.axis] = r.count;
    return [{ dtype: c.type(0).dtype, dims }];
  },
  grad: ({ b, node, dy, dims, has, numbers, count }) => [
    () => {
      const input = (i: number) => (has(i) ? numbers(i) : undefined);
      const ranges = rangesOf(dims(0), numbers(1), numbers(2), input(3), input(4), node.name);
      if (ranges.some((r) => r.count === 0)) return b.full({ dtype: typeOf(dy(0)).dtype, dims: dims(0) }, 0);
      return unslice(b, dy(0), dims(0), ranges);
    },
    ...Array.from({ length: count - 1 }, () => zero as typeof zero),
  ],
});

/** The transpose of a slice of a tensor of shape `dims`: one Pad, after zeros between the elements of strided axes. */
function unslice(b: Builder, dy: Value, dims: Shape, ranges: readonly Range[]): Value {
  const before = dims.map(() => 0);
  const after = dims.map(() => 0);
  let d = dy;
  for (const r of ranges) {
    const stride = Math.abs(r.step);
    const lowest = r.step > 0 ? r.start : r.start + r.step * (r.count - 1);
    if (r.step < 0) d = reverse(b, d, r.axis);
    if (stride > 1 && r.count > 1) d = spread(b, d, r.axis, stride);
    before[r.axis] = lowest;
    after[r.axis] = (dims[r.axis] as number) - lowest - (stride * (r.count - 1) + 1);
  }
  return b.pad(d, before, after);
}

function reverse(b: Builder, x: Value, axis: number): Value {
  const count = b.dims(x)[axis] as number;
  return emitSlice(b, x, [{ axis, start: count - 1, step: -1, count }]);
}

/** stride − 1 zeros between neighbours along `axis`. */
function spread(b: Builder, x: Value, axis: number, stride: number): Value {
  const dims = b.dims(x);
  const count = dims[axis] as number;
  const apart = b.reshape(x, dims.toSpliced(axis + 1, 0, 1));
  const zeros = Array.from({ length: dims.length + 1 }, () => 0);
  const padded = b.pad(apart, zeros, zeros.with(axis + 1, stride - 1));
  const joined = b.reshape(padded, dims.with(axis, count * stride));
  return emitSlice(b, joined, [{ axis, start: 0, step: 1, count: stride * (count - 1) + 1 }]);
}

/**
 * x's entries along `axis` at indices (from the front) that are known before training, as cheaply as their pattern allows:
 * nothing, a slice, a repetition, or a Gather.
 */
export function pickAlong(b: Builder, x: Value, axis: number, indices: readonly number[]): Value {
  const dims = b.dims(x);
  const count = indices.length;
  const start = indices[0] ?? 0;
  const step = count > 1 ? (indices[1] as number) - start : 1;
  if (step !== 0 && indices.every((at, k) => at === start + k * step))
    return emitSlice(b, x, [{ axis, start, step, count }]);
  const repeats = count / (dims[axis] as number);
  if (Number.isInteger(repeats) && indices.every((at, k) => at === Math.floor(k / repeats))) {
    const apart = b.reshape(x, dims.toSpliced(axis + 1, 0, 1));
    const repeated = b.expand(apart, dims.toSpliced(axis + 1, 0, repeats));
    return b.reshape(repeated, dims.with(axis, count));
  }
  return b.gather(x, b.ints(indices), axis);
}
