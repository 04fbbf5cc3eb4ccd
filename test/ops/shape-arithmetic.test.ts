// Shapes and numbers: constants by the time they are emitted.
import { expect, it } from "vitest";
import { tensor } from "../../src/base/tensor.ts";
import { type Attribute, float, int, ints } from "../../src/graph/graph.ts";
import { newBuilder } from "../../src/ops/index.ts";
import { shapeArithmeticOps } from "../../src/ops/shape-arithmetic.ts";
import { targets } from "../../src/ops/target.ts";
import { emit, i64 } from "./emit.ts";
import { node, testNodes } from "./node-cases.ts";

const value = (t: ReturnType<typeof tensor>): { value: Attribute } => ({
  value: { kind: "tensor", value: t },
});
const scalar = (n: number) => tensor("int64", [n], []);
const f32 = (n: number) => tensor("float32", [n], []);

testNodes(shapeArithmeticOps, [
  node("Constant", [], value(tensor("float32", [1, 2, 3, 4], [2, 2])), { opset: 7 }),
  node("Constant", [], { value_float: float(0.5) }),
  node("Constant", [], { value_int: int(-3) }),
  node("Constant", [], { value_ints: ints([1, 2]) }),
  node("Constant", [], { value_floats: { kind: "floats", value: [0.25, 2] } }),
  node("Shape", [[2, 3, 4]], {}, { opset: 7 }),
  node("Shape", [[2, 3, 4]], { start: int(-2), end: int(2) }, { opset: 15 }),
  node("Size", [[2, 3]]),
  node("ConstantOfShape", [i64(2, 3)]),
  node("ConstantOfShape", [i64(2, 1)], value(tensor("float32", [1.5]))),
  node("ConstantOfShape", [i64(3)], value(tensor("int64", [7])), { opset: 9 }),
  node("Range", [scalar(1), scalar(10), scalar(4)]),
  node("Range", [f32(1), f32(0), f32(-0.25)], {}, { opset: 11 }),
  node("Range", [scalar(3), scalar(3), scalar(1)]),
  node("EyeLike", [[3, 4]], { k: int(-1) }),
  node("EyeLike", [[2, 2]], { dtype: int(7) }, { opset: 9 }),
]);

it("folds the shape arithmetic that exporters write", () => {
  const b = newBuilder("test", targets.cpu);
  const x = b.graph.addInput("x", { dtype: "float32", dims: [2, 3, 4] });
  expect(b.numbersOf(emit(b, "Shape", [x]), "test")).toEqual([2, 3, 4]);
  expect(b.graph.nodes).toEqual([]);
});

it("refuses a constant that is no tensor of numbers", () => {
  const b = newBuilder("test", targets.cpu);
  expect(() => emit(b, "Constant", [], { sparse_value: { kind: "opaque", value: 0 } })).toThrow(
    'Constant at node "node": its constant (sparse_value) is not a dense tensor of numbers',
  );
});
