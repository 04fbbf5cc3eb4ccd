// Normalisations other than of the batch: layers, instances, groups of channels, root mean square, neighbouring channels.
// BatchNormalization has its own file. All variances are population variances.
import { DistillError } from "../base/errors.ts";
import { formatShape, sizeOf } from "../base/tensor.ts";
import type { Value } from "../graph/graph.ts";
import { batchNormalization } from "./batch-normalization.ts";
import { float, int, onnxTypeNumber } from "./builder.ts";
import { defineOp } from "./define.ts";
import { axesOf, axisOf, reducedDims } from "./infer.ts";
import { minusProjections, overRootMeanSquare, standardize, trailingAxes } from "./standardize.ts";

/**
 * y = z·scale + bias, z = x standardized over the axes from `axis` on;  with g = dy·scale:
 * dx = (g − mean(g) − z·mean(g·z))/√(σ² + ε), dscale = dy·z, dbias = dy.
 * Further outputs over n elements: μ, whose cotangent adds dμ/n to dx, and i = 1/√(σ² + ε), whose adds −di·i²·z/n.
 * Version 1 is the name that ONNX Runtime's optimizer gives it in models of older opsets.
 */
const layerNormalization = defineOp({
  op: "LayerNormalization",
  versions: [1, 17],
  weights: [1, 2],
  undecayed: [1, 2],
  emit: ({ b, x, has, attr }) => {
    const dtype = x(0).type?.dtype ?? "float32";
    const attributes = {
      axis: int(attr.int("axis", -1)),
      epsilon: float(attr.float("epsilon", 1e-5)),
      stash_type: int(onnxTypeNumber(dtype === "float64" ? "float64" : "float32")),
    };
    return b.nodes("LayerNormalization", [x(0), x(1), has(2) ? x(2) : undefined], attributes, "", 3);
  },
  infer: (c) => {
    const { dtype, dims } = c.type(0);
    const axes = trailingAxes(c.attr.int("axis", -1), dims.length, c.where);
    const moment = {
      dtype: dtype === "float64" ? dtype : ("float32" as const),
      dims: reducedDims(dims, axes, true),
    };
    return [{ dtype, dims }, moment, moment];
  },
  grad: ({ b, x, y, dy, hasDy, dims, attr }) => {
    const axes = trailingAxes(attr.int("axis", -1), dims(0).length, "LayerNormalization");
    const share = 1 / sizeOf(axes.map((i) => dims(0)[i] as number));
    const dtype = x(0).type?.dtype ?? "float32";
    const inverse = (): Value => b.cast(y(2), dtype);
    const z = (): Value => b.mul(b.sub(x(0), b.cast(y(1), dtype)), inverse());
    const dx = (): Value => {
      const terms = [b.mul(inverse(), minusProjections(b, b.mul(dy(0), x(1)), z(), axes))];
      if (hasDy(1)) terms.push(b.scale(b.cast(dy(1), dtype), share));
      if (hasDy(2)) terms.push(b.mul(b.scale(b.mul(b.cast(dy(2), dtype), b.square(inverse())), -share), z()));
      return terms.reduce((p, q) => b.add(p, q));
    };
    return [dx, () => b.mul(dy(0), z()), () => dy(0)];
  },
});

/** y = x/√(mean(x²) + ε) · scale, the mean over the axes from `axis` on. */
const rmsNormalization = defineOp({
  op: "RMSNormalization",
  versions: [23],
  weights: [1],
  undecayed: [1],
  composed: true,
  emit: ({ b, x, attr, where }) => {
    const axes = trailingAxes(attr.int("axis", -1), b.dims(x(0)).length, where);
    return [b.mul(overRootMeanSquare(b, x(0), axes, attr.float("epsilon", 1e-5)).z, x(1))];
  },
});

/**
 * Each channel of each sample standardized over its space, then y = z·scale + bias per channel. PyTorch's exporters spell a
 * GroupNorm as Reshape, this with ones and zeros, Reshape, and the learned scale and bias after it.
 */
