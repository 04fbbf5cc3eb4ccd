// The one gradient checker, for ops and losses alike (float64 reference, central differences, non-uniform cotangent).
//
// A sample says how to build y = f(x…) with a Builder. The checker makes the graph in float64, asks autodiff for every
// input's gradient, evaluates both with the reference evaluator, and compares with central differences of the
// reference value. It then runs the same graph in float32 in ONNX Runtime and holds values and gradients to the float64 ones.
import { expect } from "vitest";
import { differentiate } from "../src/autodiff/differentiate.ts";
import { sizeOf, type Tensor } from "../src/base/tensor.ts";
import { typeOf, type Value } from "../src/graph/graph.ts";
import { writeGraph } from "../src/onnx/write-graph.ts";
import type { Builder } from "../src/ops/builder.ts";
import { newBuilder } from "../src/ops/index.ts";
import { type TargetName, targets } from "../src/ops/target.ts";
import { nodeRuntime } from "../src/runtime/ort-node.ts";
import { evaluate } from "./reference/index.ts";

export interface InputSpec {
  readonly dims: readonly number[];
  /** Uniform in [low, high]; default [-2, 2]. */
  readonly low?: number;
  readonly high?: number;
  /** Kinks: elements nearer than 0.02 to one of these are moved away. */
  readonly kinks?: readonly number[];
  /** Given values instead of random ones. */
  readonly values?: readonly number[];
  /** Elements all differ by at least 0.01 (for maxima). */
  readonly distinct?: boolean;
  /** This input is not to be differentiated. */
  readonly constant?: boolean;
}

export interface Sample {
  readonly name: string;
  readonly inputs: readonly InputSpec[];
  readonly build: (b: Builder, ...xs: Value[]) => Value | readonly Value[];
  /** Relative tolerance of gradient against central differences; default 1e-6. A looser one needs a reason beside it. */
  readonly tolerance?: number;
  /** Relative tolerance of ONNX Runtime in float32 against the reference; default 1e-4. */
  readonly tolerance32?: number;
  /** The function whose differences are taken, where the gradient is a surrogate's on purpose. */
  readonly surrogate?: (b: Builder, ...xs: Value[]) => Value | readonly Value[];
  /** Piecewise constant or undefined gradients: only check that ONNX Runtime agrees with the reference. */
  readonly forwardOnly?: boolean;
}

