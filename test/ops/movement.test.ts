// Reshape, transpose, concat, split, slice, pad, expand, tile and their kin: every spelling, gradient and refusal.
import { describe, expect, it } from "vitest";
import { tensor } from "../../src/base/tensor.ts";
import { float, int, ints, string, typeOf, type Value } from "../../src/graph/graph.ts";
import type { Builder } from "../../src/ops/builder.ts";
import { newBuilder } from "../../src/ops/index.ts";
import { movementOps } from "../../src/ops/movement.ts";
import { targets } from "../../src/ops/target.ts";
import { emit, emitAll, i64 } from "./emit.ts";
import { node, testNodes } from "./node-cases.ts";

const far = 2 ** 63;
const f32 = (value: number) => tensor("float32", [value], []);
const mode = (name: string) => ({ mode: string(name) });

testNodes(movementOps, [
  node("Reshape", [[2, 3, 4], i64(0, -1)]),
  node("Reshape", [[2, 3, 4], i64(4, 0, 2)], { allowzero: int(0) }, { opset: 14 }),
  node("Reshape", [[1], i64()], {}, { opset: 7 }),
  node("Flatten", [[2, 3, 4]]),
  node("Flatten", [[2, 3, 4]], { axis: int(-1) }),
  node("Flatten", [[2, 3]], { axis: int(0) }, { opset: 9 }),
  node("Flatten", [[2, 3]], { axis: int(2) }),
  node("Squeeze", [[1, 3, 1]]),
  node("Squeeze", [[1, 3, 1], i64(-1)]),
  node("Squeeze", [[1, 3, 1]], { axes: ints([0]) }, { opset: 9 }),
  node("Unsqueeze", [[2, 3], i64(-1, 0)]),
  node("Unsqueeze", [[2, 3]], { axes: ints([1]) }, { opset: 11 }),
  node("Transpose", [[2, 3, 4]]),
  node("Transpose", [[2, 3, 4]], { perm: ints([1, 2, 0]) }, { opset: 7 }),
  node(
    "Concat",
    [
      [2, 3],
      [2, 1],
      [2, 2],
    ],
    { axis: int(-1) },
  ),
  node("Concat", [[2, 3]], { axis: int(0) }, { opset: 7 }),
  node("Split", [[2, 6], i64(1, 2, 3)], { axis: int(1) }, { outputs: 3 }),
  node("Split", [[4, 3]], {}, { outputs: 2, opset: 13 }),
  node("Split", [[7, 2]], { axis: int(-2), num_outputs: int(3) }, { outputs: 3, opset: 18 }),
  node("Split", [[2, 5]], { axis: int(1), split: ints([2, 2, 1]) }, { outputs: 3, opset: 11, used: [0, 2] }),
  node("Split", [[2, 4]], { axis: int(1) }, { outputs: 2, opset: 7 }),
  node("Split", [[2, 5]], { axis: int(1), num_outputs: int(1) }),
  node("Slice", [[4, 5], i64(1, 0), i64(3, 2)]),
  node("Slice", [[4, 5], i64(-3), i64(far), i64(-1)]),
  node("Slice", [[7, 2], i64(1), i64(far), i64(0), i64(2)]),
  node("Slice", [[2, 7], i64(2), i64(7), i64(1), i64(3)], {}, { opset: 10 }),
  node("Slice", [[5, 2], i64(-1), i64(-far), i64(0), i64(-1)]),
  node("Slice", [[6, 5], i64(4, 0), i64(-100, 5), i64(0, 1), i64(-2, 2)]),
  node("Slice", [[2, 5], i64(3), i64(5), i64(1), i64(9)]),
  node("Slice", [[4, 5], i64(0), i64(far), i64(0)]),
  node("Slice", [[4, 5]], { starts: ints([1]), ends: ints([-1]), axes: ints([1]) }, { opset: 9 }),
  node("Slice", [[4, 5]], { starts: ints([0, 2]), ends: ints([3, 100]) }, { opset: 7 }),
  node("Slice", [[3, 2], i64(2), i64(1), i64(0)]),
  node("Pad", [[2, 3], i64(1, 0, 0, 2), f32(0.5)]),
  node("Pad", [[4, 5], i64(-1, 1, 0, -2)]),
  node("Pad", [[2, 3, 4], i64(1, 2), undefined, i64(-2)], {}, { opset: 18 }),
  node("Pad", [[2, 3]], { pads: ints([0, 1, 1, 0]), value: float(1.5), ...mode("constant") }, { opset: 7 }),
  node("Pad", [[2, 3], i64(0, 0, 0, 0)], {}, { opset: 11 }),
  node("Pad", [[1, 4, 5], i64(0, 2, 1, 0, 3, 0)], mode("reflect")),
  node("Pad", [[4, 3]], { pads: ints([1, 1, 1, 1]), ...mode("reflect") }, { opset: 10 }),
  node("Pad", [[3, 4], i64(2, 1, 0, 3)], mode("edge")),
  node("Pad", [[3, 4], i64(0, 2, 1, 3)], mode("wrap"), { opset: 19 }),
  node("Expand", [[3, 1], i64(2, 1, 4)]),
  node("Expand", [[], i64(2, 3)], {}, { opset: 8 }),
  node("Tile", [[2, 3], i64(2, 3)]),
  node("Tile", [[2, 3], i64(1, 1)], {}, { opset: 7 }),
  node("Trilu", [[2, 3, 4]]),
  node("Trilu", [[3, 4], tensor("int64", [-1], [])], { upper: int(0) }, { opset: 14 }),
]);

