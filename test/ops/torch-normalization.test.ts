// Normalisations, activations and reductions held to PyTorch's autograd (test/fixtures/ops_normalization.py), kinks included:
// the emitted gradients in the reference evaluator in float64, and in ONNX Runtime in float32.
import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { vectorJacobianProduct } from "../../src/autodiff/differentiate.ts";
import type { Tensor } from "../../src/base/tensor.ts";
import {
  type Attribute,
  type Attributes,
  float,
  int,
  ints,
  string,
  type Value,
} from "../../src/graph/graph.ts";
import { writeGraph } from "../../src/onnx/write-graph.ts";
import { newBuilder } from "../../src/ops/index.ts";
import { type TargetName, targets } from "../../src/ops/target.ts";
import { nodeRuntime } from "../../src/runtime/ort-node.ts";
import { expectClose } from "../gradient-checker.ts";
import { evaluate } from "../reference/index.ts";
import { emit } from "./emit.ts";

interface Stored {
  readonly dims: number[];
  readonly data: number[];
}

interface Case {
  readonly name: string;
  readonly op: string;
  readonly attributes: Record<string, number | number[] | string>;
  readonly inputs: Stored[];
  readonly dy: Stored;
  readonly y: Stored;
  readonly gradients: (Stored | null)[];
  /** Running mean and variance, before and after the training step. */
  readonly before?: Stored[];
  readonly after?: Stored[];
}

const cases = JSON.parse(
  readFileSync(new URL("../fixtures/ops-normalization.json", import.meta.url), "utf8"),
) as Case[];

const whole = ["axis", "num_groups", "size", "keepdims"];
function attribute(name: string, value: number | number[] | string): Attribute {
  if (typeof value === "string") return string(value);
  if (typeof value !== "number") return ints(value);
  return whole.includes(name) ? int(value) : float(value);
}

/** Opsets whose spelling the fixture's attributes are. */
const opsets: Record<string, number> = {
  Clip: 10,
  RMSNormalization: 23,
  ReduceMax: 13,
  ReduceMin: 13,
  ReduceL1: 13,
  ReduceL2: 13,
  ReduceProd: 13,
};

function emitCase(c: Case, dtype: "float32" | "float64", target: TargetName) {
  const b = newBuilder(c.name, targets[target]);
  const attributes: Attributes = Object.fromEntries(
    Object.entries(c.attributes).map(([k, v]) => [k, attribute(k, v)]),
  );
  const input = ({ dims }: Stored, name: string): Value => b.graph.addInput(name, { dtype, dims });
  const xs = c.inputs.map((s, i) => input(s, `x${i}`));
  const running = (c.before ?? []).map((s, i) => input(s, `running${i}`));
  const dy = input(c.dy, "dy");
  let updates: Value[] = [];
  const y = emit(b, c.op, [...xs, ...running], attributes, {
    opset: opsets[c.op] ?? 21,
    hooks: {
      dropoutMask: () => undefined,
      runningStatistics: () =>
        c.after && {
          update: (...now) => {
            updates = now;
          },
        },
    },
  });
  const wrt = xs.filter((_, i) => c.gradients[i]);
  const gradients = vectorJacobianProduct(b, [[y, dy]], wrt);
  const results: [string, Value, Stored][] = [
    ["y", y, c.y],
    ...wrt.map((x): [string, Value, Stored] => [
      `gradient of ${x.name}`,
      gradients.get(x) as Value,
      c.gradients[xs.indexOf(x)] as Stored,
    ]),
    ...updates.map((u, i): [string, Value, Stored] => [`running ${i}`, u, c.after?.[i] as Stored]),
  ];
  expect(updates.length).toBe(c.after?.length ?? 0);
  for (const [, v] of results) b.graph.addOutput(v);
  const feeds: Record<string, Tensor> = {};
  const feed = (name: string, s: Stored): void => {
    const data = dtype === "float32" ? Float32Array.from(s.data) : Float64Array.from(s.data);
    feeds[name] = { dtype, dims: s.dims, data };
  };
  c.inputs.forEach((s, i) => {
    feed(`x${i}`, s);
  });
  c.before?.forEach((s, i) => {
    feed(`running${i}`, s);
  });
  feed("dy", c.dy);
  return { graph: b.graph, results, feeds };
}

// Attributes are float32 in ONNX: an ε of 1e-5 or a slope of 1/6 is not what PyTorch computed with to 1e-7 of itself.
const exact = 2e-7;

describe.each(cases.map((c) => [c.name, c] as const))("%s", (_, c) => {
  for (const target of ["cpu", "webgpu"] as const) {
    it(`is PyTorch's in float64 [${target}]`, () => {
      const { graph, results, feeds } = emitCase(c, "float64", target);
      const values = evaluate(graph, feeds);
      for (const [what, v, wanted] of results) {
        expect(v.type?.dims, what).toEqual(wanted.dims);
        expectClose(values.get(v)?.data as Float64Array, wanted.data, exact, `${c.name}, ${what}`);
      }
    });
    it(`is PyTorch's in ONNX Runtime in float32 [${target}]`, async () => {
      const { graph, results, feeds } = emitCase(c, "float32", target);
      const session = await nodeRuntime.load(writeGraph(graph));
      try {
        const got = await session.run(feeds);
        for (const [what, v, wanted] of results)
          expectClose(got[v.name]?.data as Float32Array, wanted.data, 1e-5, `${c.name}, ${what}`);
      } finally {
        await session.release();
      }
    });
  }
});
