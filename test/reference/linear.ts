// Reference matrix products: MatMul and com.microsoft FusedMatMul, Gemm, Einsum.
// Source: ONNX operator specification, opset 21, and ONNX Runtime's contrib operator list for FusedMatMul.
import { broadcastShapes, sizeOf } from "../../src/base/tensor.ts";
import {
  broadcastStrides,
  type NDArray,
  need,
  type Operator,
  type OperatorTable,
  offsets,
  strides,
  take,
  zeros,
} from "./array.ts";

function swapLastTwo(x: NDArray): NDArray {
  const order = x.dims.map((_, i) => i);
  [order[order.length - 2], order[order.length - 1]] = [order.length - 1, order.length - 2];
  const dims = order.map((i) => x.dims[i]!);
  const steps = strides(x.dims);
  return take(
    x,
    dims,
    offsets(
      dims,
      order.map((i) => steps[i]!),
    ),
  );
}

/** NumPy's matmul: a vector on the left is a row, on the right a column, and its axis is dropped again. */
function matMul(a: NDArray, b: NDArray, alpha = 1): NDArray {
  const left = a.dims.length === 1 ? [1, ...a.dims] : a.dims;
  const right = b.dims.length === 1 ? [...b.dims, 1] : b.dims;
  const [m, k] = left.slice(-2) as [number, number];
  const [kb, n] = right.slice(-2) as [number, number];
  const batch = broadcastShapes(left.slice(0, -2), right.slice(0, -2));
  if (k !== kb || !batch) throw new Error(`[${a.dims}] times [${b.dims}] is not a matrix product`);
  const steps = (dims: readonly number[]): number[] => {
    const matrix = dims.at(-1)! * dims.at(-2)!;
    return broadcastStrides(dims.slice(0, -2), batch).map((step) => step * matrix);
  };
  const ofA = offsets(batch, steps(left));
  const ofB = offsets(batch, steps(right));
  const y = new Float64Array(sizeOf(batch) * m * n);
  for (let s = 0; s < ofA.length; s++)
    for (let i = 0; i < m; i++)
      for (let p = 0; p < k; p++) {
        const scaled = alpha * a.data[ofA[s]! + i * k + p]!;
        for (let j = 0; j < n; j++) y[(s * m + i) * n + j]! += scaled * b.data[ofB[s]! + p * n + j]!;
      }
  const dims = [...batch, ...(a.dims.length === 1 ? [] : [m]), ...(b.dims.length === 1 ? [] : [n])];
  return { dtype: a.dtype, dims, data: y };
}

const fusedMatMul: Operator = (inputs, a) => {
  if (a.int("transBatchA", 0) || a.int("transBatchB", 0))
    throw new Error("FusedMatMul with transBatchA or transBatchB is not in the reference");
  const x = a.int("transA", 0) ? swapLastTwo(need(inputs, 0)) : need(inputs, 0);
  const y = a.int("transB", 0) ? swapLastTwo(need(inputs, 1)) : need(inputs, 1);
  return matMul(x, y, a.float("alpha", 1));
};

/** Y = α·A'·B' + β·C, C broadcast one way. */
const gemm: Operator = (inputs, a) => {
  const x = a.int("transA", 0) ? swapLastTwo(need(inputs, 0)) : need(inputs, 0);
  const w = a.int("transB", 0) ? swapLastTwo(need(inputs, 1)) : need(inputs, 1);
  const y = matMul(x, w, a.float("alpha", 1));
  const beta = a.float("beta", 1);
  const c = inputs[2];
  if (!c) return y;
  const ofC = offsets(y.dims, broadcastStrides(c.dims, y.dims));
  return { ...y, data: y.data.map((v, i) => v + beta * c.data[ofC[i]!]!) };
};

/** Σ over all labels that the result lacks; without "->", the result has the labels that occur once, in order. */
const einsum: Operator = (inputs, a) => {
  const equation = (a.text("equation") ?? "").replaceAll(" ", "");
  if (equation.includes(".")) throw new Error(`Einsum "${equation}": an ellipsis is not in the reference`);
  const [left, right] = equation.split("->");
  const terms = left!.split(",");
  const letters = [...new Set(terms.join(""))].sort();
  const once = letters.filter((l) => left!.split(l).length === 2);
  const kept = [...(right ?? once.join(""))];
  const labels = [...kept, ...letters.filter((l) => !kept.includes(l))];
  const sizes = new Map<string, number>();
  terms.forEach((term, t) => {
    [...term].forEach((l, i) => {
      const size = need(inputs, t).dims[i]!;
      if ((sizes.get(l) ?? size) !== size) throw new Error(`Einsum "${equation}": ${l} has two sizes`);
      sizes.set(l, size);
    });
  });
  const all = labels.map((l) => sizes.get(l)!);
  const tables = terms.map((term, t) => {
    const steps = strides(need(inputs, t).dims);
    // A label that occurs twice in a term walks its diagonal: its steps add up.
    const step = (l: string): number => [...term].reduce((sum, m, i) => (m === l ? sum + steps[i]! : sum), 0);
    return offsets(all, labels.map(step));
  });
  const y = zeros(
    need(inputs, 0).dtype,
    kept.map((l) => sizes.get(l)!),
  );
  const summed = sizeOf(all.slice(kept.length));
  for (let i = 0; i < tables[0]!.length; i++) {
    let product = 1;
    for (let t = 0; t < tables.length; t++) product *= inputs[t]!.data[tables[t]![i]!]!;
    y.data[Math.floor(i / summed)]! += product;
  }
  return y;
};

export const linear: OperatorTable = {
  MatMul: (inputs) => matMul(need(inputs, 0), need(inputs, 1)),
  "com.microsoft.FusedMatMul": fusedMatMul,
  Gemm: gemm,
  Einsum: einsum,
};
