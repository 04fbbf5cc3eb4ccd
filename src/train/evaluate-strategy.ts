// The value and the gradient of any strategy on one batch of data: by the graph where it has one, on arrays where not. For
// looking at a loss, and for testing one of one's own.

import { differentiate } from "../autodiff/differentiate.ts";
import { checkKeys, DistillError } from "../base/errors.ts";
import { sizeOf, type Tensor } from "../base/tensor.ts";
import { names } from "../compile/compile-step.ts";
import type { Value } from "../graph/graph.ts";
import { splitStrategy } from "../losses/index.ts";
import { exactLoss } from "../losses/infinite.ts";
import type { LossState } from "../losses/terms.ts";
import { writeGraph } from "../onnx/write-graph.ts";
import { newBuilder } from "../ops/index.ts";
import { targets } from "../ops/target.ts";
import type { Runtime } from "../runtime/session.ts";
import type { AnyStrategy, Progress } from "../strategies/index.ts";
import { AT_START } from "../strategies/weight-schedule.ts";
import { allLosses, arrayLoss, seeded, withSeeds } from "./array-strategy.ts";

/** One batch; every tensor is float32. */
export interface StrategyInputs {
  /** `[R, C]` */
  readonly studentLogits: Tensor;
  /** `[R, C]` */
  readonly teacherLogits: Tensor;
  /** `[R, C]`: one-hot or soft rows. */
  readonly labels?: Tensor | undefined;
  /** Values of both sides by tap name. */
  readonly taps?: Readonly<Record<string, { readonly student: Tensor; readonly teacher: Tensor }>>;
}

export interface StrategyValue {
  readonly loss: number;
  /** By term, without `loss/` before it; they add up to the loss. */
  readonly terms: Readonly<Record<string, number>>;
  /** By the student's logits, of their shape. */
  readonly gradient: Tensor;
  /** By the student's value of each tap. */
  readonly tapGradients: Readonly<Record<string, Tensor>>;
}

export interface EvaluateStrategyOptions {
  /** How far the run is, for weights that move; default: at its first step. */
  readonly progress?: Progress;
  /** Default: onnxruntime-node. */
  readonly runtime?: Runtime;
}

/**
 * Loss, terms and gradients of a strategy on one batch, as the training step has them (in float32).
 *
 * Errors: those of the strategy; `E_OPTION` for a loss without a term, or one that learns parameters of its own, which exist
 * in a run only.
 *
 * @example
 * ```ts
 * import { evaluateStrategy, ResponseDistillationStrategy, tensor } from "onnx-distill";
 *
 * const { terms } = await evaluateStrategy(new ResponseDistillationStrategy({ temperature: 1 }), {
 *   studentLogits: tensor("float32", [0, 0], [1, 2]),
 *   teacherLogits: tensor("float32", [0, 0], [1, 2]),
 *   labels: tensor("float32", [1, 0], [1, 2]),
 * });
 * Object.keys(terms); // => ["hard", "soft"]
 * ```
 */
