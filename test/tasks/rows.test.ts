// Logits to rows: the emitted way against the way on arrays, and against counting by hand.
import { describe, expect, it } from "vitest";
import { type Tensor, tensor } from "../../src/base/tensor.ts";
import { newBuilder } from "../../src/ops/index.ts";
import { targets } from "../../src/ops/target.ts";
import { labelRows, rowsOf, rowsOfTensor } from "../../src/tasks/index.ts";
import { evaluate } from "../reference/index.ts";

const counted = (dims: number[]): Tensor => {
  const size = dims.reduce((a, d) => a * d, 1);
  return tensor(
    "float32",
    Array.from({ length: size }, (_, i) => i),
    dims,
  );
};

const layouts: [string, number[], number[]][] = [
  ["[N]", [3], [3, 1]],
  ["[N, C]", [3, 4], [3, 4]],
  ["[N, T, C]", [2, 3, 4], [6, 4]],
  ["[N, C, H, W]", [2, 3, 2, 4], [16, 3]],
  ["[N, C, D, H, W]", [2, 3, 2, 1, 4], [16, 3]],
];

describe.each(layouts)("rows of %s", (_, dims, wanted) => {
  const x = counted(dims);
  const rows = rowsOfTensor(x);

  it("are the same in the graph and on arrays", () => {
    const b = newBuilder("rows", targets.cpu);
    const y = rowsOf(b, b.graph.addInput("x", x));
    const found = evaluate(b.graph, { x }).get(y)!;
    expect(found.dims).toEqual(wanted);
    expect(rows.dims).toEqual(wanted);
    expect(Array.from(rows.data as Float32Array)).toEqual(Array.from(found.data as Float64Array));
  });

  it("hold the classes of one position each, samples first", () => {
    const [samples] = dims as [number];
    const [count, classes] = wanted as [number, number];
    const positions = count / samples;
    for (const [n, p, c] of [
      [samples - 1, positions - 1, 0],
      [0, positions - 1, classes - 1],
    ] as [number, number, number][]) {
      const at = dims.length < 4 ? (n * positions + p) * classes + c : (n * classes + c) * positions + p; // where the value lay
      expect((rows.data as Float32Array)[(n * positions + p) * classes + c]).toBe(at);
    }
  });
});

describe("labels as rows", () => {
  it("class indices become one-hot rows; floats follow their logits", () => {
    expect(labelRows(tensor("int32", [2, 0]), [2, 3])).toEqual(tensor("float32", [0, 0, 1, 1, 0, 0], [2, 3]));
    const map = tensor("float32", [1, 2, 3, 4], [1, 2, 1, 2]);
    expect(labelRows(map, [2, 2])).toEqual(tensor("float32", [1, 3, 2, 4], [2, 2]));
  });
});
