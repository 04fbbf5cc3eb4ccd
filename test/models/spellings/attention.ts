// Attention.
import { randomTensor } from "../../compile/compile-model.ts";
import { f32, flag, i64, index, type Meaning, number } from "./spelling.ts";

const [q, k, v] = [randomTensor(6, [4, 4]), randomTensor(7, [4, 4]), randomTensor(8, [4, 4])];

// One head of width 4 over three places, the last of the second sample masked.
const projections = "q0 = MatMul(x, q)\nk0 = MatMul(x, k)\nv0 = MatMul(x, v)\n";
const mask = f32([0, 0, 0, 0, 0, -1e9], [2, 1, 3]);
export const attention: Meaning = {
  layer: "attention",
  input: [2, 3, 4],
  weights: { q, k, v },
  spellings: [
    {
      name: "MatMul, Div, Add, Softmax, MatMul",
      constants: { root: number(2), mask },
      text: `${projections}
             kt = Transpose(k0) perm=[0,2,1]
             product = MatMul(q0, kt)
             scores = Div(product, root)
             masked = Add(scores, mask)
             p = Softmax(masked) axis=-1
             y = MatMul(p, v0)`,
    },
    {
      name: "both sides scaled before the product, as scaled_dot_product_attention is exported",
      constants: { mask },
      text: `${projections}
             half = Constant() value_float=0.5
             root = Sqrt(half)
             qs = Mul(q0, root)
             kt = Transpose(k0) perm=[0,2,1]
             ks = Mul(kt, root)
             product = MatMul(qs, ks)
             masked = Add(product, mask)
             p = Softmax(masked) axis=-1
             y = MatMul(p, v0)`,
    },
    {
      name: "a scale from the shape, and a mask by Where",
      constants: {
        keep: flag([1, 1, 1, 1, 1, 0], [2, 1, 3]),
        least: number(-3.4e38),
        last: index(2),
        one: number(1),
      },
      text: `${projections}
             shape = Shape(q0)
             width = Gather(shape, last)
             widthf = Cast(width) to=1
             root = Sqrt(widthf)
             scale = Div(one, root)
             qs = Mul(q0, scale)
             kt = Transpose(k0) perm=[0,2,1]
             product = MatMul(qs, kt)
             masked = Where(keep, product, least)
             p = Softmax(masked) axis=-1
             y = MatMul(p, v0)`,
    },
    {
      name: "Softmax of opset 11, and of the last of three axes",
      opset: 11,
      constants: { scale: number(0.5), mask },
      text: `${projections}
             kt = Transpose(k0) perm=[0,2,1]
             product = MatMul(q0, kt)
             scores = Mul(product, scale)
             masked = Add(scores, mask)
             p = Softmax(masked) axis=2
             y = MatMul(p, v0)`,
    },
    {
      name: "Einsum, and a Softmax written out",
      constants: { scale: number(0.5), mask },
      text: `${projections}
             product = Einsum(q0, k0) equation=bqc,bkc->bqk
             scores = Mul(product, scale)
             masked = Add(scores, mask)
             top = ReduceMax(masked) axes=[-1]
             below = Sub(masked, top)
             e = Exp(below)
             axes = Constant() value_ints=[-1]
             sum = ReduceSum(e, axes)
             p = Div(e, sum)
             y = Einsum(p, v0) equation=bqk,bkc->bqc`,
    },
    {
      name: "one matrix for all three, split",
      constants: { root: number(0.5), mask },
      text: `all = Concat(q, k, v) axis=1
             product0 = MatMul(x, all)
             q0, k0, v0 = Split(product0) axis=-1 num_outputs=3
             kt = Transpose(k0) perm=[0,2,1]
             product = MatMul(q0, kt)
             scores = Mul(product, root)
             masked = Add(scores, mask)
             p = Softmax(masked) axis=-1
             y = MatMul(p, v0)`,
      opset: 18,
    },
    {
      name: "FusedMatMul",
      constants: { mask },
      text: `${projections}
             scores = com.microsoft::FusedMatMul(q0, k0) transB=1 alpha=0.5
             masked = Add(scores, mask)
             p = Softmax(masked) axis=-1
             y = MatMul(p, v0)`,
    },
    {
      name: "Attention",
      opset: 23,
      constants: { mask: f32([0, 0, 0, 0, 0, -1e9], [2, 1, 1, 3]), wide: i64(2, 1, 3, 3) },
      text: `${projections}
             m = Expand(mask, wide)
             y = Attention(q0, k0, v0, m) q_num_heads=1 kv_num_heads=1`,
    },
    {
      name: "MultiHeadAttention",
      constants: { mask: f32([0, 0, 0, 0, 0, -1e9], [2, 1, 1, 3]), wide: i64(2, 1, 3, 3) },
      text: `${projections}
             m = Expand(mask, wide)
             y = com.microsoft::MultiHeadAttention(q0, k0, v0, , , m) num_heads=1`,
    },
  ],
};
