// Test helper for op families: a table of nodes as they stand in users' models. Each is run by ONNX Runtime in its own
// spelling and held to what we emit for it; then its gradients are checked (gradient-checker.ts).
import { describe, expect, it } from "vitest";
import { isFloat, sizeOf, type Tensor } from "../../src/base/tensor.ts";
import { type Attributes, Graph, typeOf, type Value } from "../../src/graph/graph.ts";
import { writeGraph } from "../../src/onnx/write-graph.ts";
import type { OpDefinition } from "../../src/ops/define.ts";
import { newBuilder } from "../../src/ops/index.ts";
import { targets } from "../../src/ops/target.ts";
import { createNodeRuntime } from "../../src/runtime/ort-node.ts";
import { checkSample, expectClose, type Sample, testRandom } from "../gradient-checker.ts";
import { evaluate } from "../reference/index.ts";
import { emitAll } from "./emit.ts";

export interface NodeCase {
  readonly op: string;
  /** A shape: an input of random floats, to be differentiated. A tensor: known before training. Undefined: left out. */
  readonly inputs: readonly (readonly number[] | Tensor | undefined)[];
  readonly attributes: Attributes;
  /** Opset of the spelling; default 21. */
  readonly opset: number;
  /** Number of outputs; default 1. */
  readonly outputs: number;
  /** Outputs that the loss depends on; default all. */
  readonly used: readonly number[] | undefined;
  /** Why ONNX Runtime cannot run the spelling itself, where it cannot. */
  readonly notRun: string | undefined;
}

export function node(
  op: string,
  inputs: NodeCase["inputs"],
  attributes: Attributes = {},
  options: Partial<Pick<NodeCase, "opset" | "outputs" | "used" | "notRun">> = {},
): NodeCase {
  return { op, inputs, attributes, opset: 21, outputs: 1, used: undefined, notRun: undefined, ...options };
}

const isDims = (x: NodeCase["inputs"][number]): x is readonly number[] => Array.isArray(x);

function title(c: NodeCase): string {
  const inputs = c.inputs.map((x) => {
    if (!x) return "–";
    if (isDims(x)) return `x[${x}]`;
    return x.data.length <= 8 ? `(${x.data})` : `${x.dtype}[${x.dims}]`;
  });
  const attributes = Object.entries(c.attributes).map(([name, a]) =>
    a.kind === "tensor" ? `${name}=(${a.value.data})` : `${name}=${a.kind === "opaque" ? "…" : a.value}`,
  );
  return `${c.op}-${c.opset} ${[...inputs, ...attributes].join(" ")}`;
}

function sampleOf(c: NodeCase): Sample {
  const dims = c.inputs.filter(isDims);
  return {
    name: title(c),
    inputs: dims.map((d) => ({ dims: d })),
    forwardOnly: dims.length === 0,
    build: (b, ...xs) => {
      const rest = [...xs];
      const inputs = c.inputs.map((x) => (isDims(x) ? rest.shift() : x));
      const ys = emitAll(b, c.op, inputs, c.attributes, c);
      const used = ys.filter((_, i) => c.used?.includes(i) ?? true);
      // Squares, so that the gradient is not the cotangent alone.
      return used.map((y) => (isFloat(typeOf(y).dtype) ? b.square(y) : b.cast(y, "float32")));
    },
  };
}

const runtime = createNodeRuntime({ threads: 1, optimization: "none" });

/** ONNX Runtime's outputs of the node in its own spelling, and the reference's of what is emitted for it. */
async function holdToRuntime(c: NodeCase): Promise<void> {
  const random = testRandom(11);
  const graph = new Graph("user", [["", c.opset]]);
  const b = newBuilder("emitted", targets.cpu);
  const feeds: Record<string, Tensor> = {};
  const both = c.inputs.map((x, i): [Value | undefined, Value | undefined] => {
    if (!x) return [undefined, undefined];
    if (!isDims(x)) return [graph.addConstant(`c${i}`, x), b.constant(x)];
    const type = { dtype: "float32", dims: x } as const;
    feeds[`x${i}`] = { ...type, data: Float32Array.from({ length: sizeOf(x) }, () => 4 * random() - 2) };
    return [graph.addInput(`x${i}`, type), b.graph.addInput(`x${i}`, type)];
  });
  const made = graph.addNode({
    op: c.op,
    name: "node",
    inputs: both.map(([v]) => v),
    outputs: Array.from({ length: c.outputs }, (_, i) => `y${i}`),
    attributes: c.attributes,
  });
  for (const y of made.outputs) graph.addOutput(y as Value);
  const ours = emitAll(
    b,
    c.op,
    both.map(([, v]) => v),
    c.attributes,
    c,
  );
  const values = evaluate(b.graph, feeds);
  const session = await runtime.load(writeGraph(graph));
  try {
    const theirs = await session.run(feeds);
    ours.forEach((y, i) => {
      const wanted = theirs[`y${i}`] as Tensor;
      expect({ dtype: typeOf(y).dtype, dims: typeOf(y).dims }).toEqual({
        dtype: wanted.dtype,
        dims: wanted.dims,
      });
      const numbers = (t: Tensor) => Array.from(t.data as ArrayLike<number | bigint>, Number);
      expectClose(numbers(values.get(y) as Tensor), numbers(wanted), 1e-5, `${title(c)}: output ${i}`);
    });
  } finally {
    await session.release();
  }
}

/** Tests each case, and that every op of the family has one. */
export function testNodes(family: readonly OpDefinition[], cases: readonly NodeCase[]): void {
  it("has a case for every op of the family", () => {
    const covered = new Set(cases.map((c) => c.op));
    expect(family.map((d) => d.op).filter((op) => !covered.has(op))).toEqual([]);
  });
  const named = cases.map((c) => [title(c), c] as const);
  describe("is what ONNX Runtime makes of it", () => {
    it.each(named.filter(([, c]) => c.notRun === undefined))("%s", (_, c) => holdToRuntime(c));
  });
  describe("gradients", () => {
    it.each(named)("%s", async (_, c) => {
      for (const seed of [1, 2]) await checkSample(sampleOf(c), seed);
    });
  });
}
