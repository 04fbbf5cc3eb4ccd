// Reference convolutions and pools, for any number of spatial axes.
// Source: ONNX operator specification, opset 21.
import { sizeOf } from "../../src/base/tensor.ts";
import {
  type AttributeReader,
  type NDArray,
  need,
  type Operator,
  type OperatorTable,
  zeros,
} from "./array.ts";
import { beyondPadding, readTransposedWindows, readWindows, type Windows, windowTable } from "./windows.ts";

function kernelOf(w: NDArray, a: AttributeReader): readonly number[] {
  const kernel = w.dims.slice(2);
  const declared = a.ints("kernel_shape", kernel);
  if (declared.join() !== kernel.join()) throw new Error(`kernel_shape [${declared}], weights [${w.dims}]`);
  return kernel;
}

/** y[n,m,p] = b[m] + Σ_c Σ_t w[m,c,t] · x[n, g·C/G + c, p·stride + t·dilation − pad], m in group g. */
const conv: Operator = (inputs, a) => {
  const [x, w, b] = [need(inputs, 0), need(inputs, 1), inputs[2]];
  const groups = a.int("group", 1);
  const [batch, channels] = x.dims as [number, number];
  const [maps, perGroup] = w.dims as [number, number];
  if (perGroup * groups !== channels || maps % groups !== 0)
    throw new Error(`${groups} groups, input [${x.dims}], weights [${w.dims}]`);
  const windows = readWindows(x.dims.slice(2), kernelOf(w, a), a);
  const table = windowTable(windows);
  const [pixels, taps, positions] = [windows.image, windows.kernel, windows.positions].map(
    sizeOf,
  ) as number[];
  const y = zeros(x.dtype, [batch, maps, ...windows.positions]);
  for (let n = 0; n < batch; n++)
    for (let m = 0; m < maps; m++) {
      const firstChannel = Math.floor(m / (maps / groups)) * perGroup;
      for (let p = 0; p < positions!; p++) {
        let sum = b ? b.data[m]! : 0;
        for (let c = 0; c < perGroup; c++) {
          const image = (n * channels + firstChannel + c) * pixels!;
          const kernel = (m * perGroup + c) * taps!;
          for (let t = 0; t < taps!; t++) {
            const pixel = table[p * taps! + t]!;
            if (pixel >= 0) sum += w.data[kernel + t]! * x.data[image + pixel]!;
          }
        }
        y.data[(n * maps + m) * positions! + p] = sum;
      }
    }
  return y;
};

/** y[n, g·M/G + m, p·stride + t·dilation − pad] += w[c,m,t] · x[n,c,p], c in group g; weights [C, M/G, …]. */
const convTranspose: Operator = (inputs, a) => {
  const [x, w, b] = [need(inputs, 0), need(inputs, 1), inputs[2]];
  const groups = a.int("group", 1);
  const [batch, channels] = x.dims as [number, number];
  const perGroup = w.dims[1]!;
  if (w.dims[0] !== channels || channels % groups !== 0)
    throw new Error(`${groups} groups, input [${x.dims}], weights [${w.dims}]`);
  const maps = perGroup * groups;
  const windows = readTransposedWindows(x.dims.slice(2), kernelOf(w, a), a);
  const table = windowTable(windows);
  const [pixels, taps, positions] = [windows.image, windows.kernel, windows.positions].map(
    sizeOf,
  ) as number[];
  const y = zeros(x.dtype, [batch, maps, ...windows.image]);
  for (let n = 0; n < batch; n++) {
    for (let m = 0; b && m < maps; m++)
      y.data.fill(b.data[m]!, (n * maps + m) * pixels!, (n * maps + m + 1) * pixels!);
    for (let c = 0; c < channels; c++) {
      const firstMap = Math.floor(c / (channels / groups)) * perGroup;
      for (let m = 0; m < perGroup; m++) {
        const image = (n * maps + firstMap + m) * pixels!;
        const kernel = (c * perGroup + m) * taps!;
        for (let p = 0; p < positions!; p++) {
          const value = x.data[(n * channels + c) * positions! + p]!;
          for (let t = 0; t < taps!; t++) {
            const pixel = table[p * taps! + t]!;
            if (pixel >= 0) y.data[image + pixel]! += w.data[kernel + t]! * value;
          }
        }
      }
    }
  }
  return y;
};

