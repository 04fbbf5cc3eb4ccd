// Ops that read at places of the data, and Fourier transforms, held to PyTorch's autograd (test/fixtures/ops_sampling.py and
// ops_fourier.py): the emitted gradients in
// the reference evaluator in float64, and in ONNX Runtime in float32.
import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { vectorJacobianProduct } from "../../src/autodiff/differentiate.ts";
import { type NumericDType, type Tensor, tensor } from "../../src/base/tensor.ts";
import { type Attribute, float, int, ints, string, type Value } from "../../src/graph/graph.ts";
import { writeGraph } from "../../src/onnx/write-graph.ts";
import { newBuilder } from "../../src/ops/index.ts";
import { targets } from "../../src/ops/target.ts";
import { nodeRuntime } from "../../src/runtime/ort-node.ts";
import { expectClose } from "../gradient-checker.ts";
import { evaluate } from "../reference/index.ts";
import { emitOp } from "./emit-op.ts";

interface Stored {
  readonly dims: number[];
  readonly data: number[];
}

interface Case {
  readonly name: string;
  readonly op: string;
  readonly attributes: Record<string, number | number[] | string | { readonly float: number }>;
  /** What has an element type is known before training; null is left out. */
  readonly inputs: (Stored | (Stored & { readonly dtype: NumericDType }) | null)[];
  readonly dy: Stored;
  readonly y: Stored;
  readonly gradients: Stored[];
}

const cases = ["sampling", "fourier"].flatMap(
  (name) =>
    JSON.parse(readFileSync(new URL(`../fixtures/ops-${name}.json`, import.meta.url), "utf8")) as Case[],
);

function attributeOf(v: Case["attributes"][string]): Attribute {
  if (typeof v === "string") return string(v);
  if (typeof v === "number") return int(v);
  return Array.isArray(v) ? ints(v) : float(v.float);
}

function emit(c: Case, dtype: "float32" | "float64") {
  const b = newBuilder(c.name, targets.cpu);
  const feeds: Record<string, Tensor> = { dy: tensor(dtype, c.dy.data, c.dy.dims) };
  const free: Value[] = [];
  const inputs = c.inputs.map((given, i): Value | undefined => {
    if (!given) return undefined;
    if ("dtype" in given) {
      const own = given.dtype === "float32" ? dtype : given.dtype;
      return b.constant(tensor(own, given.data, given.dims));
    }
    feeds[`x${i}`] = tensor(dtype, given.data, given.dims);
    const x = b.graph.addInput(`x${i}`, { dtype, dims: given.dims });
    free.push(x);
    return x;
  });
  const dy = b.graph.addInput("dy", { dtype, dims: c.dy.dims });
  const attributes = Object.entries(c.attributes).map(([k, v]) => [k, attributeOf(v)] as const);
  const y = emitOp(b, c.op, inputs, Object.fromEntries(attributes), { opset: 22 })[0] as Value;
  const gradients = vectorJacobianProduct(b, [[y, dy]], free);
  const wanted: [string, Value, Stored][] = [["y", y, c.y]];
  free.forEach((x, i) => {
    // Zero everywhere: the place of a nearest neighbour.
    const g = gradients.get(x) ?? b.full({ dtype, dims: x.type?.dims ?? [] }, 0);
    wanted.push([`gradient of ${x.name}`, g, c.gradients[i] as Stored]);
  });
  for (const [, value] of wanted) b.graph.addOutput(value);
  return { graph: b.graph, feeds, wanted };
}

describe("PyTorch's gradients", () => {
  it.each(cases)("$name", async (c) => {
    const exact = emit(c, "float64");
    const values = evaluate(exact.graph, exact.feeds);
    for (const [what, value, { dims, data }] of exact.wanted) {
      expect(values.get(value)?.dims, `${c.name}: shape of ${what}`).toEqual(dims);
      expectClose(values.get(value)?.data as Float64Array, data, 1e-9, `${c.name}: ${what}, reference`);
    }
    const single = emit(c, "float32");
    const session = await nodeRuntime.load(writeGraph(single.graph));
    try {
      const got = await session.run(single.feeds);
      for (const [what, value, { data }] of single.wanted)
        expectClose(got[value.name]?.data as Float32Array, data, 1e-5, `${c.name}: ${what}, ONNX Runtime`);
    } finally {
      await session.release();
    }
  });
});