/** mulberry32: tests have a generator of their own, so that no product code checks itself. */
export function testRandom(seed: number): () => number {
  let s = seed >>> 0;
  return () => {
    s = (s + 0x6d2b79f5) >>> 0;
    let t = Math.imul(s ^ (s >>> 15), 1 | s);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

function drawInput(spec: InputSpec, random: () => number): Float64Array {
  const n = sizeOf(spec.dims);
  if (spec.values) return Float64Array.from(spec.values);
  const low = spec.low ?? -2;
  const high = spec.high ?? 2;
  if (spec.distinct) {
    const order = Array.from({ length: n }, (_, i) => i);
    for (let i = n - 1; i > 0; i--) {
      const j = Math.floor(random() * (i + 1));
      [order[i], order[j]] = [order[j] as number, order[i] as number];
    }
    return Float64Array.from(order, (k) => low + ((high - low) * (k + 0.2 + 0.6 * random())) / n);
  }
  return Float64Array.from({ length: n }, () => {
    let v = low + (high - low) * random();
    for (const kink of spec.kinks ?? []) if (Math.abs(v - kink) < 0.02) v = kink + (v < kink ? -0.05 : 0.05);
    return Math.fround(v);
  });
}

interface Built {
  readonly b: Builder;
  readonly xs: Value[];
  readonly loss: Value;
  readonly ys: readonly Value[];
  readonly gradients: Map<Value, Value | undefined>;
}

function build(
  sample: Sample,
  dtype: "float32" | "float64",
  target: TargetName,
  cotangents: Map<number, Float64Array>,
  withGradients: boolean,
  f = sample.build,
): Built {
  const b = newBuilder(sample.name, targets[target]);
  const xs = sample.inputs.map((spec, i) => b.graph.addInput(`x${i}`, { dtype, dims: spec.dims }));
  const made = f(b, ...xs);
  const ys = Array.isArray(made) ? (made as readonly Value[]) : [made as Value];
  const terms = ys.map((y, i) => {
    const { dims, dtype: own } = typeOf(y);
    const data = cotangents.get(i) as Float64Array;
    const c = b.graph.addInput(`c${i}`, { dtype, dims });
    if (data.length !== sizeOf(dims)) throw new Error("cotangent size");
    return b.reduceSum(b.mul(own === dtype ? y : b.cast(y, dtype), c));
  });
  const loss = terms.reduce((a, c) => b.add(a, c));
  const wrt = xs.filter((_, i) => !sample.inputs[i]?.constant);
  const gradients = withGradients ? differentiate(b, loss, wrt) : new Map<Value, Value | undefined>();
  for (const y of ys) b.graph.addOutput(y);
  b.graph.addOutput(loss);
  for (const g of gradients.values()) if (g) b.graph.addOutput(g);
  return { b, xs, loss, ys, gradients };
}

const asTensor = (dtype: "float32" | "float64", dims: readonly number[], data: Float64Array): Tensor => ({
  dtype,
  dims,
  data: dtype === "float32" ? Float32Array.from(data) : data,
});

/** Checks one sample; `target` chooses which form is emitted. */
export async function checkSample(sample: Sample, seed: number, target: TargetName = "cpu"): Promise<void> {
  const random = testRandom(seed);
  const inputs = sample.inputs.map((spec) => drawInput(spec, random));
  // Shapes of the outputs are known once built; cotangents are drawn generously and cut to size.
  const probe = newBuilder(sample.name, targets[target]);
  const probed = sample.build(
    probe,
    ...sample.inputs.map((s, i) => probe.graph.addInput(`x${i}`, { dtype: "float64", dims: s.dims })),
  );
  const shapes = (Array.isArray(probed) ? (probed as readonly Value[]) : [probed as Value]).map(
    (y) => typeOf(y).dims,
  );
  const cotangents = new Map(
    shapes.map((dims, i) => [
      i,
      Float64Array.from({ length: sizeOf(dims) }, () =>
        Math.fround(0.3 + random() * (random() < 0.5 ? -1.5 : 1.5)),
      ),
    ]),
  );
  const feeds = (dtype: "float32" | "float64", at: readonly Float64Array[]): Record<string, Tensor> => {
    const out: Record<string, Tensor> = {};
    sample.inputs.forEach((s, i) => {
      out[`x${i}`] = asTensor(dtype, s.dims, at[i] as Float64Array);
    });
    shapes.forEach((dims, i) => {
      out[`c${i}`] = asTensor(dtype, dims, cotangents.get(i) as Float64Array);
    });
    return out;
  };
  const label = `${sample.name} [${target}, seed ${seed}]`;
  const exact = build(sample, "float64", target, cotangents, !sample.forwardOnly);
  const values = evaluate(exact.b.graph, feeds("float64", inputs));
  const plain = build(sample, "float64", target, cotangents, false, sample.surrogate ?? sample.build);
  const lossAt = (at: readonly Float64Array[]): number =>
    Number(evaluate(plain.b.graph, feeds("float64", at)).get(plain.loss)?.data[0]);

  if (!sample.forwardOnly) {
    const tolerance = sample.tolerance ?? 1e-6;
    exact.xs.forEach((x, i) => {
      if (sample.inputs[i]?.constant) return;
      const g = exact.gradients.get(x);
      const n = sizeOf(sample.inputs[i]?.dims ?? []);
      const got = g ? (values.get(g)?.data as Float64Array) : new Float64Array(n);
      if (g)
        expect(typeOf(g).dims, `${label}: shape of the gradient of input ${i}`).toEqual(
          sample.inputs[i]?.dims,
        );
      expect(got.length, `${label}: elements of the gradient of input ${i}`).toBe(n);
      const wanted = new Float64Array(n);
      const h = 1e-5;
      for (let k = 0; k < n; k++) {
        const shifted = (d: number): number => {
          const at = inputs.map((a, j) => (j === i ? a.slice() : a));
          (at[i] as Float64Array)[k]! += d;
          return lossAt(at);
        };
        // Fourth-order central difference.
        wanted[k] = (8 * (shifted(h) - shifted(-h)) - (shifted(2 * h) - shifted(-2 * h))) / (12 * h);
      }
      expectClose(got, wanted, tolerance, `${label}: gradient of input ${i} against central differences`);
    });
  }

  const single = build(sample, "float32", target, cotangents, !sample.forwardOnly);
  const session = await nodeRuntime.load(writeGraph(single.b.graph));
  try {
    const got = await session.run(feeds("float32", inputs));
    const pairs: [string, Value, Value][] = [];
    single.ys.forEach((y, i) => {
      pairs.push([`output ${i}`, y, exact.ys[i] as Value]);
    });
    single.xs.forEach((x, i) => {
      const g = single.gradients.get(x);
      const e = exact.gradients.get(exact.xs[i] as Value);
      if (g && e) pairs.push([`gradient of input ${i}`, g, e]);
    });
    for (const [what, y, e] of pairs)
      expectClose(
        got[y.name]?.data as Float32Array,
        values.get(e)?.data as Float64Array,
        sample.tolerance32 ?? 1e-4,
        `${label}: ${what}, ONNX Runtime in float32 against the reference`,
      );
  } finally {
    await session.release();
  }
}

/** |a − e| ≤ tolerance · (max|e| or 1e-3, whichever is more); names the worst element. */
export function expectClose(
  actual: ArrayLike<number>,
  wanted: ArrayLike<number>,
  tolerance: number,
  what: string,
): void {
  expect(actual.length, `${what}: number of elements`).toBe(wanted.length);
  let scale = 1e-3;
  for (let i = 0; i < wanted.length; i++) scale = Math.max(scale, Math.abs(Number(wanted[i])));
  let worst = -1;
  let at = -1;
  for (let i = 0; i < wanted.length; i++) {
    const d = Math.abs(Number(actual[i]) - Number(wanted[i])) / scale;
    if (!(d <= worst)) {
      worst = d;
      at = i;
      if (Number.isNaN(d)) break;
    }
  }
  if (at >= 0 && !(worst <= tolerance))
    expect.fail(
      `${what}: worst at element ${at}: got ${actual[at]}, wanted ${wanted[at]} (relative ${worst.toExponential(2)}, allowed ${tolerance})`,
    );
}
