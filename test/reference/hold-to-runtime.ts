// Test helper: runs one-node graphs on ONNX Runtime (float32, graph optimisation off) and in the reference, and compares.
import { describe, expect, it } from "vitest";
import {
  isFloat,
  type NumericDType,
  type Shape,
  sizeOf,
  type Tensor,
  tensor,
} from "../../src/base/tensor.ts";
import { type Attributes, Graph } from "../../src/graph/graph.ts";
import { writeGraph } from "../../src/onnx/write-graph.ts";
import { createNodeRuntime } from "../../src/runtime/ort-node.ts";
import type { OperatorTable } from "./array.ts";
import { evaluate } from "./index.ts";

export interface Case {
  /** "Op", or "domain.Op" outside ai.onnx. */
  readonly op: string;
  readonly inputs: readonly (Tensor | undefined)[];
  readonly attributes?: Attributes;
  /** How many outputs to ask for. Default 1. */
  readonly outputs?: number;
}

/** mulberry32: uniform numbers in [0, 1) from one seed. */
export function uniform(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Makers of random inputs that share one seed. */
export function randomInputs(seed: number) {
  const next = uniform(seed);
  const values = (dims: Shape, make: () => number): number[] => Array.from({ length: sizeOf(dims) }, make);
  return {
    /** float32 in [low, high). */
    floats: (dims: Shape, low = -2, high = 2): Tensor =>
      tensor(
        "float32",
        values(dims, () => low + (high - low) * next()),
        dims,
      ),
    /** Whole numbers from low to high, both included. */
    whole: (dims: Shape, low: number, high: number, dtype: NumericDType = "int64"): Tensor =>
      tensor(
        dtype,
        values(dims, () => low + Math.floor((high - low + 1) * next())),
        dims,
      ),
    bools: (dims: Shape): Tensor =>
      tensor(
        "bool",
        values(dims, () => Math.floor(2 * next())),
        dims,
      ),
  };
}

/** Given numbers. */
export const f32 = (values: readonly number[], dims: Shape = [values.length]): Tensor =>
  tensor("float32", values, dims);
export const i64 = (values: readonly number[], dims: Shape = [values.length]): Tensor =>
  tensor("int64", values, dims);
export const scalar = (value: number, dtype: NumericDType = "float32"): Tensor => tensor(dtype, [value], []);

/** A graph of one node of ai.onnx 21 whose inputs are all inputs of the graph, and the feeds for it. */
export function oneNode(c: Case): { graph: Graph; feeds: Record<string, Tensor> } {
  const graph = new Graph("one-node", [["", 21]]);
  const feeds: Record<string, Tensor> = {};
  const inputs = c.inputs.map((t, i) => {
    if (!t) return undefined;
    feeds[`x${i}`] = t;
    return graph.addInput(`x${i}`, { dtype: t.dtype, dims: t.dims });
  });
  const dot = c.op.lastIndexOf(".");
  const node = graph.addNode({
    op: c.op.slice(dot + 1),
    domain: dot < 0 ? "" : c.op.slice(0, dot),
    name: "node",
    inputs,
    outputs: Array.from({ length: c.outputs ?? 1 }, (_, i) => `y${i}`),
    attributes: c.attributes ?? {},
  });
  for (const output of node.outputs) graph.addOutput(output!);
  return { graph, feeds };
}

/** Fails unless shape and kind of element agree, and |actual − expected| ≤ tolerance·(1 + |expected|); integers exactly. */
export function expectClose(actual: Tensor, expected: Tensor, tolerance = 1e-5): void {
  expect(actual.dims.map(Number)).toEqual([...expected.dims]);
  if (isFloat(expected.dtype)) expect(isFloat(actual.dtype)).toBe(true);
  else expect(actual.dtype).toBe(expected.dtype);
  const [a, e] = [actual.data, expected.data] as [ArrayLike<number | bigint>, ArrayLike<number | bigint>];
  let worst = { excess: 0, index: -1, actual: 0, expected: 0 };
  for (let i = 0; i < e.length; i++) {
    const [x, y] = [Number(a[i]), Number(e[i])];
    if (Object.is(x, y) || x === y) continue;
    const excess = Math.abs(x - y) / (1 + Math.abs(y));
    if (Number.isNaN(excess) || excess > worst.excess)
      worst = { excess: Number.isNaN(excess) ? Infinity : excess, index: i, actual: x, expected: y };
  }
  if (worst.excess > (isFloat(expected.dtype) ? tolerance : 0))
    throw new Error(
      `worst at ${worst.index} of ${e.length}: ${worst.actual}, expected ${worst.expected} (${worst.excess.toExponential(2)} > ${tolerance})`,
    );
}

const runtime = createNodeRuntime({ threads: 1, optimization: "none" });

/** Runs the case both ways: the reference's outputs must be what ONNX Runtime gives. */
export async function holdToRuntime(c: Case): Promise<void> {
  const { graph, feeds } = oneNode(c);
  const session = await runtime.load(writeGraph(graph));
  try {
    const theirs = await session.run(feeds);
    const ours = evaluate(graph, feeds);
    for (const output of graph.outputs) expectClose(theirs[output.name]!, ours.get(output)!);
  } finally {
    await session.release();
  }
}

/** The reference's outputs for a case, for comparison with values known otherwise. */
export function evaluateCase(c: Case): Tensor[] {
  const { graph, feeds } = oneNode(c);
  const values = evaluate(graph, feeds);
  return graph.outputs.map((output) => values.get(output)!);
}

function title(c: Case): string {
  const attributes = Object.entries(c.attributes ?? {}).map(([name, a]) => {
    if (a.kind === "tensor") return `${name}=${a.value.dtype}[${a.value.data}]`;
    return `${name}=${a.kind === "opaque" ? "…" : a.value}`;
  });
  const inputs = c.inputs.map((t) => (t ? `${t.dtype === "float32" ? "" : t.dtype}[${t.dims}]` : "–"));
  return [inputs.join(" "), ...attributes].join(" ");
}

/** One test for each case, and one that every operator of `table` has a case. */
export function testTable(table: OperatorTable, cases: readonly Case[]): void {
  const byOp = new Map<string, Case[]>();
  for (const c of cases) byOp.set(c.op, [...(byOp.get(c.op) ?? []), c]);
  for (const [op, list] of byOp)
    describe(op, () => {
      list.forEach((c, i) => {
        it(`case ${i + 1}: ${title(c)} is as ONNX Runtime has it`, () => holdToRuntime(c));
      });
    });
  it("has a case for every operator of the table", () => {
    expect(Object.keys(table).filter((op) => !byOp.has(op))).toEqual([]);
  });
}
