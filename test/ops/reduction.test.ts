// Reductions, cumulative sums, extrema: values and gradients, axes in both spellings. Ties and zeros are held to PyTorch in
// torch-normalization.test.ts.
import { describe, expect, it } from "vitest";
import { differentiate } from "../../src/autodiff/differentiate.ts";
import { tensor } from "../../src/base/tensor.ts";
import { type Attributes, int, ints, typeOf, type Value } from "../../src/graph/graph.ts";
import { newBuilder } from "../../src/ops/index.ts";
import { reductionOps } from "../../src/ops/reduction.ts";
import { targets } from "../../src/ops/target.ts";
import type { InputSpec, Sample } from "../gradient-checker.ts";
import { checkFamily, type Samples } from "./check-family.ts";
import { emit, emitAll, i64 } from "./emit.ts";

type Domain = Omit<InputSpec, "dims">;

/** Every way to name the axes: all, one, several, negative, as attribute and as input, kept and not. */
function reductions(op: string, domain: Domain = {}, newest = 18): Sample[] {
  const one = (
    name: string,
    dims: readonly number[],
    attributes: Attributes = {},
    axes?: readonly number[],
    opset = 21,
  ): Sample => ({
    name: `${op}: ${name}`,
    inputs: [{ dims, ...domain }],
    build: (b, x) => emit(b, op, axes ? [x, i64(...axes)] : [x], attributes, { opset }),
  });
  return [
    one("all axes", [2, 3, 2]),
    one("all axes, not kept", [2, 3], { keepdims: int(0) }),
    one("middle axis, kept", [2, 3, 2], {}, [1]),
    one("negative axes, not kept", [2, 3, 2], { keepdims: int(0) }, [-1, 0]),
    one("axes of length 1", [2, 1, 3], { keepdims: int(0) }, [1]),
    one("attribute", [2, 3, 2], { axes: ints([-2]), keepdims: int(0) }, undefined, newest - 1),
    one("attribute, several, kept", [2, 3, 2], { axes: ints([2, 1]) }, undefined, 11),
    one("opset 7, all", [2, 3], {}, undefined, 7),
    one("a scalar", [], {}),
  ];
}

/** Empty axes mean nothing to do where the node says so. */
const noop = (op: string): Sample => ({
  name: `${op}: noop_with_empty_axes`,
  inputs: [{ dims: [2, 3] }],
  build: (b, x) => b.square(emit(b, op, [x], { noop_with_empty_axes: int(1) })),
});

const cumulative = (name: string, axis: number, attributes: Attributes = {}): Sample => ({
  name: `CumSum: ${name}`,
  inputs: [{ dims: [2, 4] }],
  build: (b, x) => emit(b, "CumSum", [x, tensor("int64", [axis], [])], attributes),
});

const flags = (exclusive: number, reverse: number): Attributes => ({
  exclusive: int(exclusive),
  reverse: int(reverse),
});

/** Positions choose the elements of another tensor, which do have gradients. */
const positions = (op: string, attributes: Attributes): Sample => ({
  name: `${op}: ${JSON.stringify(Object.keys(attributes))}`,
  inputs: [{ dims: [3, 4], distinct: true }],
  build: (b, x) => {
    const at = emit(b, op, [x], attributes);
    return b.mul(b.cast(at, typeOf(x as Value).dtype), b.reduceSum(b.square(x as Value)));
  },
});

const top = (name: string, k: number, attributes: Attributes = {}, opset = 21, asInput = true): Sample => ({
  name: `TopK: ${name}`,
  inputs: [{ dims: [3, 5], distinct: true }],
  build: (b, x) => {
    const [values, at] = emitAll(b, "TopK", asInput ? [x, i64(k)] : [x], attributes, { opset, outputs: 2 });
    return [values as Value, b.cast(at as Value, typeOf(x as Value).dtype)];
  },
});

const positive: Domain = { low: 0.3, high: 2.5 };
const samples: Samples = {
  ReduceSum: [...reductions("ReduceSum", {}, 13), noop("ReduceSum")],
  ReduceMean: [...reductions("ReduceMean"), noop("ReduceMean")],
  ReduceMax: [...reductions("ReduceMax", { distinct: true }), noop("ReduceMax")],
  ReduceMin: reductions("ReduceMin", { distinct: true }),
  ReduceL1: reductions("ReduceL1", { kinks: [0] }),
  ReduceL2: reductions("ReduceL2", { low: 0.1 }),
  ReduceSumSquare: reductions("ReduceSumSquare"),
  ReduceLogSum: reductions("ReduceLogSum", positive),
  ReduceLogSumExp: reductions("ReduceLogSumExp"),
  ReduceProd: [
    ...reductions("ReduceProd", { low: 0.5, high: 1.5 }),
    {
      name: "ReduceProd: zeros",
      inputs: [{ dims: [3, 3], values: [2, 0, 3, 0, 0, 5, 2, -1, 3] }],
      build: (b, x) => emit(b, "ReduceProd", [x, i64(-1)]),
    },
  ],
  ArgMax: [
    positions("ArgMax", {}),
    positions("ArgMax", { axis: int(-1), keepdims: int(0) }),
    positions("ArgMax", { axis: int(1), select_last_index: int(1) }),
  ],
  ArgMin: [positions("ArgMin", {}), positions("ArgMin", { axis: int(-1), keepdims: int(0) })],
  CumSum: [
    cumulative("plain", 1),
    cumulative("axis -2", -2),
    cumulative("exclusive", 1, flags(1, 0)),
    cumulative("reverse", 1, flags(0, 1)),
    cumulative("exclusive and reverse", -1, flags(1, 1)),
  ],
  TopK: [
    top("largest", 2),
    top("smallest, axis 0", 2, { axis: int(0), largest: int(0) }),
    top("opset 10", 3, { axis: int(1) }, 10),
    top("opset 9", 0, { k: int(2) }, 9, false),
  ],
};

checkFamily(reductionOps, samples);

describe("emission", () => {
  it("does not reduce at all where there is nothing to do", () => {
    const b = newBuilder("noop", targets.cpu);
    const x = b.graph.addInput("x", { dtype: "float32", dims: [2, 3] });
    expect(emit(b, "ReduceSum", [x], { noop_with_empty_axes: int(1) })).toBe(x);
  });
  it("counts axes from the front, each once", () => {
    const b = newBuilder("axes", targets.cpu);
    const x = b.graph.addInput("x", { dtype: "float32", dims: [2, 3, 4] });
    const y = emit(b, "ReduceMean", [x], { axes: ints([-1, 2, 0]), keepdims: int(0) }, { opset: 13 });
    expect(typeOf(y).dims).toEqual([3]);
    expect(b.numbersOf(y.producer?.inputs[1] as Value, "axes")).toEqual([0, 2]);
  });
  it("says which axis is outside", () => {
    const b = newBuilder("axes", targets.cpu);
    const x = b.graph.addInput("x", { dtype: "float32", dims: [2, 3] });
    expect(() => emit(b, "ReduceMax", [x, i64(2)])).toThrow(
      'ReduceMax at node "node": axis 2 is outside a tensor of rank 2; it must be in [-2, 1]',
    );
  });
  it("passes no gradient through positions", () => {
    const b = newBuilder("positions", targets.cpu);
    const x = b.graph.addInput("x", { dtype: "float32", dims: [2, 3] });
    const loss = b.reduceSum(b.cast(emit(b, "ArgMax", [x]), "float32"));
    expect(differentiate(b, loss, [x]).get(x)).toBeUndefined();
  });
});
