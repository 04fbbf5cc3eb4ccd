// Matrix products: MatMul, Gemm and com.microsoft FusedMatMul. Their gradients are products again, with the transposes
// folded into flags so that no Transpose is emitted where the target can do without.
// Source: ONNX operator specification, MatMul-13 and Gemm-13; ONNX Runtime's contrib operators for FusedMatMul.
import { DistillError } from "../base/errors.ts";
import { broadcastShapes, formatShape, type Shape, sizeOf } from "../base/tensor.ts";
import { type Attributes, float, int, type Value } from "../graph/graph.ts";
import type { AttributeReader } from "./attributes.ts";
import type { Builder } from "./builder.ts";
import { defineOp, type GradEntry, oneNode } from "./define.ts";

/** A matrix factor: its value (rank 2 or more) and whether its last two axes are swapped. */
interface Factor {
  readonly x: Value;
  readonly trans: boolean;
}

/** y = A·B;  dA = dy·Bᵀ, dB = Aᵀ·dy, for matrices, batches of them, and vectors. */
const matmul = defineOp({
  op: "MatMul",
  versions: [1, 9, 13],
  emit: oneNode,
  infer: (c) => [{ dtype: c.type(0).dtype, dims: productDims(c.dims(0), c.dims(1), c.where) }],
  grad: ({ b, x, dy }) => productGradients(b, { x: x(0), trans: false }, { x: x(1), trans: false }, 1, dy),
});

/**
 * y = α·A'·B' with A' and B' transposed on request;  dA' = α·dy·B'ᵀ, dB' = α·A'ᵀ·dy. transBatch first moves the first axis
 * before the last: [D₀, …, Dₖ, K] -> [D₁, …, Dₖ, D₀, K].
 */
const fusedMatMul = defineOp({
  op: "FusedMatMul",
  domain: "com.microsoft",
  versions: [1],
  emit: (c) => {
    const { transA, transB, alpha } = readProduct(c.attr);
    const a = batchMoved(c.b, c.x(0), c.attr.int("transBatchA", 0) !== 0);
    const w = batchMoved(c.b, c.x(1), c.attr.int("transBatchB", 0) !== 0);
    return [product(c.b, { x: a, trans: transA }, { x: w, trans: transB }, alpha)];
  },
  infer: (c) => {
    const { transA, transB } = readProduct(c.attr);
    const dims = productDims(swapIf(c.dims(0), transA), swapIf(c.dims(1), transB), c.where);
    return [{ dtype: c.type(0).dtype, dims }];
  },
  grad: ({ b, x, dy, attr }) => {
    const { transA, transB, alpha } = readProduct(attr);
    return productGradients(b, { x: x(0), trans: transA }, { x: x(1), trans: transB }, alpha, dy);
  },
});

/** FusedMatMul under its older name. */
const transposeMatMul = defineOp({
  op: "TransposeMatMul",
  domain: "com.microsoft",
  versions: [1],
  composed: true,
  emit: fusedMatMul.emit,
});

function batchMoved(b: Builder, x: Value, move: boolean): Value {
  const last = b.dims(x).length - 1;
  if (!move || last < 2) return x;
  const rest = Array.from({ length: last - 1 }, (_, i) => i + 1);
  return b.transpose(x, [...rest, 0, last]);
}

/** y = α·A'·B' + β·C;  dA' = α·dy·B'ᵀ, dB' = α·A'ᵀ·dy, dC = β·dy (summed to C's shape). */
const gemm = defineOp({
  op: "Gemm",
  versions: [7, 9, 11, 13],
  weights: [1, 2],
  undecayed: [2],
  emit: oneNode,
  infer: (c) => {
    const { transA, transB } = readProduct(c.attr);
    const [a, w] = [c.dims(0), c.dims(1)];
    if (a.length !== 2 || w.length !== 2) throw unfit(a, w, c.where);
    return [{ dtype: c.type(0).dtype, dims: productDims(swapIf(a, transA), swapIf(w, transB), c.where) }];
  },
  grad: ({ b, x, dy, attr }) => {
    const { transA, transB, alpha } = readProduct(attr);
    const of = (left: Value, transLeft: boolean, right: Value, transRight: boolean): Value =>
      b.node("Gemm", [left, right], productAttributes(transLeft, transRight, alpha));
    return [
      () => (transA ? of(x(1), transB, dy(0), true) : of(dy(0), false, x(1), !transB)),
      () => (transB ? of(dy(0), true, x(0), transA) : of(x(0), !transA, dy(0), false)),
      () => b.scale(dy(0), attr.float("beta", 1)),
    ];
  },
});

export const linearOps = [matmul, fusedMatMul, transposeMatMul, gemm] as const;

function readProduct(attr: AttributeReader): { transA: boolean; transB: boolean; alpha: number } {
  return {
    transA: attr.int("transA", 0) !== 0,
    transB: attr.int("transB", 0) !== 0,
    alpha: attr.float("alpha", 1),
  };
}

