// Gathers and scatters: every spelling, negative and repeated indices, indices known and computed.
import { describe, expect, it } from "vitest";
import { type Shape, sizeOf, tensor } from "../../src/base/tensor.ts";
import { int, string, type Value } from "../../src/graph/graph.ts";
import type { Builder } from "../../src/ops/builder.ts";
import { newBuilder } from "../../src/ops/index.ts";
import { indexingOps } from "../../src/ops/indexing.ts";
import { targets } from "../../src/ops/target.ts";
import { checkSample, type Sample } from "../gradient-checker.ts";
import { emit, i64 } from "./emit.ts";
import { node, testNodes } from "./node-cases.ts";

const at = (values: readonly number[], dims: Shape) => tensor("int64", values, dims);
const axis = (n: number) => ({ axis: int(n) });
const onto = (name: string) => ({ reduction: string(name) });

testNodes(indexingOps, [
  node("Gather", [[4, 3], i64(0, 2, 2, -1)]),
  node("Gather", [[4, 3], at([-1], [])], {}, { opset: 7 }),
  node("Gather", [[2, 4, 3], at([3, 0, 1, 1], [2, 2])], axis(1)),
  node("Gather", [[2, 6], i64(1, 3, 5)], axis(-1)),
  node("Gather", [[2, 3], i64(0, 0, 1, 1, 2, 2)], axis(1)),
  node("Gather", [[2, 3], tensor("int32", [2, 1, 0])], axis(1), { opset: 11 }),
  node("GatherElements", [[3, 2], at([0, -1, 2, 0], [2, 2])]),
  node("GatherElements", [[2, 3], at([0, 0, 2, 1], [2, 2])], axis(-1), { opset: 11 }),
  node("GatherND", [[3, 2, 2], at([0, 1, -1, 0, 0, 1], [3, 2])]),
  node("GatherND", [[3, 2], at([1, 1], [2, 1])], {}, { opset: 11 }),
  node("GatherND", [[2, 3, 2], at([1, 0], [2, 1])], { batch_dims: int(1) }, { opset: 12 }),
  node("GatherND", [[2, 2, 3], at([0, 2, 1, 1, 1, 0, 2, 2], [2, 2, 2, 1])], { batch_dims: int(2) }),
  node("ScatterElements", [[3, 3], at([1, 0, 2, -1], [2, 2]), [2, 2]]),
  node("ScatterElements", [[2, 4], at([1, 3], [1, 2]), [1, 2]], axis(1), { opset: 11 }),
  node(
    "ScatterElements",
    [[2, 4], at([1, 1, 0], [1, 3]), [1, 3]],
    { ...axis(-1), ...onto("add") },
    { opset: 16 },
  ),
  node("Scatter", [[3, 3], at([1, 0, 2, 2], [2, 2]), [2, 2]], axis(0), { opset: 9 }),
  node("ScatterND", [[4, 2], at([2, 0], [2, 1]), [2, 2]], {}, { opset: 11 }),
  node("ScatterND", [[4, 2], at([2, 0, -1, 1], [2, 2]), [2]]),
  node("ScatterND", [[4, 2], at([2, 2, 0], [3, 1]), [3, 2]], onto("add"), { opset: 18 }),
  ...["max", "min"].flatMap((name) => [
    node("ScatterElements", [[3, 3], at([1, 0, 1, -1, 2, 2], [2, 3]), [2, 3]], onto(name), { opset: 18 }),
    node("ScatterND", [[4, 2], at([2, 2, 0], [3, 1]), [3, 2]], onto(name), { opset: 18 }),
  ]),
  node("Compress", [[3, 4], tensor("bool", [0, 1, 1])], axis(0)),
  node("Compress", [[3, 4], tensor("bool", [1, 0, 0, 1])], axis(-1), { opset: 9 }),
  node("Compress", [[2, 3], tensor("bool", [0, 1, 0, 1, 1])]),
  node("OneHot", [i64(0, 2, -1, 3, 7), tensor("int64", [3], []), [2]]),
  node("OneHot", [at([0, 1, 1, 2], [2, 2]), i64(3), [2]], axis(1), { opset: 9 }),
  node("OneHot", [i64(1, 0), i64(2), tensor("float32", [0, 1])], axis(0)),
]);

describe("indices that are data", () => {
  // Whole numbers as floats, cast: what an embedding's input looks like to the step.
  const embedding = (name: string, dims: Shape, indices: Shape, n: number, attributes = {}): Sample => ({
    name,
    inputs: [
      { dims },
      {
        dims: indices,
        constant: true,
        values: Array.from({ length: sizeOf(indices) }, (_, i) => (i * 7) % n),
      },
    ],
    build: (b, x, i) => b.square(emit(b, "Gather", [x, b.cast(i, "int64")], attributes)),
  });
  it.each([
    embedding("an embedding", [5, 3], [2, 4], 5),
    embedding("the middle axis", [2, 5, 3], [4], 5, axis(1)),
    embedding("a scalar", [2, 5], [], 5, axis(1)),
  ])("$name", (sample) => checkSample(sample, 3));
});

describe("emission of Gather with known indices", () => {
  const opsOf = (build: (b: Builder, x: Value) => Value) => {
    const b = newBuilder("test", targets.cpu);
    build(b, b.graph.addInput("x", { dtype: "float32", dims: [2, 4] }));
    return b.graph.nodes.map((n) => n.op);
  };
  it("is a slice for one entry or a range, an expand for a repetition, and no Gather", () => {
    expect(opsOf((b, x) => emit(b, "Gather", [x, at([0], [])], axis(1)))).toEqual(["Slice", "Reshape"]);
    expect(opsOf((b, x) => emit(b, "Gather", [x, i64(3, 2, 1)], axis(1)))).toEqual(["Slice"]);
    expect(opsOf((b, x) => emit(b, "Gather", [x, i64(0, 1)], axis(0)))).toEqual([]);
    expect(opsOf((b, x) => emit(b, "Gather", [x, i64(0, 0, 1, 1)], axis(0)))).toEqual([
      "Reshape",
      "Expand",
      "Reshape",
    ]);
    expect(opsOf((b, x) => emit(b, "Gather", [x, i64(0, 3, 1)], axis(1)))).toEqual(["Gather"]);
  });
  it("refuses an index outside of the axis", () => {
    expect(() => opsOf((b, x) => emit(b, "Gather", [x, i64(0, 4)], axis(1)))).toThrow(
      'Gather at node "node": index 4 is outside axis 1 of [2,4]',
    );
  });
});

it("has no gradient where a scatter multiplies, and says so", async () => {
  const { differentiate } = await import("../../src/autodiff/differentiate.ts");
  const b = newBuilder("test", targets.cpu);
  const x = b.graph.addInput("w", { dtype: "float32", dims: [3, 1] });
  const y = emit(b, "ScatterND", [x, at([1], [1, 1]), x], onto("mul"));
  expect(() => differentiate(b, b.reduceSum(y), [x])).toThrow(
    'no gradient rule for ScatterND (input 0) at node "node/ScatterND"',
  );
});
