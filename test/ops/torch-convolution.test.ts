// Convolutions and pools held to PyTorch's autograd (test/fixtures/ops_conv.py), ties of maxima included: the emitted
// gradients in the reference evaluator in float64, and in ONNX Runtime in float32.
import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { vectorJacobianProduct } from "../../src/autodiff/differentiate.ts";
import { type Tensor, tensor } from "../../src/base/tensor.ts";
import { type Attributes, int, ints, type Value } from "../../src/graph/graph.ts";
import { writeGraph } from "../../src/onnx/write-graph.ts";
import { newBuilder } from "../../src/ops/index.ts";
import { type TargetName, targets } from "../../src/ops/target.ts";
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
  readonly attributes: Record<string, number | number[]>;
  readonly inputs: Stored[];
  readonly dy: Stored;
  readonly y: Stored;
  readonly gradients: Stored[];
}

const cases = JSON.parse(
  readFileSync(new URL("../fixtures/ops-conv.json", import.meta.url), "utf8"),
) as Case[];

function emit(c: Case, dtype: "float32" | "float64", target: TargetName) {
  const b = newBuilder(c.name, targets[target]);
  const attributes: Attributes = Object.fromEntries(
    Object.entries(c.attributes).map(([k, v]) => [k, typeof v === "number" ? int(v) : ints(v)]),
  );
  const xs = c.inputs.map(({ dims }, i) => b.graph.addInput(`x${i}`, { dtype, dims }));
  const dy = b.graph.addInput("dy", { dtype, dims: c.dy.dims });
  const y = emitOp(b, c.op, xs, attributes)[0] as Value;
  const gradients = vectorJacobianProduct(b, [[y, dy]], xs);
  const wanted: [string, Value, Stored][] = [["y", y, c.y]];
  xs.forEach((x, i) => {
    wanted.push([`gradient of input ${i}`, gradients.get(x) as Value, c.gradients[i] as Stored]);
  });
  for (const [, value] of wanted) b.graph.addOutput(value);
  const feeds: Record<string, Tensor> = { dy: tensor(dtype, c.dy.data, c.dy.dims) };
  c.inputs.forEach((x, i) => {
    feeds[`x${i}`] = tensor(dtype, x.data, x.dims);
  });
  return { graph: b.graph, feeds, wanted };
}

describe.each(["cpu", "standard", "webgpu"] as const)("PyTorch's gradients, for the target %s", (target) => {
  it.each(cases)("$name", async (c) => {
    const exact = emit(c, "float64", target);
    const values = evaluate(exact.graph, exact.feeds);
    for (const [what, value, { dims, data }] of exact.wanted) {
      expect(values.get(value)?.dims, `${c.name}: shape of ${what}`).toEqual(dims);
      expectClose(values.get(value)?.data as Float64Array, data, 1e-9, `${c.name}: ${what}, reference`);
    }
    const single = emit(c, "float32", target);
    const session = await nodeRuntime.load(writeGraph(single.graph));
    try {
      const got = await session.run(single.feeds);
      for (const [what, value, { data }] of single.wanted)
        expectClose(got[value.name]?.data as Float32Array, data, 2e-6, `${c.name}: ${what}, ONNX Runtime`);
    } finally {
      await session.release();
    }
  });
});