/** Calls `visit` for each window of each channel of each image. */
function pool(
  x: NDArray,
  w: Windows,
  visit: (target: number, firstPixel: number, table: Int32Array, start: number, end: number) => void,
): void {
  const table = windowTable(w);
  const [pixels, taps, positions] = [w.image, w.kernel, w.positions].map(sizeOf) as [number, number, number];
  const channels = x.dims[0]! * x.dims[1]!;
  for (let c = 0; c < channels; c++)
    for (let p = 0; p < positions; p++) visit(c * positions + p, c * pixels, table, p * taps, (p + 1) * taps);
}

function poolWindows(x: NDArray, a: AttributeReader): Windows {
  const kernel = a.ints("kernel_shape");
  if (!kernel) throw new Error("kernel_shape is missing");
  return readWindows(x.dims.slice(2), kernel, a);
}

/** The indices count through the whole input [N, C, …], row-major; of equals, the first. */
const maxPool: Operator = (inputs, a) => {
  const x = need(inputs, 0);
  const windows = poolWindows(x, a);
  if (a.int("storage_order", 0) !== 0) throw new Error("storage_order 1 is not in the reference");
  const dims = [...x.dims.slice(0, 2), ...windows.positions];
  const y = zeros(x.dtype, dims);
  const indices = zeros("int64", dims);
  pool(x, windows, (target, first, table, start, end) => {
    let best = -1;
    for (let t = start; t < end; t++) {
      const pixel = table[t]!;
      if (pixel >= 0 && (best < 0 || x.data[first + pixel]! > x.data[best]!)) best = first + pixel;
    }
    y.data[target] = best < 0 ? Number.NEGATIVE_INFINITY : x.data[best]!;
    indices.data[target] = best;
  });
  return [y, indices];
};

/** y[indices] = x, and 0 elsewhere, on what the windows cover; output_shape is not in the reference. */
const maxUnpool: Operator = (inputs, a) => {
  const [x, indices] = [need(inputs, 0), need(inputs, 1)];
  if (inputs[2]) throw new Error("output_shape is not in the reference");
  const kernel = a.ints("kernel_shape");
  if (!kernel) throw new Error("kernel_shape is missing");
  const windows = readTransposedWindows(x.dims.slice(2), kernel, a);
  const y = zeros(x.dtype, [...x.dims.slice(0, 2), ...windows.image]);
  x.data.forEach((value, i) => {
    y.data[indices.data[i]!] = value;
  });
  return y;
};

/** With count_include_pad the padding counts as zeros; what lies beyond it (ceil_mode) never counts. */
const averagePool: Operator = (inputs, a) => {
  const x = need(inputs, 0);
  const windows = poolWindows(x, a);
  const includePad = a.int("count_include_pad", 0) === 1;
  const y = zeros(x.dtype, [...x.dims.slice(0, 2), ...windows.positions]);
  pool(x, windows, (target, first, table, start, end) => {
    let sum = 0;
    let count = 0;
    for (let t = start; t < end; t++) {
      const pixel = table[t]!;
      if (pixel >= 0) sum += x.data[first + pixel]!;
      if (pixel >= 0 || (includePad && pixel !== beyondPadding)) count++;
    }
    y.data[target] = sum / count;
  });
  return y;
};

/** One number for each channel: fold over all pixels, then finish. */
function globalPool(
  start: number,
  fold: (sum: number, x: number) => number,
  finish: (sum: number, count: number) => number,
): Operator {
  return (inputs) => {
    const x = need(inputs, 0);
    const pixels = sizeOf(x.dims.slice(2));
    const y = zeros(
      x.dtype,
      x.dims.map((d, i) => (i < 2 ? d : 1)),
    );
    for (let c = 0; c < y.data.length; c++)
      y.data[c] = finish(x.data.subarray(c * pixels, (c + 1) * pixels).reduce(fold, start), pixels);
    return y;
  };
}

export const convolution: OperatorTable = {
  Conv: conv,
  ConvTranspose: convTranspose,
  MaxPool: maxPool,
  MaxUnpool: maxUnpool,
  AveragePool: averagePool,
  GlobalAveragePool: globalPool(
    0,
    (sum, x) => sum + x,
    (sum, n) => sum / n,
  ),
  GlobalMaxPool: globalPool(
    Number.NEGATIVE_INFINITY,
    (max, x) => Math.max(max, x),
    (max) => max,
  ),
};
