// Conv and ConvTranspose over any number of spatial axes. The forms of their gradients are in convolution-gradients.ts.
// Source: ONNX operator specification, Conv-11, ConvTranspose-11.
import { DistillError } from "../base/errors.ts";
import { formatShape, type Shape } from "../base/tensor.ts";
import { int, ints, type Value } from "../graph/graph.ts";
import type { AttributeReader } from "./attributes.ts";
import { convBiasGradient, convInputGradient, convWeightGradient } from "./convolution-gradients.ts";
import { defineOp, type EmitContext } from "./define.ts";
import {
  at,
  outputSizes,
  readTransposedWindow,
  readWindow,
  transposedSizes,
  windowAttributes,
} from "./window.ts";

/** y = w ∗ x + b;  dx = the adjoint convolution of dy, dw = Σ_n dy_n · im2col(x_n)ᵀ, db = Σ dy. */
export const conv = defineOp({
  op: "Conv",
  versions: [1, 11, 22],
  weights: [1, 2],
  undecayed: [2],
  emit: (c) => {
    const [x, w] = sameRank(c.b.dims(c.x(0)), c.b.dims(c.x(1)), c.where);
    const window = readWindow(c.attr, x.slice(2), w.slice(2), c.where);
    return [c.b.node("Conv", inputsOf(c), { ...windowAttributes(window), group: int(groupOf(c.attr)) })];
  },
  infer: (c) => {
    const [x, w] = sameRank(c.dims(0), c.dims(1), c.where);
    const group = groupOf(c.attr);
    if (at(x, 1) !== at(w, 1) * group || at(w, 0) % group !== 0)
      throw unfit(c.where, x, w, group, "[maps, channels / groups, …]");
    const window = readWindow(c.attr, x.slice(2), w.slice(2), c.where);
    const out = outputSizes(x.slice(2), window, c.where);
    return [{ dtype: c.type(0).dtype, dims: [at(x, 0), at(w, 0), ...out] }];
  },
  grad: ({ b, x, dy, dims, attr }) => {
    const window = readWindow(attr, dims(0).slice(2), dims(1).slice(2), "Conv");
    const group = groupOf(attr);
    return [
      () => convInputGradient(b, dy(0), x(1), window, group, dims(0).slice(2)),
      () => convWeightGradient(b, x(0), dy(0), window, group, dims(1)),
      () => convBiasGradient(b, dy(0)),
    ];
  },
});

/** y = the adjoint of Conv with the same w, plus b;  dx = w ∗ dy, dw as Conv's with x and dy exchanged, db = Σ dy. */
const convTranspose = defineOp({
  op: "ConvTranspose",
  versions: [1, 11, 22],
  weights: [1, 2],
  undecayed: [2],
  emit: (c) => {
    const [x, w] = sameRank(c.b.dims(c.x(0)), c.b.dims(c.x(1)), c.where);
    const { window, outputPadding } = readTransposedWindow(c.attr, x.slice(2), w.slice(2), c.where);
    if (outputPadding.some((p, i) => p >= at(window.strides, i)))
      throw new DistillError(
        "E_OP",
        `${c.where}: output_padding ${formatShape(outputPadding)} is not below the strides ${formatShape(window.strides)}; ONNX Runtime refuses that, use less and a Pad after it`,
      );
    return [
      c.b.node("ConvTranspose", inputsOf(c), {
        ...windowAttributes(window),
        group: int(groupOf(c.attr)),
        output_padding: ints(outputPadding),
      }),
    ];
  },
  infer: (c) => {
    const [x, w] = sameRank(c.dims(0), c.dims(1), c.where);
    const group = groupOf(c.attr);
    if (at(x, 1) !== at(w, 0) || at(x, 1) % group !== 0)
      throw unfit(c.where, x, w, group, "[channels, maps / groups, …]");
    const { window, outputPadding } = readTransposedWindow(c.attr, x.slice(2), w.slice(2), c.where);
    const out = transposedSizes(x.slice(2), window, outputPadding);
    return [{ dtype: c.type(0).dtype, dims: [at(x, 0), at(w, 1) * group, ...out] }];
  },
  grad: ({ b, x, dy, dims, attr }) => {
    const spatial = dims(0).slice(2);
    const { window } = readTransposedWindow(attr, spatial, dims(1).slice(2), "ConvTranspose");
    const group = groupOf(attr);
    return [
      () => b.node("Conv", [dy(0), x(1)], { ...windowAttributes(window), group: int(group) }),
      () => convWeightGradient(b, dy(0), x(0), window, group, dims(1)),
      () => convBiasGradient(b, dy(0)),
    ];
  },
});

export const convolutionOps = [conv, convTranspose] as const;

function inputsOf(c: EmitContext): readonly (Value | undefined)[] {
  return [c.x(0), c.x(1), c.has(2) ? c.x(2) : undefined];
}

function groupOf(attr: AttributeReader): number {
  return attr.int("group", 1);
}

function sameRank(x: Shape, w: Shape, where: string): readonly [Shape, Shape] {
  if (x.length >= 3 && x.length === w.length) return [x, w];
  throw new DistillError(
    "E_SHAPE",
    `${where}: input ${formatShape(x)} and weights ${formatShape(w)}; both need the same rank, 3 or more`,
  );
}

function unfit(where: string, x: Shape, w: Shape, group: number, wanted: string): DistillError {
  return new DistillError(
    "E_SHAPE",
    `${where}: input ${formatShape(x)} and weights ${formatShape(w)} do not fit with ${group} groups; weights are ${wanted}`,
  );
}