function productAttributes(transA: boolean, transB: boolean, alpha: number): Attributes {
  return { transA: int(Number(transA)), transB: int(Number(transB)), alpha: float(alpha) };
}

/** alpha · left · right; alpha goes into FusedMatMul where the target has that. */
function product(b: Builder, left: Factor, right: Factor, alpha: number): Value {
  if (alpha === 1 || !b.target.fusedMatMul)
    return b.scale(b.matmulT(left.x, left.trans, right.x, right.trans), alpha);
  const attributes = productAttributes(left.trans, right.trans, alpha);
  return b.node("FusedMatMul", [left.x, right.x], attributes, "com.microsoft");
}

function productGradients(
  b: Builder,
  left: Factor,
  right: Factor,
  alpha: number,
  dy: (i: number) => Value,
): readonly GradEntry[] {
  const a = asMatrices(b, left, "row");
  const c = asMatrices(b, right, "column");
  const rows = swapIf(b.dims(a.x), a.trans).at(-2) as number;
  const columns = swapIf(b.dims(c.x), c.trans).at(-1) as number;
  const batchA = b.dims(a.x).slice(0, -2);
  const batchC = b.dims(c.x).slice(0, -2);
  const batch = broadcastShapes(batchA, batchC) as Shape;
  const cotangent = (): Factor => ({ x: b.reshape(dy(0), [...batch, rows, columns]), trans: false });
  return [
    () => withoutAddedAxis(b, gradientOfLeft(b, a, c, cotangent(), alpha), left.x),
    () => {
      if (!a.trans && batchA.length > 0 && sizeOf(batchC) === 1)
        return b.reshape(gradientOfSharedRight(b, a, c, cotangent(), alpha), b.dims(right.x));
      return withoutAddedAxis(b, gradientOfRight(b, a, c, cotangent(), alpha), right.x);
    },
  ];
}

function gradientOfLeft(b: Builder, a: Factor, c: Factor, dy: Factor, alpha: number): Value {
  return a.trans ? product(b, c, transposed(dy), alpha) : product(b, dy, transposed(c), alpha);
}

function gradientOfRight(b: Builder, a: Factor, c: Factor, dy: Factor, alpha: number): Value {
  return c.trans ? product(b, transposed(dy), a, alpha) : product(b, transposed(a), dy, alpha);
}

/** One right factor for a whole batch: one big product over all rows, not a batch of small ones and a sum. */
function gradientOfSharedRight(b: Builder, a: Factor, c: Factor, dy: Factor, alpha: number): Value {
  const allRows = (f: Factor): Factor => {
    const dims = b.dims(f.x);
    return { x: b.reshape(f.x, [sizeOf(dims.slice(0, -1)), dims.at(-1) as number]), trans: false };
  };
  return gradientOfRight(b, allRows(a), c, allRows(dy), alpha);
}

function transposed({ x, trans }: Factor): Factor {
  return { x, trans: !trans };
}

/** A vector as one row or one column (ONNX ignores a transpose flag on it). */
function asMatrices(b: Builder, { x, trans }: Factor, vectorIs: "row" | "column"): Factor {
  const dims = b.dims(x);
  if (dims.length >= 2) return { x, trans };
  return { x: b.reshape(x, vectorIs === "row" ? [1, ...dims] : [...dims, 1]), trans: false };
}

/** The gradient of a vector that stood as a row or a column: [.., 1, K] or [.., K, 1] -> [.., K]. */
function withoutAddedAxis(b: Builder, gradient: Value, x: Value): Value {
  const dims = b.dims(x);
  return dims.length >= 2 ? gradient : b.reshape(gradient, [...b.dims(gradient).slice(0, -2), ...dims]);
}

function swapIf(dims: Shape, swap: boolean): Shape {
  if (!swap || dims.length < 2) return dims;
  return [...dims.slice(0, -2), dims.at(-1) as number, dims.at(-2) as number];
}

/** NumPy's rule: a vector on the left is a row, on the right a column, and that axis is not in the result. */
function productDims(a: Shape, c: Shape, where: string): Shape {
  const left = a.length === 1 ? [1, ...a] : a;
  const right = c.length === 1 ? [...c, 1] : c;
  const batch = broadcastShapes(left.slice(0, -2), right.slice(0, -2));
  if (a.length === 0 || c.length === 0 || !batch || left.at(-1) !== right.at(-2)) throw unfit(a, c, where);
  return [
    ...batch,
    ...(a.length === 1 ? [] : left.slice(-2, -1)),
    ...(c.length === 1 ? [] : right.slice(-1)),
  ];
}

function unfit(a: Shape, c: Shape, where: string): DistillError {
  return new DistillError(
    "E_SHAPE",
    `${where}: ${formatShape(a)} times ${formatShape(c)} does not work; the inner sizes must be equal and the batches broadcast`,
  );
}
