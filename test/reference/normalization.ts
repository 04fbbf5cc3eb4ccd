// Reference normalisations: over batches, layers, instances, groups of channels, and neighbouring channels.
// Source: ONNX operator specification, opset 21. All variances are population variances.
import { sizeOf } from "../../src/base/tensor.ts";
import {
  array,
  axisOf,
  broadcastStrides,
  type NDArray,
  need,
  type Operator,
  type OperatorTable,
  offsets,
  zeros,
} from "./array.ts";

/** Mean and variance of x[start … start + count). */
function moments(x: Float64Array, start: number, count: number): { mean: number; variance: number } {
  let sum = 0;
  for (let i = start; i < start + count; i++) sum += x[i]!;
  const mean = sum / count;
  let squares = 0;
  for (let i = start; i < start + count; i++) squares += (x[i]! - mean) ** 2;
  return { mean, variance: squares / count };
}

/** Inference: y = scale·(x − mean)/√(var + ε) + b. Training: with the batch's own moments; outputs y and the running ones. */
const batchNormalization: Operator = (inputs, a, outputs) => {
  const x = need(inputs, 0);
  const [scale, bias, mean, variance] = [1, 2, 3, 4].map((i) => need(inputs, i)) as NDArray[];
  const epsilon = a.float("epsilon", 1e-5);
  const momentum = a.float("momentum", 0.9);
  const training = a.int("training_mode", 0) === 1;
  if (!training && outputs > 1) throw new Error("more than one output needs training_mode=1");
  const [batch, channels] = [x.dims[0]!, x.dims[1] ?? 1];
  const pixels = sizeOf(x.dims.slice(2));
  let [m, v] = [mean!.data, variance!.data];
  if (training) {
    m = new Float64Array(channels);
    v = new Float64Array(channels);
    const count = batch * pixels;
    for (let c = 0; c < channels; c++) {
      for (let n = 0; n < batch; n++)
        for (let p = 0; p < pixels; p++) m[c]! += x.data[(n * channels + c) * pixels + p]! / count;
      for (let n = 0; n < batch; n++)
        for (let p = 0; p < pixels; p++)
          v[c]! += (x.data[(n * channels + c) * pixels + p]! - m[c]!) ** 2 / count;
    }
  }
  const y = zeros(x.dtype, x.dims);
  for (let i = 0; i < y.data.length; i++) {
    const c = Math.floor(i / pixels) % channels;
    y.data[i] = (scale!.data[c]! * (x.data[i]! - m[c]!)) / Math.sqrt(v[c]! + epsilon) + bias!.data[c]!;
  }
  if (!training) return y;
  const running = (old: NDArray, now: Float64Array): NDArray =>
    array(
      x.dtype,
      [channels],
      old.data.map((o, c) => o * momentum + now[c]! * (1 - momentum)),
    );
  return [y, running(mean!, m), running(variance!, v)];
};

/** Over the axes from `axis` on. Outputs: y, the means, and 1/√(var + ε). */
const layerNormalization: Operator = (inputs, a) => {
  const [x, scale, bias] = [need(inputs, 0), need(inputs, 1), inputs[2]];
  const axis = axisOf(a.int("axis", -1), x.dims.length);
  const epsilon = a.float("epsilon", 1e-5);
  a.ignore("stash_type");
  const kept = x.dims.map((d, i) => (i < axis ? d : 1));
  const count = sizeOf(x.dims.slice(axis));
  const [y, means, inverse] = [zeros(x.dtype, x.dims), zeros(x.dtype, kept), zeros(x.dtype, kept)];
  const ofScale = offsets(x.dims, broadcastStrides(scale.dims, x.dims));
  const ofBias = bias && offsets(x.dims, broadcastStrides(bias.dims, x.dims));
  for (let r = 0; r < means.data.length; r++) {
    const { mean, variance } = moments(x.data, r * count, count);
    means.data[r] = mean;
    inverse.data[r] = 1 / Math.sqrt(variance + epsilon);
    for (let i = r * count; i < (r + 1) * count; i++)
      y.data[i] =
        (x.data[i]! - mean) * inverse.data[r]! * scale.data[ofScale[i]!]! +
        (bias ? bias.data[ofBias![i]!]! : 0);
  }
  return [y, means, inverse];
};

/** Each group of channels of each image by its own moments; scale and bias for each channel. */
function normalizeGroups(inputs: readonly (NDArray | undefined)[], groups: number, epsilon: number): NDArray {
  const [x, scale, bias] = [need(inputs, 0), need(inputs, 1), need(inputs, 2)];
  const channels = x.dims[1]!;
  if (channels % groups !== 0) throw new Error(`${groups} groups of ${channels} channels`);
  const pixels = sizeOf(x.dims.slice(2));
  const count = (channels / groups) * pixels;
  const y = zeros(x.dtype, x.dims);
  for (let start = 0; start < x.data.length; start += count) {
    const { mean, variance } = moments(x.data, start, count);
    for (let i = start; i < start + count; i++) {
      const c = Math.floor(i / pixels) % channels;
      y.data[i] = ((x.data[i]! - mean) / Math.sqrt(variance + epsilon)) * scale.data[c]! + bias.data[c]!;
    }
  }
  return y;
}

/** y = x / (bias + α/size · Σ x² over `size` neighbouring channels)^β. */
const lrn: Operator = (inputs, a) => {
  const x = need(inputs, 0);
  const [alpha, beta, bias] = [a.float("alpha", 1e-4), a.float("beta", 0.75), a.float("bias", 1)];
  const size = a.int("size");
  if (!size) throw new Error("attribute size is missing");
  const channels = x.dims[1]!;
  const pixels = sizeOf(x.dims.slice(2));
  const y = zeros(x.dtype, x.dims);
  for (let i = 0; i < y.data.length; i++) {
    const c = Math.floor(i / pixels) % channels;
    const first = Math.max(0, c - Math.floor((size - 1) / 2));
    const last = Math.min(channels - 1, c + Math.ceil((size - 1) / 2));
    let squares = 0;
    for (let d = first; d <= last; d++) squares += x.data[i + (d - c) * pixels]! ** 2;
    y.data[i] = x.data[i]! / (bias + (alpha / size) * squares) ** beta;
  }
  return y;
};

export const normalization: OperatorTable = {
  BatchNormalization: batchNormalization,
  LayerNormalization: layerNormalization,
  InstanceNormalization: (inputs, a) =>
    normalizeGroups(inputs, need(inputs, 0).dims[1]!, a.float("epsilon", 1e-5)),
  GroupNormalization: (inputs, a) => {
    a.ignore("stash_type");
    const groups = a.int("num_groups");
    if (!groups) throw new Error("attribute num_groups is missing");
    return normalizeGroups(inputs, groups, a.float("epsilon", 1e-5));
  },
  LRN: lrn,
};
