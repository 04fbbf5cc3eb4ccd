// Reference operators that look along axes: sums and means, extrema and where they are, softmax, cumulative sums.
// Source: ONNX operator specification, opset 21 (axes of Reduce* as an input).
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
  zeros,
} from "./array.ts";

/** Which axes a Reduce* node means, and what is left where there are none. */
function reducedAxes(inputs: readonly (NDArray | undefined)[], a: AttributeReader): Set<number> {
  const rank = need(inputs, 0).dims.length;
  const given = inputs[1] ? [...inputs[1].data] : [];
  const noop = a.int("noop_with_empty_axes", 0) === 1;
  if (given.length === 0) return new Set(noop ? [] : Array.from({ length: rank }, (_, i) => i));
  return new Set(given.map((axis) => axisOf(axis, rank)));
}

/** y = finish(fold of x over the axes, starting from `start`, number of elements). */
function reduce(
  start: number,
  fold: (sum: number, x: number) => number,
  finish: (sum: number, count: number) => number = (sum) => sum,
): Operator {
  return (inputs, a) => {
    const x = need(inputs, 0);
    const axes = reducedAxes(inputs, a);
    const { kept, target } = reducedLayout(x, axes);
    const data = new Float64Array(sizeOf(kept)).fill(start);
    for (let i = 0; i < x.data.length; i++) data[target[i]!] = fold(data[target[i]!]!, x.data[i]!);
    const count = x.dims.reduce((n, d, i) => (axes.has(i) ? n * d : n), 1);
    const dims = a.int("keepdims", 1) === 1 ? kept : kept.filter((_, i) => !axes.has(i));
    return { dtype: x.dtype, dims, data: data.map((sum) => finish(sum, count)) };
  };
}

/** The dims with ones at the reduced axes, and for each element of x where it goes. */
function reducedLayout(x: NDArray, axes: ReadonlySet<number>): { kept: number[]; target: Int32Array } {
  const kept = x.dims.map((d, i) => (axes.has(i) ? 1 : d));
  const steps = strides(kept).map((step, i) => (axes.has(i) ? 0 : step));
  return { kept, target: offsets(x.dims, steps) };
}

/** log Σ exp(x − m) + m with m the maximum along the axes, so that it neither overflows nor vanishes. */
const reduceLogSumExp: Operator = (inputs, a, outputs) => {
  const x = need(inputs, 0);
  const { target } = reducedLayout(x, reducedAxes(inputs, a));
  const max = reduce(Number.NEGATIVE_INFINITY, Math.max)(inputs, a, outputs) as NDArray;
  const data = new Float64Array(max.data.length);
  const shift = max.data.map((m) => (Number.isFinite(m) ? m : 0));
  for (let i = 0; i < x.data.length; i++) data[target[i]!]! += Math.exp(x.data[i]! - shift[target[i]!]!);
  return { ...max, data: data.map((sum, i) => Math.log(sum) + shift[i]!) };
};

const add = (sum: number, x: number): number => sum + x;
const addSquare = (sum: number, x: number): number => sum + x * x;

/** Index of the extremum along one axis; of equals, the first, or the last with select_last_index. */
function arg(better: (x: number, best: number) => boolean): Operator {
  return (inputs, a) => {
    const x = need(inputs, 0);
    const axis = axisOf(a.int("axis", 0), x.dims.length);
    const keep = a.int("keepdims", 1) === 1;
    const last = a.int("select_last_index", 0) === 1;
    const { outer, size, inner } = around(x.dims, axis);
    const data = new Float64Array(outer * inner);
    for (let o = 0; o < outer; o++)
      for (let i = 0; i < inner; i++) {
        const at = (k: number): number => x.data[(o * size + k) * inner + i]!;
        let best = 0;
        for (let k = 1; k < size; k++) if (better(at(k), at(best)) || (last && at(k) === at(best))) best = k;
        data[o * inner + i] = best;
      }
    const dims = x.dims.flatMap((d, i) => (i !== axis ? [d] : keep ? [1] : []));
    return { dtype: "int64", dims, data };
  };
}

