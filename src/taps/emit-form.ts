// Brings a tapped value into the form in which it is compared (tap-form.ts), as graph values with their gradients.

import { neuronAxis } from "../base/layout.ts";
import { tensor } from "../base/tensor.ts";
import { ints, type Value } from "../graph/graph.ts";
import type { Builder } from "../ops/builder.ts";
import type { TapForm } from "./tap-form.ts";

export function emitForm(b: Builder, value: Value, form: TapForm): Value {
  let x = value;
  if (form.transpose) x = b.transpose(x, form.transpose);
  const batch = b.dims(x)[0] as number;
  const neurons = b.dims(x)[neuronAxis(b.dims(x).length)] as number;
  if (form.dropFirst) x = b.slice(x, [1], [b.dims(x)[1] as number], [1]);
  if (form.grid) {
    const spatial = form.grid.map((_, i) => i + 1);
    x = b.transpose(b.reshape(x, [batch, ...form.grid, neurons]), [0, spatial.length + 1, ...spatial]);
  }
  if (form.flatten) {
    const spatial = b.dims(x).slice(2);
    const last = b.transpose(x, [0, ...spatial.map((_, i) => i + 2), 1]);
    x = b.reshape(last, [batch, spatial.reduce((a, c) => a * c, 1), neurons]);
  }
  if (form.pool) x = adaptiveAveragePool(b, x, form.pool);
  return form.squeeze ? b.reshape(x, [batch, neurons]) : x;
}

/**
 * Adaptive average pooling of the axes of samples to `sizes`, each at most what it is: output i of an axis is the mean
 * over [⌊i·in/out⌋, ⌈(i+1)·in/out⌉), as in PyTorch's adaptive_avg_pool. Windows overlap where sizes do not divide.
 */
export function adaptiveAveragePool(b: Builder, x: Value, sizes: readonly number[]): Value {
  const dims = b.dims(x);
  const first = neuronAxis(dims.length) === 1 ? 2 : 1;
  const space = dims.slice(first, first + sizes.length);
  const divides = space.every((size, i) => size % (sizes[i] as number) === 0);
  if (first === 2 && divides && sizes.some((s) => s > 1)) return tilingPool(b, x, sizes);
  return sizes.reduce((y, size, i) => poolAlong(b, y, first + i, size), x);
}

/** Windows that tile a map [N, C, …space]: y = mean over each window;  dx = dy / |window| at each of its positions. */
function tilingPool(b: Builder, x: Value, sizes: readonly number[]): Value {
  const dims = b.dims(x);
  const [n, c, ...space] = dims as [number, number, ...number[]];
  const window = space.map((size, i) => size / (sizes[i] as number));
  if (window.every((w) => w === 1)) return x;
  const y = b.node("AveragePool", [x], { kernel_shape: ints(window), strides: ints(window) });
  b.region({
    inputs: [x],
    outputs: [y],
    grad: (dy) => [
      () => {
        const share = b.scale(dy(0), 1 / window.reduce((p, w) => p * w, 1));
        const spread = b.reshape(share, [n * c, ...sizes.flatMap((s) => [s, 1])]);
        return b.reshape(
          b.expand(spread, [n * c, ...sizes.flatMap((s, i) => [s, window[i] as number])]),
          dims,
        );
      },
    ],
  });
  return y;
}

/** One axis to `size`: a mean where windows do not overlap, otherwise a product with the constant matrix of their weights. */
function poolAlong(b: Builder, x: Value, axis: number, size: number): Value {
  const dims = b.dims(x);
  const from = dims[axis] as number;
  if (from === size) return x;
  const before = dims.slice(0, axis);
  const after = dims.slice(axis + 1);
  const outer = before.reduce((a, c) => a * c, 1);
  const inner = after.reduce((a, c) => a * c, 1);
  if (from % size === 0) {
    const windows = b.reshape(x, [outer, size, from / size, inner]);
    return b.reshape(b.reduceMean(windows, [2]), [...before, size, ...after]);
  }
  const dtype = x.type?.dtype === "float64" ? "float64" : "float32";
  const weights = poolingMatrix(from, size);
  if (inner === 1) {
    const columns = b.constant(tensor(dtype, transposed(weights, size, from), [from, size]), "pooling");
    return b.reshape(b.matmul(b.reshape(x, [outer, from]), columns), [...before, size, ...after]);
  }
  const rows = b.constant(tensor(dtype, weights, [size, from]), "pooling");
  return b.reshape(b.matmul(rows, b.reshape(x, [outer, from, inner])), [...before, size, ...after]);
}

/** [out, in], row-major: the weight of each input position in each output's mean. */
function poolingMatrix(from: number, to: number): Float64Array {
  const matrix = new Float64Array(to * from);
  for (let i = 0; i < to; i++) {
    const begin = Math.floor((i * from) / to);
    const end = Math.ceil(((i + 1) * from) / to);
    matrix.fill(1 / (end - begin), i * from + begin, i * from + end);
  }
  return matrix;
}

function transposed(matrix: Float64Array, rows: number, columns: number): Float64Array {
  return matrix.map((_, k) => matrix[(k % rows) * columns + Math.floor(k / rows)] as number);
}
