// Linear layers, convolutions, heads and embeddings.
import { tensor } from "../../../src/base/tensor.ts";
import { randomTensor } from "../../compile/compile-model.ts";
import { f32, i64, index, type Meaning, number, transposed, w } from "./spelling.ts";

const bias = randomTensor(2, [3]);
const kernel = randomTensor(3, [4, 2, 3, 3]);
const table = randomTensor(9, [5, 3]);

export const linear: Meaning = {
  layer: "a linear layer",
  input: [2, 4],
  weights: { w, bias },
  spellings: [
    { name: "MatMul and Add", text: "p = MatMul(x, w)\ny = Add(p, bias)" },
    { name: "Gemm", text: "y = Gemm(x, w, bias)" },
    { name: "Gemm of opset 7", opset: 7, text: "y = Gemm(x, w, bias) alpha=1.0 beta=1.0" },
    {
      name: "Gemm with transB",
      constants: { "w.T": transposed(w) },
      text: "y = Gemm(x, w.T, bias) transB=1",
    },
    {
      name: "Transpose before MatMul",
      constants: { "w.T": transposed(w) },
      text: "t = Transpose(w.T) perm=[1,0]\np = MatMul(x, t)\ny = Add(bias, p)",
    },
    { name: "Einsum", text: "p = Einsum(x, w) equation=bi,io->bo\ny = Add(p, bias)" },
    {
      name: "a convolution of one place",
      constants: { "w.T": transposed(w), square: i64(3, 4, 1, 1), map: i64(2, 4, 1, 1), flat: i64(0, -1) },
      text: `k = Reshape(w.T, square)
             m = Reshape(x, map)
             c = Conv(m, k, bias)
             y = Reshape(c, flat)`,
    },
  ],
};

export const padded: Meaning = {
  layer: "a padded convolution",
  input: [2, 2, 5, 5],
  weights: { kernel },
  spellings: [
    { name: "pads", text: "y = Conv(x, kernel) pads=[1,1,1,1]" },
    {
      name: "Pad, then Conv",
      constants: { pads: i64(0, 0, 1, 1, 0, 0, 1, 1), zero: number(0) },
      text: "p = Pad(x, pads, zero)\ny = Conv(p, kernel)",
    },
    {
      name: "Pad of opset 7",
      opset: 7,
      text: "p = Pad(x) pads=[0,0,1,1,0,0,1,1]\ny = Conv(p, kernel) kernel_shape=[3,3]",
    },
    {
      name: "Pad with axes",
      opset: 19,
      constants: { pads: i64(1, 1, 1, 1), axes: i64(2, 3) },
      text: "p = Pad(x, pads, , axes)\ny = Conv(p, kernel)",
    },
    {
      name: "pads put together from shapes",
      constants: { ones: i64(1, 1), zeros: i64(0, 0), two: index(2), start: i64(0), end: i64(2) },
      text: `s = Shape(x)
             front = Slice(s, start, end)
             nothing = Sub(front, front)
             pads = Concat(nothing, ones, zeros, ones) axis=0
             p = Pad(x, pads)
             y = Conv(p, kernel)`,
    },
    { name: "auto_pad", text: "y = Conv(x, kernel) auto_pad=SAME_UPPER" },
    {
      name: "zeros of a ConstantOfShape around it",
      constants: { rows: i64(2, 2, 1, 5), columns: i64(2, 2, 7, 1) },
      text: `r = ConstantOfShape(rows)
             c = ConstantOfShape(columns)
             tall = Concat(r, x, r) axis=2
             p = Concat(c, tall, c) axis=3
             y = Conv(p, kernel)`,
    },
  ],
};

export const head: Meaning = {
  layer: "the mean over a map, and a head",
  input: [2, 4, 3, 3],
  weights: { w },
  spellings: [
    {
      name: "GlobalAveragePool and Flatten",
      text: "g = GlobalAveragePool(x)\nf = Flatten(g)\ny = MatMul(f, w)",
    },
    { name: "ReduceMean", text: "f = ReduceMean(x) axes=[2,3] keepdims=0\ny = MatMul(f, w)" },
    {
      name: "ReduceMean with axes as an input",
      opset: 18,
      constants: { axes: i64(-1, -2) },
      text: "f = ReduceMean(x, axes) keepdims=0\ny = MatMul(f, w)",
    },
    {
      name: "AveragePool of the whole map and Reshape by Shape, Gather, Concat",
      constants: { zero: index(0), axes: i64(0), rest: i64(-1) },
      text: `g = AveragePool(x) kernel_shape=[3,3]
             s = Shape(g)
             n = Gather(s, zero)
             u = Unsqueeze(n, axes)
             shape = Concat(u, rest) axis=0
             f = Reshape(g, shape)
             y = MatMul(f, w)`,
    },
    {
      name: "Squeeze of opset 7",
      opset: 7,
      text: "g = GlobalAveragePool(x)\nf = Squeeze(g) axes=[2,3]\ny = MatMul(f, w)",
    },
    {
      name: "Squeeze of opset 13",
      opset: 13,
      constants: { axes: i64(2, 3) },
      text: "g = GlobalAveragePool(x)\nf = Squeeze(g, axes)\ny = MatMul(f, w)",
    },
    {
      name: "ReduceSum and Div by the size",
      constants: { axes: i64(2, 3), nine: number(9) },
      text: "s = ReduceSum(x, axes) keepdims=0\nf = Div(s, nine)\ny = MatMul(f, w)",
    },
    {
      name: "a 1×1 convolution before the mean",
      constants: { "w.T": transposed(w), square: i64(3, 4, 1, 1) },
      text: `k = Reshape(w.T, square)
             c = Conv(x, k)
             g = GlobalAveragePool(c)
             y = Flatten(g)`,
    },
  ],
};

export const embedding: Meaning = {
  layer: "an embedding",
  input: [2, 3],
  weights: { table },
  spellings: [
    {
      name: "Gather",
      constants: { ids: tensor("int64", [4, 0, 4], [3]) },
      text: "e = Gather(table, ids)\ny = MatMul(x, e)",
    },
    {
      name: "OneHot and MatMul",
      constants: { ids: tensor("int64", [4, 0, 4], [3]), depth: index(5), values: f32([0, 1]) },
      text: "h = OneHot(ids, depth, values)\ne = MatMul(h, table)\ny = MatMul(x, e)",
    },
    {
      name: "Gather of negative indices, by int32",
      constants: { ids: tensor("int32", [-1, -5, -1], [3]) },
      text: "e = Gather(table, ids) axis=0\ny = MatMul(x, e)",
    },
    {
      name: "GatherND",
      constants: { ids: tensor("int64", [4, 0, 4], [3, 1]) },
      text: "e = GatherND(table, ids)\ny = MatMul(x, e)",
    },
  ],
};