/** Applies `f` to each line of x along `axis`: reads `line`, writes `into` (both of the axis's size). */
function alongAxis(x: NDArray, axis: number, f: (line: Float64Array, into: Float64Array) => void): NDArray {
  const { outer, size, inner } = around(x.dims, axis);
  const y = zeros(x.dtype, x.dims);
  const line = new Float64Array(size);
  const into = new Float64Array(size);
  for (let o = 0; o < outer; o++)
    for (let i = 0; i < inner; i++) {
      for (let k = 0; k < size; k++) line[k] = x.data[(o * size + k) * inner + i]!;
      f(line, into);
      for (let k = 0; k < size; k++) y.data[(o * size + k) * inner + i] = into[k]!;
    }
  return y;
}

function lines(f: (line: Float64Array, into: Float64Array) => void): Operator {
  return (inputs, a) => {
    const x = need(inputs, 0);
    return alongAxis(x, axisOf(a.int("axis", -1), x.dims.length), f);
  };
}

function maximum(line: Float64Array): number {
  let max = Number.NEGATIVE_INFINITY;
  for (const v of line) max = Math.max(max, v);
  return max;
}

const softmax = lines((line, into) => {
  const max = maximum(line);
  let sum = 0;
  for (let k = 0; k < line.length; k++) sum += into[k] = Math.exp(line[k]! - max);
  for (let k = 0; k < line.length; k++) into[k]! /= sum;
});

const logSoftmax = lines((line, into) => {
  const max = maximum(line);
  let sum = 0;
  for (const v of line) sum += Math.exp(v - max);
  const logSum = Math.log(sum);
  for (let k = 0; k < line.length; k++) into[k] = line[k]! - max - logSum;
});

const hardmax = lines((line, into) => {
  into.fill(0);
  into[line.indexOf(maximum(line))] = 1;
});

const cumSum: Operator = (inputs, a) => {
  const x = need(inputs, 0);
  const exclusive = a.int("exclusive", 0) === 1;
  const reverse = a.int("reverse", 0) === 1;
  return alongAxis(x, axisOf(need(inputs, 1).data[0]!, x.dims.length), (line, into) => {
    let sum = 0;
    for (let step = 0; step < line.length; step++) {
      const k = reverse ? line.length - 1 - step : step;
      into[k] = exclusive ? sum : sum + line[k]!;
      sum += line[k]!;
    }
  });
};

/** The k largest (or smallest) along an axis, sorted; of equals, the one with the lower index first. */
const topK: Operator = (inputs, a) => {
  const x = need(inputs, 0);
  const k = need(inputs, 1).data[0]!;
  const axis = axisOf(a.int("axis", -1), x.dims.length);
  const sign = a.int("largest", 1) === 1 ? -1 : 1;
  a.ignore("sorted");
  const { outer, size, inner } = around(x.dims, axis);
  if (k > size) throw new Error(`k = ${k} of ${size} elements`);
  const dims = x.dims.map((d, i) => (i === axis ? k : d));
  const values = zeros(x.dtype, dims);
  const indices = zeros("int64", dims);
  for (let o = 0; o < outer; o++)
    for (let i = 0; i < inner; i++) {
      const at = (j: number): number => x.data[(o * size + j) * inner + i]!;
      const order = Array.from({ length: size }, (_, j) => j);
      order.sort((p, q) => sign * (at(p) - at(q)) || p - q);
      for (let j = 0; j < k; j++) {
        values.data[(o * k + j) * inner + i] = at(order[j]!);
        indices.data[(o * k + j) * inner + i] = order[j]!;
      }
    }
  return [values, indices];
};

export const reduction: OperatorTable = {
  ReduceSum: reduce(0, add),
  ReduceMean: reduce(0, add, (sum, count) => sum / count),
  ReduceMax: reduce(Number.NEGATIVE_INFINITY, Math.max),
  ReduceMin: reduce(Number.POSITIVE_INFINITY, Math.min),
  ReduceProd: reduce(1, (product, x) => product * x),
  ReduceL1: reduce(0, (sum, x) => sum + Math.abs(x)),
  ReduceL2: reduce(0, addSquare, Math.sqrt),
  ReduceSumSquare: reduce(0, addSquare),
  ReduceLogSum: reduce(0, add, Math.log),
  ReduceLogSumExp: reduceLogSumExp,
  ArgMax: arg((x, best) => x > best),
  ArgMin: arg((x, best) => x < best),
  Softmax: softmax,
  LogSoftmax: logSoftmax,
  Hardmax: hardmax,
  CumSum: cumSum,
  TopK: topK,
};
