// MatMul, Gemm and FusedMatMul: every rank and flag, and the forms that keep transposes out of the step.
import { describe, expect, it } from "vitest";
import { differentiate } from "../../src/autodiff/differentiate.ts";
import { type Attributes, float, int, type Value } from "../../src/graph/graph.ts";
import { newBuilder } from "../../src/ops/index.ts";
import { linearOps } from "../../src/ops/linear.ts";
import { type TargetName, targets } from "../../src/ops/target.ts";
import { checkSample, type Sample } from "../gradient-checker.ts";
import { emitOp } from "./emit-op.ts";

const domains: Record<string, string> = {
  FusedMatMul: "com.microsoft",
  TransposeMatMul: "com.microsoft",
};

function sample(op: string, name: string, shapes: number[][], attributes: Attributes = {}): Sample {
  return {
    name: `${op}, ${name}`,
    inputs: shapes.map((dims) => ({ dims })),
    build: (b, ...xs) => emitOp(b, op, xs, attributes, { domain: domains[op] ?? "" })[0] as Value,
  };
}

const matmul = (a: number[], c: number[]) => sample("MatMul", `[${a}] x [${c}]`, [a, c]);
const flags = (transA: number, transB: number, alpha = 1) => ({
  transA: int(transA),
  transB: int(transB),
  alpha: float(alpha),
});
const fused = (a: number[], c: number[], transA: number, transB: number, alpha?: number) =>
  sample(
    "FusedMatMul",
    `[${a}] x [${c}], ${transA}${transB}, alpha ${alpha ?? 1}`,
    [a, c],
    flags(transA, transB, alpha),
  );
const gemm = (name: string, shapes: number[][], attributes: Attributes) =>
  sample("Gemm", name, shapes, attributes);

const samples: Record<"MatMul" | "FusedMatMul" | "TransposeMatMul" | "Gemm", Sample[]> = {
  MatMul: [
    matmul([3, 4], [4, 2]),
    matmul([2, 3, 4], [4, 5]),
    matmul([2, 2, 3, 4], [4, 2]),
    matmul([2, 3, 4], [1, 4, 2]),
    matmul([3, 4], [2, 4, 5]),
    matmul([2, 3, 4], [2, 4, 5]),
    matmul([2, 1, 3, 2], [3, 2, 4]),
    matmul([2, 3, 4], [1, 1, 4, 2]),
    matmul([4], [4]),
    matmul([4], [4, 3]),
    matmul([4], [2, 4, 3]),
    matmul([3, 4], [4]),
    matmul([2, 3, 4], [4]),
  ],
  TransposeMatMul: [
    sample(
      "TransposeMatMul",
      "both",
      [
        [4, 3],
        [2, 4],
      ],
      flags(1, 1),
    ),
  ],
  FusedMatMul: [
    fused([3, 4], [4, 2], 0, 0, 0.5),
    fused([4, 3], [4, 2], 1, 0),
    fused([3, 4], [2, 4], 0, 1, 2),
    fused([4, 3], [2, 4], 1, 1, -1.5),
    fused([2, 3, 4], [2, 4], 0, 1, 0.25),
    fused([2, 4, 3], [4, 2], 1, 0),
    fused([2, 4, 3], [2, 2, 4], 1, 1),
    fused([2, 1, 4, 3], [3, 2, 4], 1, 1, 0.5),
  ],
  Gemm: [
    gemm("bias by column", [[3, 4], [4, 2], [2]], {}),
    gemm(
      "no bias",
      [
        [3, 4],
        [4, 2],
      ],
      flags(0, 0, 0.5),
    ),
    gemm(
      "transB, bias of one row",
      [
        [3, 4],
        [2, 4],
        [1, 2],
      ],
      { ...flags(0, 1), beta: float(0.5) },
    ),
    gemm(
      "transA, bias by row",
      [
        [4, 3],
        [4, 2],
        [3, 1],
      ],
      { ...flags(1, 0, 2), beta: float(-1) },
    ),
    gemm(
      "transA and transB, full bias",
      [
        [4, 3],
        [2, 4],
        [3, 2],
      ],
      flags(1, 1),
    ),
    gemm("scalar bias", [[3, 4], [4, 2], []], {}),
  ],
};

describe.each(["cpu", "standard", "webgpu"] as const)("gradients for the target %s", (target) => {
  it.each(Object.values(samples).flat())("$name", (s) => checkSample(s, 5, target));
});

it("has samples for every op of the family", () => {
  expect(Object.keys(samples).sort()).toEqual(linearOps.map((d) => d.op).sort());
});

function gradientNodes(op: string, shapes: number[][], attributes: Attributes, target: TargetName) {
  const b = newBuilder("forms", targets[target]);
  const xs = shapes.map((dims, i) => b.graph.addInput(`x${i}`, { dtype: "float32", dims }));
  const y = emitOp(b, op, xs, attributes)[0] as Value;
  const forward = b.graph.nodes.length;
  const dy = b.graph.addInput("dy", { dtype: "float32", dims: b.dims(y) });
  differentiate(b, b.reduceSum(b.mul(y, dy)), xs);
  return b.graph.nodes.slice(forward);
}

describe("forms", () => {
  it.each([
    [0, 0],
    [0, 1],
    [1, 0],
    [1, 1],
  ])("Gemm with transA %i and transB %i needs no Transpose on any target", (transA, transB) => {
    const shapes = [transA ? [4, 3] : [3, 4], transB ? [2, 4] : [4, 2]];
    for (const target of ["cpu", "webgpu"] as const) {
      const ops = gradientNodes("Gemm", shapes, flags(transA, transB), target).map((n) => n.op);
      expect(ops).not.toContain("Transpose");
      expect(ops.filter((op) => op === "Gemm")).toHaveLength(2);
    }
  });

  it("weights shared by a batch get their gradient from one product of two matrices", () => {
    const products = gradientNodes(
      "MatMul",
      [
        [8, 3, 4],
        [4, 2],
      ],
      {},
      "cpu",
    ).filter((n) => n.op === "FusedMatMul");
    expect(products.map((n) => n.outputs[0]?.type?.dims)).toContainEqual([4, 2]);
    expect(products.map((n) => n.outputs[0]?.type?.dims)).not.toContainEqual([8, 4, 2]);
  });
});

describe("refusals", () => {
  const emit = (op: string, shapes: number[][], attributes: Attributes = {}) => {
    const b = newBuilder("refusal", targets.cpu);
    const xs = shapes.map((dims, i) => b.graph.addInput(`x${i}`, { dtype: "float32", dims }));
    return () => emitOp(b, op, xs, attributes, { domain: domains[op] ?? "" });
  };

  it("says what does not fit", () => {
    expect(
      emit("MatMul", [
        [2, 3],
        [4, 2],
      ]),
    ).toThrow(
      'MatMul "node/MatMul": [2,3] times [4,2] does not work; the inner sizes must be equal and the batches broadcast',
    );
    expect(
      emit("MatMul", [
        [2, 3, 4],
        [3, 4, 2],
      ]),
    ).toThrow("does not work");
    expect(emit("MatMul", [[], [4, 2]])).toThrow("[] times [4,2] does not work");
    expect(
      emit("Gemm", [
        [2, 3, 4],
        [4, 2],
      ]),
    ).toThrow("[2,3,4] times [4,2] does not work");
  });
});
