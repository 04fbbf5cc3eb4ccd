// A strategy's loss as the training step has it: emitted, differentiated, evaluated in float64 by the reference and in
// float32 by ONNX Runtime. For comparison with the same strategy on arrays.
import { differentiate } from "../../src/autodiff/differentiate.ts";
import { type Tensor, tensor } from "../../src/base/tensor.ts";
import { typeOf, type Value } from "../../src/graph/graph.ts";
import { emissionOf } from "../../src/losses/index.ts";
import { type LossState, oneHotRows } from "../../src/losses/terms.ts";
import { writeGraph } from "../../src/onnx/write-graph.ts";
import type { Builder } from "../../src/ops/builder.ts";
import { newBuilder } from "../../src/ops/index.ts";
import { type TargetName, targets } from "../../src/ops/target.ts";
import { nodeRuntime } from "../../src/runtime/ort-node.ts";
import type { AnyStrategy } from "../../src/strategies/index.ts";
import { testRandom } from "../gradient-checker.ts";
import { evaluate } from "../reference/index.ts";

export interface LossInputs {
  readonly student: Tensor;
  readonly teacher?: Tensor | undefined;
  /** Distributions or targets; or int32 [R], class indices. */
  readonly labels?: Tensor | undefined;
  readonly rowWeights?: Tensor | undefined;
  /** Activations of the tap "layer". */
  readonly studentTap?: Tensor | undefined;
  readonly teacherTap?: Tensor | undefined;
}

export interface Emitted {
  readonly terms: readonly string[];
  /** In the order of `terms`. */
  readonly values: readonly number[];
  /** With respect to the student's logits; undefined where the loss does not depend on them. */
  readonly gradient: ArrayLike<number> | undefined;
  readonly tapGradient: ArrayLike<number> | undefined;
}

/** For losses that keep no state of their own. */
export const stateless: LossState = {
  parameter: (name) => {
    throw new Error(`unexpected parameter ${name}`);
  },
  variable: (name) => {
    throw new Error(`unexpected variable ${name}`);
  },
};

/** Variables of a loss: what each holds before the step (else its initial value), and what the step left in it. */
export class Variables {
  readonly values = new Map<string, Float32Array>();
  /** As the emission declares them, with the values that they are assigned. */
  readonly assigned = new Map<string, Value>();

  state(b: Builder, feeds: Record<string, Tensor>): LossState {
    return {
      ...stateless,
      variable: (name, initial) => {
        const data = this.values.get(name) ?? Float32Array.from(initial.data as Float32Array);
        this.values.set(name, data);
        feeds[name] = { dtype: "float32", dims: initial.dims, data };
        const value = b.graph.addInput(name, { dtype: "float32", dims: initial.dims });
        return { value, assign: (next) => void this.assigned.set(name, next) };
      },
    };
  }
}

/** The emitted loss of `strategy` on `inputs` (given in float64), computed in `dtype`. */
export async function emitted(
  strategy: AnyStrategy,
  inputs: LossInputs,
  dtype: "float32" | "float64",
  target: TargetName = "cpu",
  variables?: Variables,
): Promise<Emitted> {
  const b = newBuilder("loss", targets[target]);
  const feeds: Record<string, Tensor> = {};
  const input = (name: keyof LossInputs): Value | undefined => {
    const t = inputs[name];
    if (!t) return undefined;
    const own = t.dtype === "int32" ? t.dtype : dtype;
    feeds[name] = tensor(own, Array.from(t.data as ArrayLike<number>), [...t.dims]);
    return b.graph.addInput(name, { dtype: own, dims: t.dims });
  };
  const studentLogits = input("student") as Value;
  const labels = input("labels");
  const labelIndices = labels && typeOf(labels).dtype === "int32" ? labels : undefined;
  const context = {
    b,
    state: variables?.state(b, feeds) ?? stateless,
    studentLogits,
    teacherLogits: input("teacher"),
    labels: labelIndices ? oneHotRows(b, labelIndices, typeOf(studentLogits)) : labels,
    labelIndices,
    rowWeights: input("rowWeights"),
  };
  const [own, other] = [input("studentTap"), input("teacherTap")];
  const taps = own && other ? [{ name: "layer", student: own, teacher: other }] : [];
  const terms = emissionOf(strategy)?.emit({ ...context, taps }) ?? [];
  const loss = terms.map((t) => t.value).reduce((a, c) => b.add(a, c));
  const wrt = own ? [studentLogits, own] : [studentLogits];
  const gradients = differentiate(b, loss, wrt);
  const wanted = [...terms.map((t) => t.value), ...wrt.map((x) => gradients.get(x))];
  const assigned = [...(variables?.assigned ?? [])];
  for (const v of new Set([...wanted, ...assigned.map(([, next]) => next)])) if (v) b.graph.addOutput(v);
  for (const x of wrt) {
    const g = gradients.get(x);
    if (g && typeOf(g).dtype !== dtype) throw new Error("the gradient changed its type");
  }
  let read: (v: Value) => ArrayLike<number>;
  if (dtype === "float64") {
    const all = evaluate(b.graph, feeds);
    read = (v) => all.get(v)?.data as Float64Array;
  } else {
    const session = await nodeRuntime.load(writeGraph(b.graph));
    const out = await session.run(Object.fromEntries(session.inputs.map((i) => [i.name, feeds[i.name]!])));
    await session.release();
    read = (v) => out[v.name]?.data as Float32Array;
  }
  const of = (v: Value | undefined) => v && read(v);
  for (const [name, next] of assigned) variables?.values.set(name, Float32Array.from(read(next)));
  return {
    terms: terms.map((t) => t.name),
    values: terms.map((t) => Number(read(t.value)[0])),
    gradient: of(gradients.get(studentLogits)),
    tapGradient: own && of(gradients.get(own)),
  };
}

/** Uniform in [low, high), float32 numbers in a float64 tensor. */
export function draw(seed: number, dims: readonly number[], low = -2, high = 2): Tensor {
  const random = testRandom(seed);
  const size = dims.reduce((a, c) => a * c, 1);
  return tensor(
    "float64",
    Array.from({ length: size }, () => Math.fround(low + (high - low) * random())),
    [...dims],
  );
}

/** Rows that sum to 1. */
export function distributions(seed: number, rows: number, columns: number): Tensor {
  const data = Array.from(draw(seed, [rows, columns], 0.05, 1).data as Float64Array);
  for (let r = 0; r < rows; r++) {
    const row = data.slice(r * columns, (r + 1) * columns);
    const total = row.reduce((a, v) => a + v, 0);
    row.forEach((v, c) => {
      data[r * columns + c] = v / total;
    });
  }
  return tensor("float64", data, [rows, columns]);
}
