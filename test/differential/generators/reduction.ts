// Reductions, cumulative sums, extrema and where they are.
import { int, ints } from "../../../src/graph/graph.ts";
import { fed, type Generator, i64 } from "../case.ts";
import type { FloatOptions } from "../draw.ts";

/** Axes as an attribute before opset `asInput`, as an input since; left out, empty, or counted from either end. */
const reduction =
  (asInput: number, options: FloatOptions = {}, whole = true): Generator =>
  ({ d, opset }) => {
    const rank = d.int(whole ? 0 : 1, 4);
    const dims = d.shape(rank);
    const dtype = d.pick(["float32", "float32", "float32", "float64"] as const);
    const chosen = d.subset(rank, d.int(1, Math.max(rank, 1)));
    const axes = chosen.map((a) => (opset >= 11 && d.chance(0.3) ? a - rank : a));
    const given = rank > 0 && d.chance(0.75);
    const keepdims = d.chance(0.5) ? { keepdims: int(d.int(0, 1)) } : {};
    const x = fed(d.floats(dims, { edges: "summed", dtype, ...options }));
    if (opset < asInput)
      return { inputs: [x], attributes: { ...keepdims, ...(given && { axes: ints(axes) }) } };
    const noop = d.chance(0.3) ? { noop_with_empty_axes: int(d.int(0, 1)) } : {};
    const inputs = given ? [x, i64(axes)] : d.chance(0.3) ? [x, i64([])] : [x];
    return { inputs, attributes: { ...keepdims, ...noop } };
  };

const argExtremum: Generator = ({ d, opset }) => {
  const dims = d.shape(d.int(1, 4));
  return {
    inputs: [
      fed(d.tensor(d.pick(["float32", "float32", "int32"]), dims, { edges: d.pick(["finite", "any"]) })),
    ],
    attributes: {
      ...(d.chance(0.7) && { axis: int(opset >= 11 ? d.axis(dims.length) : d.int(0, dims.length - 1)) }),
      ...(d.chance(0.5) && { keepdims: int(d.int(0, 1)) }),
      ...(opset >= 12 && d.chance(0.5) && { select_last_index: int(d.int(0, 1)) }),
    },
  };
};

export const reductions = {
  ReduceSum: reduction(13),
  ReduceMean: reduction(18),
  ReduceMax: reduction(18, { edges: "any" }),
  ReduceMin: reduction(18, { edges: "any" }),
  ReduceL1: reduction(18),
  ReduceL2: reduction(18),
  ReduceSumSquare: reduction(18),
  ReduceLogSum: reduction(18, { low: 0 }),
  ReduceLogSumExp: reduction(18, { low: -9, high: 9 }),
  ReduceProd: reduction(18),
  ArgMax: argExtremum,
  ArgMin: argExtremum,
  CumSum: ({ d }) => {
    const dims = d.shape(d.int(1, 3));
    const x = d.tensor(d.pick(["float32", "float32", "float64", "int32"]), dims, { edges: "summed" });
    return {
      inputs: [fed(x), i64([d.axis(dims.length)], [])],
      attributes: { exclusive: int(d.int(0, 1)), reverse: int(d.int(0, 1)) },
    };
  },
  TopK: ({ d, opset }) => {
    const dims = d.shape(d.int(1, 3));
    const counted = d.axis(dims.length);
    const axis = opset < 11 && counted < 0 ? counted + dims.length : counted;
    const k = d.int(0, dims.at(axis) as number);
    const x = fed(
      d.tensor(opset >= 11 ? d.pick(["float32", "int64"]) : "float32", dims, {
        edges: d.pick(["finite", "any"]),
      }),
    );
    if (opset < 10)
      return { inputs: [x], attributes: { k: int(Math.max(1, k)), axis: int(axis) }, outputs: 2 };
    const newer = opset >= 11 ? { largest: int(d.int(0, 1)), sorted: int(1) } : {};
    return { inputs: [x, i64([k])], attributes: { axis: int(axis), ...newer }, outputs: 2 };
  },
} satisfies Record<string, Generator>;