export async function evaluateStrategy(
  strategy: AnyStrategy,
  inputs: StrategyInputs,
  options: EvaluateStrategyOptions = {},
): Promise<StrategyValue> {
  checkKeys("evaluateStrategy", options, ["progress", "runtime"]);
  const { progress = AT_START } = options;
  const taps = Object.entries(inputs.taps ?? {});
  const given = { ...inputs, taps: undefined } as Record<string, Tensor | undefined>;
  for (const [name, pair] of taps)
    Object.assign(given, { [`taps.${name}.student`]: pair.student, [`taps.${name}.teacher`]: pair.teacher });
  for (const [name, t] of Object.entries(given))
    if (t && t.dtype !== "float32")
      throw new DistillError(
        "E_ARGUMENT",
        `evaluateStrategy: ${name} is ${t.dtype}, expected float32; convert it first`,
      );
  const { emission, onArrays } = splitStrategy(strategy);
  const arrays =
    onArrays.length === 0
      ? undefined
      : arrayLoss(onArrays, {
          student: outputs(inputs.studentLogits, taps, "student"),
          teacher: outputs(inputs.teacherLogits, taps, "teacher"),
          feeds: inputs.labels ? { [names.labels]: inputs.labels } : {},
          progress,
        });
  const b = newBuilder("strategy", targets.cpu);
  const feeds: Record<string, Tensor> = { ...arrays?.seeds };
  const input = (name: string, t: Tensor): Value => {
    feeds[name] = t;
    return b.graph.addInput(name, { dtype: "float32", dims: t.dims });
  };
  const studentLogits = input("student/logits", inputs.studentLogits);
  const pairs = taps.map(([name, { student, teacher }]) => ({
    name,
    student: input(`student/tap/${name}`, student),
    teacher: input(names.teacherTap(name), teacher),
  }));
  const terms = (arrays ? (emission ? withSeeds(emission) : seeded) : emission)?.emit({
    b,
    state: noState,
    studentLogits,
    teacherLogits: input(names.teacherLogits, inputs.teacherLogits),
    labels: inputs.labels && input(names.labels, inputs.labels),
    taps: pairs,
  });
  if (!terms || terms.length === 0)
    throw new DistillError(
      "E_OPTION",
      "evaluateStrategy: the loss has no term; is a weight 0, or a tap missing?",
    );
  const weighted = terms.map((t) => ({ name: t.name, value: b.scale(t.value, t.factor?.(progress) ?? 1) }));
  const loss = weighted.map((t) => t.value).reduce((a, c) => b.add(a, c));
  const wrt = [studentLogits, ...pairs.map((p) => p.student)];
  const found = differentiate(b, loss, wrt);
  const wanted = new Set(
    [loss, ...weighted.map((t) => t.value), ...found.values()].filter((v) => v !== undefined),
  );
  for (const v of wanted) b.graph.addOutput(v);
  b.graph.prune();
  const runtime = options.runtime ?? (await import("../runtime/ort-node.ts")).nodeRuntime;
  const session = await runtime.load(writeGraph(b.graph));
  try {
    const out = await session.run(
      Object.fromEntries(session.inputs.map((i) => [i.name, feeds[i.name] as Tensor])),
    );
    const read = (v: Value): Tensor => out[v.name] as Tensor;
    const number = (v: Value): number => exactLoss(Number(read(v).data[0]));
    const gradientBy = (x: Value, like: Tensor): Tensor => {
      const g = found.get(x);
      return g ? read(g) : { dtype: "float32", dims: like.dims, data: new Float32Array(sizeOf(like.dims)) };
    };
    const emitted = Object.fromEntries(weighted.map((t) => [`loss/${t.name}`, number(t.value)]));
    const { loss: sum, ...all } = allLosses({ loss: number(loss), ...emitted }, arrays);
    return {
      loss: sum as number,
      terms: Object.fromEntries(Object.entries(all).map(([name, v]) => [name.slice("loss/".length), v])),
      gradient: gradientBy(studentLogits, inputs.studentLogits),
      tapGradients: Object.fromEntries(
        pairs.map((p, i) => [p.name, gradientBy(p.student, (taps[i] as (typeof taps)[number])[1].student)]),
      ),
    };
  } finally {
    await session.release();
  }
}

type TapEntry = readonly [string, { readonly student: Tensor; readonly teacher: Tensor }];

function outputs(logits: Tensor, taps: readonly TapEntry[], side: "student" | "teacher") {
  return { logits, taps: Object.fromEntries(taps.map(([name, pair]) => [name, pair[side]])) };
}

function ofRunOnly(name: string): never {
  throw new DistillError(
    "E_OPTION",
    `evaluateStrategy: the loss keeps "${name}" from step to step, which exists in a run only`,
  );
}

const noState: LossState = { parameter: ofRunOnly, variable: ofRunOnly };
