// Col2Im and CenterCropPad against ONNX Runtime, and their gradients.
import { expect, it } from "vitest";
import { ints } from "../../src/graph/graph.ts";
import { foldBlockOps } from "../../src/ops/fold-blocks.ts";
import { newBuilder } from "../../src/ops/index.ts";
import { targets } from "../../src/ops/target.ts";
import { emit, i64 } from "./emit.ts";
import { node, testNodes } from "./node-cases.ts";

testNodes(foldBlockOps, [
  node("Col2Im", [[2, 8, 4], i64(4, 4), i64(2, 2)], { strides: ints([2, 2]) }, { opset: 18 }),
  node("Col2Im", [[1, 4, 6], i64(3, 4), i64(2, 2)]),
  node("Col2Im", [[1, 12, 6], i64(5, 6), i64(2, 3)], {
    dilations: ints([2, 1]),
    pads: ints([1, 0, 1, 1]),
    strides: ints([2, 3]),
  }),
  node("Col2Im", [[2, 6, 4], i64(8), i64(3)], { strides: ints([2]), pads: ints([1, 0]) }),
  node("CenterCropPad", [[2, 5, 4], i64(2, 2, 7)], {}, { opset: 18 }),
  node("CenterCropPad", [[5, 4, 3], i64(2, 4)], { axes: ints([-3, 2]) }),
  node("CenterCropPad", [[5, 4], i64(5, 4)]),
]);

it("says which blocks it wants", () => {
  const b = newBuilder("test", targets.cpu);
  const x = b.graph.addInput("x", { dtype: "float32", dims: [1, 8, 5] });
  expect(() => emit(b, "Col2Im", [x, i64(4, 4), i64(2, 2)], { strides: ints([2, 2]) })).toThrow(
    'Col2Im at node "node": blocks [1,8,5] do not make an image [4,4] of blocks [2,2]; there must be 4 of them, of a multiple of 4 numbers',
  );
  const line = b.graph.addInput("line", { dtype: "float32", dims: [1, 2, 6] });
  expect(() => emit(b, "Col2Im", [line, i64(8), i64(2)], { dilations: ints([2]) })).toThrow(
    'Col2Im at node "node": dilations [2] over 1 axes, which ONNX Runtime adds up at wrong places; use 2 axes, of which one may have length 1',
  );
});
