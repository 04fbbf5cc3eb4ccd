// Attention, recurrent layers, residual normalisations, interpolation and scattered extrema held to PyTorch's autograd
// (test/fixtures/ops_sequence.py): the emitted gradients in the reference evaluator in float64, and in ONNX Runtime in float32.
import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { vectorJacobianProduct } from "../../src/autodiff/differentiate.ts";
import { type Tensor, tensor } from "../../src/base/tensor.ts";
import { type Attribute, type Attributes, float, int, string, type Value } from "../../src/graph/graph.ts";
import { writeGraph } from "../../src/onnx/write-graph.ts";
import { newBuilder } from "../../src/ops/index.ts";
import { type TargetName, targets } from "../../src/ops/target.ts";
import { nodeRuntime } from "../../src/runtime/ort-node.ts";
import { expectClose } from "../gradient-checker.ts";
import { evaluate } from "../reference/index.ts";
import { emitAll, i64 } from "./emit.ts";

interface Stored {
  readonly dims: number[];
  readonly data: number[];
}

interface Case {
  readonly name: string;
  readonly op: string;
  readonly domain: string;
  readonly opset: number;
  readonly attributes: Record<string, unknown>;
  readonly inputs: (Stored | null)[];
  readonly outputs: number[];
  readonly dys: Stored[];
  readonly ys: Stored[];
  readonly gradients: (Stored | null)[];
}

const cases = JSON.parse(
  readFileSync(new URL("../fixtures/ops-sequence.json", import.meta.url), "utf8"),
) as Case[];

const fractions = ["scale", "epsilon", "cubic_coeff_a"];
function attributesOf(c: Case): Attributes {
  const { sizes: _, indices: __, ...rest } = c.attributes;
  return Object.fromEntries(
    Object.entries(rest).map(([k, v]): [string, Attribute] => {
      if (typeof v === "string") return [k, string(v)];
      return [k, fractions.includes(k) ? float(v as number) : int(v as number)];
    }),
  );
}

/** Inputs that are not floats, where ONNX has them. */
function inputsOf(c: Case, xs: readonly (Value | undefined)[]): readonly (Value | Tensor | undefined)[] {
  if (c.attributes.sizes) return [xs[0], undefined, undefined, i64(...(c.attributes.sizes as number[]))];
  if (c.attributes.indices) {
    const rows = c.attributes.indices as number[][];
    return [xs[0], tensor("int64", rows.flat(), [rows.length, rows[0]!.length]), xs[1]];
  }
  return xs;
}

function emitCase(c: Case, dtype: "float32" | "float64", target: TargetName) {
  const b = newBuilder(c.name, targets[target]);
  const input = (s: Stored, name: string): Value => b.graph.addInput(name, { dtype, dims: s.dims });
  const xs = c.inputs.map((s, i) => (s ? input(s, `x${i}`) : undefined));
  const options = { domain: c.domain, opset: c.opset, outputs: Math.max(...c.outputs) + 1 };
  const all = emitAll(b, c.op, inputsOf(c, xs), attributesOf(c), options);
  const ys = c.outputs.map((i) => all[i] as Value);
  const seeds = ys.map((y, i) => [y, input(c.dys[i] as Stored, `dy${i}`)] as const);
  const wrt = xs.filter((x) => x !== undefined);
  const gradients = vectorJacobianProduct(b, seeds, wrt);
  const outputs: [string, Value, Stored][] = ys.map((y, i) => [`y${i}`, y, c.ys[i] as Stored]);
  c.gradients.forEach((s, i) => {
    if (s) outputs.push([`gradient of input ${i}`, gradients.get(xs[i] as Value) as Value, s]);
  });
  for (const [, v] of outputs) b.graph.addOutput(v);
  const feeds: Record<string, Tensor> = {};
  const feed = (s: Stored | null, name: string): void => {
    if (s)
      feeds[name] = {
        dtype,
        dims: s.dims,
        data: dtype === "float32" ? Float32Array.from(s.data) : Float64Array.from(s.data),
      };
  };
  c.inputs.forEach((s, i) => {
    feed(s, `x${i}`);
  });
  c.dys.forEach((s, i) => {
    feed(s, `dy${i}`);
  });
  return { graph: b.graph, outputs, feeds };
}

it("covers what the fixture is for", () => {
  expect(new Set(cases.map((c) => `${c.domain}.${c.op}`))).toEqual(
    new Set([
      ".Attention",
      "com.microsoft.Attention",
      "com.microsoft.MultiHeadAttention",
      "com.microsoft.SkipLayerNormalization",
      "com.microsoft.SkipSimplifiedLayerNormalization",
      ".LSTM",
      ".GRU",
      ".RNN",
      ".Resize",
      ".ScatterElements",
    ]),
  );
});

describe.each(cases)("$op: $name", (c) => {
  it("is what PyTorch computes, in float64", () => {
    const { graph, outputs, feeds } = emitCase(c, "float64", "standard");
    const values = evaluate(graph, feeds);
    for (const [what, v, wanted] of outputs) {
      expect(values.get(v)!.dims, what).toEqual(wanted.dims);
      // Where a pixel is read is rounded to float32, as ONNX Runtime does.
      const tolerance = c.op === "Resize" ? 1e-6 : 1e-8;
      expectClose(values.get(v)!.data as Float64Array, wanted.data, tolerance, what);
    }
  });

  it.each(["cpu", "webgpu"] as const)(
    "is what PyTorch computes, in float32 in the form for %s",
    async (target) => {
      const { graph, outputs, feeds } = emitCase(c, "float32", target);
      const session = await nodeRuntime.load(writeGraph(graph));
      try {
        const got = await session.run(feeds);
        for (const [what, v, wanted] of outputs)
          expectClose(got[v.name]!.data as Float32Array, wanted.data, 2e-5, what);
      } finally {
        await session.release();
      }
    },
  );
});