describe("emission", () => {
  const start = () => {
    const b = newBuilder("test", targets.cpu);
    return { b, x: b.graph.addInput("x", { dtype: "float32", dims: [2, 3, 4] }) };
  };

  it("costs nothing where nothing moves", () => {
    const { b, x } = start();
    expect(emit(b, "Flatten", [emit(b, "Reshape", [x, i64(2, 12)])])).toBe(b.graph.find("node/Reshape:0"));
    expect(emit(b, "Transpose", [x], { perm: ints([0, 1, 2]) })).toBe(x);
    expect(emit(b, "Slice", [x, i64(0), i64(far)])).toBe(x);
    expect(emit(b, "Expand", [x, i64(3, 1)])).toBe(x);
  });

  it("keeps a dimension of 0 apart from a copied one", () => {
    const b = newBuilder("test", targets.cpu);
    const empty = b.graph.addInput("x", { dtype: "float32", dims: [0, 3] });
    const y = emit(b, "Reshape", [empty, i64(3, 0)], { allowzero: int(1) });
    expect(typeOf(y).dims).toEqual([3, 0]);
    expect(typeOf(emit(b, "Reshape", [empty, i64(0, 1, 3)])).dims).toEqual([0, 1, 3]);
  });

  it("splits dy of a concat once for all inputs", async () => {
    const { differentiate } = await import("../../src/autodiff/differentiate.ts");
    const { b, x } = start();
    const y = emit(b, "Concat", [x, b.neg(x), b.exp(x)], { axis: int(1) });
    differentiate(b, b.reduceSum(b.square(y)), [x]);
    expect(b.graph.nodes.filter((n) => n.op === "Split")).toHaveLength(1);
  });

  const refusals: [string, (b: Builder, x: Value) => unknown, string][] = [
    [
      "a reshape to another size",
      (b, x) => emit(b, "Reshape", [x, i64(5, -1)]),
      'Reshape at node "node": [2,3,4] (24 elements) cannot be reshaped to [5,-1]; if the shape was exported for a fixed batch, use that batch size or export with a dynamic one',
    ],
    [
      "a squeeze of a long axis",
      (b, x) => emit(b, "Squeeze", [x, i64(1)]),
      'Squeeze at node "node": axis 1 of [2,3,4] is squeezed, but only axes of length 1 can be',
    ],
    [
      "an axis named twice",
      (b, x) => emit(b, "Unsqueeze", [x, i64(0, -5)]),
      'Unsqueeze at node "node": the axes [0,-5] name one twice',
    ],
    [
      "a permutation that is none",
      (b, x) => emit(b, "Transpose", [x], { perm: ints([0, 0, 1]) }),
      'Transpose "node/Transpose": perm [0,0,1] does not name each axis of [2,3,4] once',
    ],
    [
      "a concat that does not fit",
      (b, x) => emit(b, "Concat", [x, emit(b, "Transpose", [x])], { axis: int(0) }),
      'Concat "node/Concat": [4,3,2] (input 1) does not fit [2,3,4] (input 0); all axes but axis 0 must be equal',
    ],
    [
      "a split that does not add up",
      (b, x) => emitAll(b, "Split", [x, i64(1, 1)], { axis: int(1) }, { outputs: 2 }),
      'Split "node/Split": the parts [1,1] do not add up to axis 1 of [2,3,4]',
    ],
    [
      "an expand that does not broadcast",
      (b, x) => emit(b, "Expand", [x, i64(2, 4)]),
      'Expand at node "node": [2,3,4] does not broadcast to [2,4]; each axis, counted from the last, must be equal or 1',
    ],
    [
      "too few repeats",
      (b, x) => emit(b, "Tile", [x, i64(2, 2)]),
      'Tile "node/Tile": 2 repeats for [2,3,4]; it needs one for each axis',
    ],
    [
      "an unknown padding mode",
      (b, x) => emit(b, "Pad", [x, i64(0, 0, 1, 0, 0, 0)], { mode: string("mirror") }),
      'Pad at node "node": padding mode "mirror" is not supported; use constant, reflect, edge, wrap',
    ],
    [
      "negative reflection",
      (b, x) => emit(b, "Pad", [x, i64(0, 0, -1, 0, 0, 0)], { mode: string("reflect") }),
      'Pad at node "node": negative padding is supported in mode "constant" alone, not "reflect"; crop with a Slice',
    ],
    [
      "a wrong number of pads",
      (b, x) => emit(b, "Pad", [x, i64(0, 1)]),
      'Pad at node "node": 2 pads for 3 axes; it needs one before and one after each',
    ],
    [
      "a shape that is computed from the data",
      (b, x) => emit(b, "Reshape", [x, b.cast(b.reduceSum(x, [1, 2]), "int64")]),
      'Reshape at node "node": "Cast:0" must be known before training, but it is computed from the data',
    ],
  ];
  it.each(refusals)("refuses %s", (_, build, message) => {
    const { b, x } = start();
    expect(() => build(b, x)).toThrow(expect.objectContaining({ message }));
  });
});
