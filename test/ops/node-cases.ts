// Test helper for op families: a table of nodes as they stand in users' models. Each is run by ONNX Runtime in its own
// spelling and held to what we emit for it; then its gradients are checked (gradient-checker.ts).
import { describe, expect, it } from "vitest";
import { isFloat, type NumericDType, sizeOf, type Tensor, tensor } from "../../src/base/tensor.ts";
import { type Attributes, Graph, typeOf, type Value } from "../../src/graph/graph.ts";
import { writeGraph } from "../../src/onnx/write-graph.ts";
import { type Builder, tableKey } from "../../src/ops/builder.ts";
import type { OpDefinition } from "../../src/ops/define.ts";
import { newBuilder } from "../../src/ops/index.ts";
import { targets } from "../../src/ops/target.ts";
import { createNodeRuntime } from "../../src/runtime/ort-node.ts";
import { checkSample, expectClose, type InputSpec, type Sample, testRandom } from "../gradient-checker.ts";
import { evaluate } from "../reference/index.ts";
import { emitAll } from "./emit.ts";

export interface NodeCase {
  readonly op: string;
  /**
   * A shape, or one with a range: an input of random floats, to be differentiated. A tensor: known before training; as
   * `data(tensor)`: fed, so not known. Undefined: left out.
   */
  readonly inputs: readonly (readonly number[] | InputSpec | Fed | Tensor | undefined)[];
  readonly attributes: Attributes;
  /** Opset of the spelling; default 21. */
  readonly opset: number;
  /** Number of outputs; default 1. */
  readonly outputs: number;
  /** Outputs that the loss depends on; default all. */
  readonly used: readonly number[] | undefined;
  /** Default ai.onnx. */
  readonly domain: string;
  /** Of the gradient against central differences; default the checker's. A looser one needs a reason beside it. */
  readonly tolerance: number | undefined;
  /** Why ONNX Runtime cannot run the spelling itself, where it cannot. */
  readonly notRun: string | undefined;
}

interface Fed {
  readonly fed: Tensor;
}

/** A given tensor that is fed at run time, and has no gradient. */
export const data = (fed: Tensor): Fed => ({ fed });

/** A node of com.microsoft. */
export function microsoft(
  op: string,
  inputs: NodeCase["inputs"],
  attributes: Attributes = {},
  options: NodeOptions = {},
): NodeCase {
  return node(op, inputs, attributes, { domain: "com.microsoft", opset: 1, ...options });
}

type NodeOptions = Partial<Pick<NodeCase, "opset" | "outputs" | "used" | "notRun" | "domain" | "tolerance">>;

export function node(
  op: string,
  inputs: NodeCase["inputs"],
  attributes: Attributes = {},
  options: NodeOptions = {},
): NodeCase {
  const defaults = {
    opset: 21,
    outputs: 1,
    used: undefined,
    notRun: undefined,
    domain: "",
    tolerance: undefined,
  };
  return { op, inputs, attributes, ...defaults, ...options };
}

const specOf = (x: NodeCase["inputs"][number]): InputSpec | undefined => {
  if (Array.isArray(x)) return { dims: x };
  return x && "dims" in x && !("data" in x) ? x : undefined;
};
const isFed = (x: NodeCase["inputs"][number]): x is Fed => x !== undefined && "fed" in x;

function title(c: NodeCase): string {
  const inputs = c.inputs.map((x) => {
    const spec = specOf(x);
    if (spec) return `x[${spec.dims}]`;
    if (!x) return "–";
    const { dtype, dims, data: numbers } = isFed(x) ? x.fed : (x as Tensor);
    return numbers.length <= 8 ? `(${numbers})` : `${dtype}[${dims}]`;
  });
  const attributes = Object.entries(c.attributes).map(([name, a]) =>
    a.kind === "tensor" ? `${name}=(${a.value.data})` : `${name}=${a.kind === "opaque" ? "…" : a.value}`,
  );
  return `${c.op}-${c.opset} ${[...inputs, ...attributes].join(" ")}`;
}

