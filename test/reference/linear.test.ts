// The reference matrix products against ONNX Runtime.
import { expect, it } from "vitest";
import { float, int, string } from "../../src/graph/graph.ts";
import { type Case, evaluateCase, randomInputs, testTable } from "./hold-to-runtime.ts";
import { linear } from "./linear.ts";

const { floats, whole } = randomInputs(13);
const fused = "com.microsoft.FusedMatMul";

const cases: Case[] = [
  { op: "MatMul", inputs: [floats([3, 4]), floats([4, 5])] },
  { op: "MatMul", inputs: [floats([4]), floats([4])] },
  { op: "MatMul", inputs: [floats([4]), floats([4, 5])] },
  { op: "MatMul", inputs: [floats([3, 4]), floats([4])] },
  { op: "MatMul", inputs: [floats([2, 3, 4]), floats([4])] },
  { op: "MatMul", inputs: [floats([4]), floats([2, 4, 5])] },
  { op: "MatMul", inputs: [floats([2, 3, 4]), floats([4, 5])] },
  { op: "MatMul", inputs: [floats([2, 1, 3, 4]), floats([6, 4, 5])] },
  { op: "MatMul", inputs: [whole([2, 3], -5, 5, "int32"), whole([3, 2], -5, 5, "int32")] },
  { op: fused, inputs: [floats([3, 4]), floats([4, 5])] },
  { op: fused, inputs: [floats([2, 3, 4]), floats([2, 5, 4])], attributes: { transB: int(1) } },
  {
    op: fused,
    inputs: [floats([2, 4, 3]), floats([2, 4, 5])],
    attributes: { transA: int(1), alpha: float(0.25) },
  },
  {
    op: fused,
    inputs: [floats([2, 4, 3]), floats([5, 4])],
    attributes: { transA: int(1), transB: int(1), transBatchA: int(0), transBatchB: int(0) },
  },
  { op: "Gemm", inputs: [floats([3, 4]), floats([4, 5])] },
  { op: "Gemm", inputs: [floats([3, 4]), floats([5, 4]), floats([5])], attributes: { transB: int(1) } },
  {
    op: "Gemm",
    inputs: [floats([4, 3]), floats([4, 5]), floats([3, 1])],
    attributes: { transA: int(1), alpha: float(0.5), beta: float(2) },
  },
  { op: "Gemm", inputs: [floats([3, 4]), floats([4, 5]), floats([])], attributes: { beta: float(0.5) } },
  ...["ij,jk->ik", "ij,jk", "ij,jk->ki"].map((equation) => ({
    op: "Einsum",
    inputs: [floats([3, 4]), floats([4, 5])],
    attributes: { equation: string(equation) },
  })),
  { op: "Einsum", inputs: [floats([3, 4]), floats([5, 4])], attributes: { equation: string("kj,ij") } },
  ...["ii->i", "ii", "ij->ji", "ij->"].map((equation) => ({
    op: "Einsum",
    inputs: [floats([4, 4])],
    attributes: { equation: string(equation) },
  })),
  {
    op: "Einsum",
    inputs: [floats([2, 3, 4]), floats([2, 5, 4])],
    attributes: { equation: string("b i d, b j d -> b i j") },
  },
  {
    op: "Einsum",
    inputs: [floats([2]), floats([3]), floats([2, 3])],
    attributes: { equation: string("i,j,ij->") },
  },
];

testTable(linear, cases);

it("refuses shapes that are no product", () => {
  expect(() => evaluateCase({ op: "MatMul", inputs: [floats([2, 3]), floats([2, 3])] })).toThrow(
    'reference: MatMul at node "node" on [2,3], [2,3]: [2,3] times [2,3] is not a matrix product',
  );
});