const instanceNormalization = defineOp({
  op: "InstanceNormalization",
  versions: [6, 22],
  weights: [1, 2],
  undecayed: [1, 2],
  fixed: (node, constant) => {
    const [x, scale, bias] = node.inputs;
    const holds = (v: Value | undefined, wanted: number): boolean =>
      (v && constant(v)?.data.every((e) => e === wanted)) ?? false;
    return x?.producer?.op === "Reshape" && holds(scale, 1) && holds(bias, 0) ? [1, 2] : [];
  },
  composed: true,
  emit: ({ b, x, attr }) => {
    const dims = b.dims(x(0));
    const [batch, channels] = [dims[0] as number, dims[1] as number];
    const flat = b.reshape(x(0), [batch, channels, sizeOf(dims.slice(2))]);
    const z = standardize(b, flat, [2], attr.float("epsilon", 1e-5));
    const column = (v: Value): Value => b.reshape(v, [channels, 1]);
    return [b.reshape(b.add(b.mul(z, column(x(1))), column(x(2))), dims)];
  },
});

/**
 * Each group of channels of each sample standardized, then y = z·scale + bias: per channel from opset 21, per group in
 * opset 18.
 */
const groupNormalization = defineOp({
  op: "GroupNormalization",
  versions: [18, 21],
  weights: [1, 2],
  undecayed: [1, 2],
  composed: true,
  emit: ({ b, x, attr, version, where }) => {
    const dims = b.dims(x(0));
    const [batch, channels] = [dims[0] as number, dims[1] as number];
    const groups = attr.int("num_groups");
    if (channels % groups !== 0)
      throw new DistillError(
        "E_SHAPE",
        `${where}: ${channels} channels of ${formatShape(dims)} do not divide into num_groups=${groups}`,
      );
    const size = sizeOf(dims) / batch;
    const z = standardize(
      b,
      b.reshape(x(0), [batch, groups, size / groups]),
      [2],
      attr.float("epsilon", 1e-5),
    );
    const rows = version >= 21 ? channels : groups;
    const column = (v: Value): Value => b.reshape(v, [rows, 1]);
    const cut = b.reshape(z, [batch, rows, size / rows]);
    return [b.reshape(b.add(b.mul(cut, column(x(1))), column(x(2))), dims)];
  },
});

/** y = (x − μ)/σ, the moments over `axes` (default [0, 2, 3]): NaN where x is constant, as in ONNX Runtime; ONNX adds 1e-9 to σ. */
const meanVarianceNormalization = defineOp({
  op: "MeanVarianceNormalization",
  versions: [9, 13],
  composed: true,
  emit: ({ b, x, attr, where }) => {
    const axes = axesOf(attr.ints("axes", [0, 2, 3]), b.dims(x(0)).length, where);
    const centred = b.sub(x(0), b.reduceMean(x(0), axes, true));
    const deviation = b.sqrt(b.reduceMean(b.square(centred), axes, true));
    return [b.div(centred, deviation)];
  },
});

/** y = x · (bias + α/size · Σ x² over `size` neighbouring channels)^−β. */
const lrn = defineOp({
  op: "LRN",
  versions: [1, 13],
  composed: true,
  emit: ({ b, x, attr }) => {
    const dims = b.dims(x(0));
    const channels = dims[1] as number;
    const size = attr.int("size");
    const before = Math.floor((size - 1) / 2);
    const onChannels = (n: number): number[] => dims.map((_, i) => (i === 1 ? n : 0));
    const square = b.pad(b.square(x(0)), onChannels(before), onChannels(size - 1 - before));
    const windows = Array.from({ length: size }, (_, k) => b.slice(square, [k], [k + channels], [1]));
    const sum = windows.reduce((a, c) => b.add(a, c));
    const base = b.shift(b.scale(sum, attr.float("alpha", 1e-4) / size), attr.float("bias", 1));
    return [b.mul(x(0), b.pow(base, b.like(base, -attr.float("beta", 0.75))))];
  },
});

/** y = x/‖x‖ₚ along `axis` (default −1), p 1 or 2; 0 where the norm is 0. */
const lpNormalization = defineOp({
  op: "LpNormalization",
  versions: [1, 22],
  composed: true,
  emit: ({ b, x, attr, where }) => {
    const axis = axisOf(attr.int("axis", -1), b.dims(x(0)).length, where);
    const op = attr.int("p", 2) === 1 ? "ReduceL1" : "ReduceL2";
    const norm = b.node(op, [x(0), b.ints([axis])], { keepdims: int(1) });
    return [b.div(x(0), b.where(b.equal(norm, b.like(norm, 0)), b.like(norm, 1), norm))];
  },
});

export const normalizationOps = [
  batchNormalization,
  layerNormalization,
  rmsNormalization,
  instanceNormalization,
  groupNormalization,
  meanVarianceNormalization,
  lrn,
  lpNormalization,
] as const;