function sampleOf(c: NodeCase): Sample {
  const specs = c.inputs.map(specOf).filter((spec) => spec !== undefined);
  return {
    name: title(c),
    inputs: specs,
    forwardOnly: specs.length === 0,
    ...(c.tolerance !== undefined && { tolerance: c.tolerance }),
    build: (b, ...xs) => {
      const rest = [...xs];
      const inputs = c.inputs.map((x) => {
        if (specOf(x)) return rest.shift();
        // Floats are of the inputs' type.
        const doubles = xs.some((v) => typeOf(v).dtype === "float64");
        if (isFed(x)) return hidden(b, doubles && x.fed.dtype === "float32" ? asDoubles(x.fed) : x.fed);
        return x as Tensor | undefined;
      });
      const ys = emitAll(b, c.op, inputs, c.attributes, c);
      const used = ys.filter((y, i) => y && (c.used?.includes(i) ?? true));
      // Squares, so that the gradient is not the cotangent alone.
      return used.map((y) => (isFloat(typeOf(y).dtype) ? b.square(y) : b.cast(y, "float32")));
    },
  };
}

/** A constant that the emission cannot look into: the tensor and what a node makes of it. */
function hidden(b: Builder, t: Tensor): Value {
  const { dtype, dims } = t;
  const name = b.graph.freeName("fed");
  const made = b.graph.addNode({
    op: dtype === "bool" ? "Not" : "Neg",
    name,
    inputs: [b.constant(opposite(t))],
    outputs: [name],
    types: [{ dtype, dims }],
  });
  return made.outputs[0] as Value;
}

const asDoubles = ({ data: numbers, dims }: Tensor): Tensor =>
  tensor("float64", Array.from(numbers as ArrayLike<number>), dims);

function opposite(t: Tensor): Tensor {
  const numbers = Array.from(t.data as ArrayLike<number | bigint>, Number);
  return tensor(
    t.dtype as NumericDType,
    numbers.map((v) => (t.dtype === "bool" ? 1 - v : -v)),
    t.dims,
  );
}

const runtime = createNodeRuntime({ threads: 1, optimization: "none" });

/** ONNX Runtime's outputs of the node in its own spelling, and the reference's of what is emitted for it. */
async function holdToRuntime(c: NodeCase): Promise<void> {
  const random = testRandom(11);
  const opsets =
    c.domain === ""
      ? ([["", c.opset]] as const)
      : ([
          ["", 21],
          [c.domain, c.opset],
        ] as const);
  const graph = new Graph("user", opsets);
  const b = newBuilder("emitted", targets.cpu);
  const feeds: Record<string, Tensor> = {};
  const both = c.inputs.map((x, i): [Value | undefined, Value | undefined] => {
    if (!x) return [undefined, undefined];
    const spec = specOf(x);
    if (!spec && !isFed(x)) return [graph.addConstant(`c${i}`, x as Tensor), b.constant(x as Tensor)];
    const { low = -2, high = 2, dims } = spec ?? { dims: (x as Fed).fed.dims };
    const draw = (): Tensor => ({
      dtype: "float32",
      dims,
      data: Float32Array.from({ length: sizeOf(dims) }, () => low + (high - low) * random()),
    });
    const fed = isFed(x) ? x.fed : draw();
    const type = { dtype: fed.dtype, dims };
    feeds[`x${i}`] = fed;
    return [graph.addInput(`x${i}`, type), b.graph.addInput(`x${i}`, type)];
  });
  const made = graph.addNode({
    op: c.op,
    domain: c.domain,
    name: "node",
    inputs: both.map(([v]) => v),
    outputs: Array.from({ length: c.outputs }, (_, i) => `y${i}`),
    attributes: c.attributes,
  });
  made.outputs.forEach((y, i) => {
    if (c.used?.includes(i) ?? true) graph.addOutput(y as Value);
  });
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
    ours.slice(0, c.outputs).forEach((y, i) => {
      if (!y || (c.used && !c.used.includes(i))) return;
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

/** Holds what is emitted for each node to ONNX Runtime's own kernel for it. */
export function testAgreement(cases: readonly NodeCase[]): void {
  const named = cases.map((c) => [title(c), c] as const);
  describe("is what ONNX Runtime makes of it", () => {
    it.each(named.filter(([, c]) => c.notRun === undefined))("%s", (_, c) => holdToRuntime(c));
  });
}

/** Tests each case, and that every op of the family has one. */
export function testNodes(family: readonly OpDefinition[], cases: readonly NodeCase[]): void {
  it("has a case for every op of the family", () => {
    const covered = new Set(cases.map((c) => tableKey(c.op, c.domain)));
    expect(family.map((d) => tableKey(d.op, d.domain)).filter((op) => !covered.has(op))).toEqual([]);
  });
  testAgreement(cases);
  const named = cases.map((c) => [title(c), c] as const);
  describe("gradients", () => {
    it.each(named)("%s", async (_, c) => {
      for (const seed of [1, 2]) await checkSample(sampleOf(c), seed);
    });
  });
}
