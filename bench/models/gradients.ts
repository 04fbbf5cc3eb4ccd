// The half of a step that gives gradients, compiled and run: on a runtime, or in float64 by the reference evaluator of the
// tests; and one step of plain SGD down them.
import { sizeOf, type Tensor } from "../../src/base/tensor.ts";
import { type CompiledStep, compileStep, names } from "../../src/compile/compile-step.ts";
import { type Pack, unpackTensors } from "../../src/compile/state.ts";
import type { Value } from "../../src/graph/graph.ts";
import type { LossEmission } from "../../src/losses/index.ts";
import type { Model } from "../../src/onnx/model.ts";
import { writeGraph } from "../../src/onnx/write-graph.ts";
import { targets } from "../../src/ops/target.ts";
import { sgd } from "../../src/optim/sgd.ts";
import type { Runtime, Tensors } from "../../src/runtime/session.ts";
import { evaluate } from "../../test/reference/index.ts";
import { norm } from "./tensors.ts";

/** loss = Σ cotangent·output of a student. */
export interface Problem {
  readonly student: Model;
  readonly known: ReadonlyMap<Value, Tensor>;
  /** Name of the output, as rows [N, C]. */
  readonly logits: string;
  /** false: BatchNormalization keeps its running statistics and uses them. */
  readonly trainStatistics: boolean;
  readonly feeds: Tensors;
  readonly cotangent: Tensor;
}

/** By the names of the student's constants. */
export interface Gradients {
  readonly loss: number;
  readonly gradients: ReadonlyMap<string, Tensor>;
  /** Next running statistics. */
  readonly statistics: ReadonlyMap<string, Tensor>;
}

export interface Solution extends Gradients {
  /**
   * By how much a short step of SGD through the compiled update lowers the loss, divided by what the gradient promises,
   * lr·‖gradient‖²: nearly 1.
   */
  readonly descent: number;
}

export interface Seconds {
  compile: number;
  load: number;
  run: number;
}

/** The loss that a step down the gradient takes away, were the loss linear: this share of ‖cotangent‖·‖output‖. */
const stepShare = 1e-3;

/** What the gradient and one step down it are, as a user's run computes them. */
export async function solve(
  problem: Problem,
  runtime: Runtime,
  scale: number,
  seconds: Seconds,
): Promise<Solution> {
  const block = await runtime.convolutionBlock?.();
  const compiled = await timed(seconds, "compile", () => compiledStep(problem, block));
  const session = await timed(seconds, "load", () => runtime.load(writeGraph(compiled.gradients)));
  const feeds = feedsOf(problem, compiled);
  const found = await timed(seconds, "run", () => session.run(feeds));
  const solved = unpacked(compiled, found);
  const gradients = compiled.weights.map((p) => [p.key, found[names.gradient(p.key)] as Tensor] as const);
  const squares = gradients.reduce((sum, [, g]) => sum + norm(g.data as Float32Array) ** 2, 0);
  const rate = (stepShare * scale) / squares;
  const update = await runtime.load(writeGraph(compiled.apply));
  const next = await update.run({
    ...Object.fromEntries(gradients.map(([key, g]) => [names.gradient(key), g])),
    ...Object.fromEntries(gradients.map(([key]) => [names.state(key), feeds[names.state(key)] as Tensor])),
    [names.scalar("lr")]: { dtype: "float32", dims: [], data: Float32Array.of(rate) },
  });
  await update.release();
  const moved = gradients.map(([key]) => [names.state(key), next[names.next(key)] as Tensor]);
  const after = await session.run({ ...feeds, ...Object.fromEntries(moved) }, [names.losses]);
  await session.release();
  const lowered = solved.loss - Number(after[names.losses]?.data[0]);
  return { ...solved, descent: lowered / (rate * squares) };
}

/** The same gradient in float64: what the graph that we emit means, but for rounding. */
export function solveExactly(problem: Problem): Gradients {
  const compiled = compiledStep(problem, undefined);
  const values = evaluate(compiled.gradients, feedsOf(problem, compiled));
  const found = compiled.gradients.outputs.map((v) => {
    const { dims, data } = values.get(v) as Tensor;
    return [v.name, { dtype: "float32", dims, data: Float32Array.from(data as Float64Array) } as Tensor];
  });
  return unpacked(compiled, Object.fromEntries(found));
}

/** The cotangent is fed in the place of a teacher's logits. */
const product: LossEmission = {
  unequalNeurons: () => true,
  emit: ({ b, studentLogits, teacherLogits }) => [
    { name: "product", value: b.reduceSum(b.mul(studentLogits, teacherLogits as Value)) },
  ],
};

function compiledStep(
  { student, known, logits, trainStatistics }: Problem,
  convolutionBlock: number | undefined,
): CompiledStep {
  return compileStep({
    student,
    known,
    logits,
    teacherLogits: true,
    labels: false,
    taps: [],
    loss: product,
    optimizer: sgd({ momentum: 0 }),
    freeze: [],
    trainStatistics,
    target: targets.cpu,
    convolutionBlock,
  });
}

/** Everything that the half takes: data, the cotangent as rows, dropout that keeps all, state as it begins. */
function feedsOf({ feeds, cotangent }: Problem, compiled: CompiledStep): Record<string, Tensor> {
  const [batch] = compiled.logitsShape as [number];
  const rows: Tensor = { ...cotangent, dims: [batch, sizeOf(cotangent.dims) / batch] };
  const masks = compiled.masks.map(({ input, type }) => {
    const ones = new Float32Array(sizeOf(type.dims)).fill(1);
    return [input, { ...type, data: ones } as Tensor];
  });
  const state = [...compiled.weights, ...compiled.statistics].map((p) => {
    const data = compiled.initial.get(p.key) as Float32Array;
    return [names.state(p.key), { dtype: "float32", dims: [data.length], data } as Tensor];
  });
  return {
    ...feeds,
    ...Object.fromEntries([...masks, ...state]),
    [names.teacherLogits]: rows,
  };
}

function unpacked(compiled: CompiledStep, found: Tensors): Gradients {
  const all = (packs: readonly Pack[], name: (key: string) => string): Map<string, Tensor> =>
    new Map(packs.flatMap((p) => [...unpackTensors(p, found[name(p.key)]?.data as Float32Array)]));
  return {
    loss: Number(found[names.losses]?.data[0]),
    gradients: all(compiled.weights, names.gradient),
    statistics: all(compiled.statistics, names.next),
  };
}

/** Adds to `seconds[what]` how long the work took. */
export async function timed<K extends string, T>(
  seconds: Record<K, number>,
  what: K,
  work: () => T | Promise<T>,
): Promise<T> {
  const start = performance.now();
  const result = await work();
  seconds[what] += (performance.now() - start) / 1000;
  return result;
}
