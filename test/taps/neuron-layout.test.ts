// Which axis counts the neurons, by what computed the value.
import { expect, test } from "vitest";
import { Graph, ints, type Value } from "../../src/graph/graph.ts";
import { neuronAxisOf } from "../../src/taps/neuron-layout.ts";

/** One node after the other on "x"; `second` inputs are constants of the same name. */
function chain(...ops: (string | { op: string; perm: number[] } | { op: string; domain: string })[]): Value {
  const graph = new Graph("chain", [["", 17]]);
  let value = graph.addInput("x");
  ops.forEach((step, i) => {
    const { op, ...rest } = typeof step === "string" ? { op: step } : step;
    const node = graph.addNode({
      op,
      domain: "domain" in rest ? rest.domain : "",
      inputs: [value, op === "MatMul" || op === "Conv" ? graph.addConstant(`w${i}`, w) : undefined],
      outputs: [`y${i}`],
      attributes: "perm" in rest ? { perm: ints(rest.perm) } : {},
    });
    value = node.outputs[0] as Value;
  });
  return value;
}

const w = { dtype: "float32", dims: [1], data: new Float32Array(1) } as const;

test.each([
  ["a 1-D convolution's [N, C, L]", chain("Conv", "BatchNormalization", "Relu"), 3, 1],
  ["a matrix product's [N, T, C]", chain("MatMul", "Gelu", "LayerNormalization"), 3, 2],
  ["nothing told, rank 3", chain("Relu"), 3, 2],
  ["nothing told, rank 4", chain("Reshape"), 4, 1],
  ["[N, H, W, C] of a matrix product", chain("MatMul", "Relu"), 4, 3],
  [
    "a convolution whose channels were moved last",
    chain("Conv", { op: "Transpose", perm: [0, 2, 3, 1] }, "LayerNormalization"),
    4,
    3,
  ],
  ["and moved back", chain("MatMul", { op: "Transpose", perm: [0, 3, 1, 2] }, "Mul"), 4, 1],
  [
    "two moves",
    chain("Conv", { op: "Transpose", perm: [0, 2, 1] }, "Relu", { op: "Transpose", perm: [2, 0, 1] }),
    3,
    0,
  ],
  ["a transpose without perm turns the axes around", chain("Conv", "Transpose"), 3, 1],
  ["a convolution's [N, C, D, H, W]", chain("Conv"), 5, 1],
  ["a pool", chain("Reshape", "MaxPool"), 3, 1],
  ["what another domain's op of that name does is not known", chain({ op: "Conv", domain: "my.ops" }), 3, 2],
] as const)("%s", (_, value, rank, axis) => {
  expect(neuronAxisOf(value, rank)).toBe(axis);
});

test("a residual sum follows the branch that tells, and long chains are no matter", () => {
  const graph = new Graph("residual", [["", 17]]);
  const x = graph.addInput("x");
  const conv = graph.addNode({ op: "Conv", inputs: [x], outputs: ["conv"] }).outputs[0] as Value;
  const reshaped = graph.addNode({ op: "Reshape", inputs: [x], outputs: ["reshaped"] }).outputs[0] as Value;
  let value = graph.addNode({ op: "Add", inputs: [reshaped, conv], outputs: ["sum"] }).outputs[0] as Value;
  for (let i = 0; i < 20_000; i++)
    value = graph.addNode({ op: "Add", inputs: [value, value], outputs: [`add${i}`] }).outputs[0] as Value;
  expect(neuronAxisOf(value, 3)).toBe(1);
});

test("who asks of all values of a chain walks it once", () => {
  let looks = 0;
  class Counted extends Map<Value, number | undefined> {
    override has(key: Value): boolean {
      looks++;
      return super.has(key);
    }
  }
  const known = new Counted();
  const graph = new Graph("chain", [["", 17]]);
  const type = { dtype: "float32", dims: [2, 3, 4] } as const;
  let value = graph.addInput("x", type);
  for (const op of ["Conv", ...Array.from({ length: 1000 }, () => "Relu")]) {
    const spec = { op, inputs: [value], outputs: [`y${graph.nodes.length}`], types: [type] };
    value = graph.addNode(spec).outputs[0] as Value;
    expect(neuronAxisOf(value, 3, known)).toBe(1);
  }
  expect(looks).toBeLessThan(2100);
});
