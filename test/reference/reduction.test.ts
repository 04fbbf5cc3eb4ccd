// The reference operators that look along axes against ONNX Runtime.
import { it } from "vitest";
import { int } from "../../src/graph/graph.ts";
import {
  type Case,
  evaluateCase,
  expectClose,
  f32,
  i64,
  randomInputs,
  scalar,
  testTable,
} from "./hold-to-runtime.ts";
import { reduction } from "./reduction.ts";

const { floats, whole } = randomInputs(12);

/** Logs want positive sums. */
const low = (op: string): number => (op === "ReduceLogSum" ? 0.1 : -2);
const reduce = (op: string): Case[] => [
  { op, inputs: [floats([2, 3, 4], low(op))] },
  { op, inputs: [floats([2, 3, 4], low(op))], attributes: { keepdims: int(0) } },
  { op, inputs: [floats([2, 3, 4], low(op)), i64([1])] },
  { op, inputs: [floats([2, 3, 4], low(op)), i64([-1, 0])], attributes: { keepdims: int(0) } },
  { op, inputs: [floats([2, 3, 4], low(op)), i64([])] },
  { op, inputs: [floats([5], low(op)), i64([0])] },
  { op, inputs: [floats([], low(op))] },
];
const noop = (op: string): Case => ({
  op,
  inputs: [floats([2, 3], 0.1), i64([])],
  attributes: { noop_with_empty_axes: int(1) },
});
const reductions = Object.keys(reduction).filter((op) => op.startsWith("Reduce"));

const ties = f32([1, 3, 3, 2, 0, 0, 3, 3], [2, 4]);
const arg = (op: string): Case[] => [
  { op, inputs: [floats([2, 3, 4])] },
  { op, inputs: [floats([2, 3, 4])], attributes: { axis: int(1), keepdims: int(0) } },
  { op, inputs: [ties], attributes: { axis: int(-1) } },
  { op, inputs: [ties], attributes: { axis: int(-1), select_last_index: int(1) } },
];
const soft = (op: string): Case[] => [
  { op, inputs: [floats([2, 3, 4], -5, 5)] },
  { op, inputs: [floats([2, 3, 4], -5, 5)], attributes: { axis: int(1) } },
  { op, inputs: [floats([2, 3, 4], -5, 5)], attributes: { axis: int(-3) } },
  { op, inputs: [f32([-80, 80, 79, 1000, -1000, 0], [2, 3])] },
];

const cases: Case[] = [
  ...reductions.flatMap(reduce),
  ...reductions.map(noop),
  ...["ReduceSum", "ReduceMax", "ReduceMin", "ReduceProd", "ReduceSumSquare"].map((op) => ({
    op,
    inputs: [whole([3, 4], -4, 4), i64([1])],
  })),
  { op: "ReduceLogSumExp", inputs: [f32([1000, 1001, -1000, -1001], [2, 2]), i64([1])] },
  ...["ArgMax", "ArgMin"].flatMap(arg),
  ...["Softmax", "LogSoftmax", "Hardmax"].flatMap(soft),
  { op: "Hardmax", inputs: [ties] },
  { op: "CumSum", inputs: [floats([2, 3, 4]), scalar(1, "int64")] },
  { op: "CumSum", inputs: [floats([2, 3, 4]), scalar(-1, "int64")], attributes: { exclusive: int(1) } },
  { op: "CumSum", inputs: [floats([2, 3, 4]), scalar(0, "int64")], attributes: { reverse: int(1) } },
  {
    op: "CumSum",
    inputs: [floats([2, 3, 4]), scalar(2, "int64")],
    attributes: { reverse: int(1), exclusive: int(1) },
  },
  { op: "TopK", inputs: [floats([2, 3, 4]), i64([2])], outputs: 2 },
  {
    op: "TopK",
    inputs: [floats([2, 5, 4]), i64([3])],
    attributes: { axis: int(1), largest: int(0) },
    outputs: 2,
  },
  { op: "TopK", inputs: [ties, i64([3])], outputs: 2 },
];

testTable(reduction, cases);

it("reductions over nothing give the neutral element", () => {
  const inputs = [f32([], [2, 0]), i64([1])];
  const attributes = { keepdims: int(0) };
  const neutral: Record<string, number> = {
    ReduceSum: 0,
    ReduceProd: 1,
    ReduceMax: -Infinity,
    ReduceMin: Infinity,
    ReduceLogSumExp: -Infinity,
  };
  for (const [op, value] of Object.entries(neutral))
    expectClose(evaluateCase({ op, inputs, attributes })[0]!, f32([value, value]));
});
