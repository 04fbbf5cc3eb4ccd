// Student + loss + optimizer -> one training step as a plain ONNX graph, and the same in two halves.
//
// step:       data, state, scalars -> loss terms, next state
// gradients:  data, weights, statistics -> loss terms, gradients, next statistics
// apply:      gradients, weights, slots, scalars -> next weights, next slots

import { isFloat, type Shape } from "../base/tensor.ts";
import { type Graph, type Node, typeOf, type Value } from "../graph/graph.ts";
import type { Builder } from "../ops/builder.ts";
import { newBuilder } from "../ops/index.ts";
import type { Optimizer } from "../optim/optimizer.ts";
import type { OutputReading } from "../tasks/index.ts";
import { Auxiliary, type AuxiliaryPack } from "./auxiliary.ts";
import { blockConvolutions } from "./block-convolutions.ts";
import type { CompileOptions } from "./compile-options.ts";
import { emitApply, scalarInputs } from "./emit-apply.ts";
import { averageKey, emitAverage } from "./emit-average.ts";
import { emitGradients } from "./emit-gradients.ts";
import type { ScheduledFactor } from "./emit-loss.ts";
import { type DropoutMask, emitStudent } from "./emit-student.ts";
import type { Front } from "./front.ts";
import { auxiliarySettings, type ParameterGroup } from "./parameter-groups.ts";
import { planStep, type StepPlan, withoutTraining } from "./plan-step.ts";
import type { ConstantEntry } from "./role-table.ts";
import { type Pack, packTensors } from "./state.ts";
import { addOutput, names, slotKey, studentName, vector } from "./step-names.ts";

export { valueNamed } from "./check-taps.ts";
export type { CompileOptions, CompileTap } from "./compile-options.ts";
export type { ScheduledFactor } from "./emit-loss.ts";
export type { DropoutMask } from "./emit-student.ts";
export { names, slotKey, studentName } from "./step-names.ts";

export interface CompiledStep {
  readonly step: Graph;
  readonly gradients: Graph;
  readonly apply: Graph;
  /** Where gradients are added up over batches: `gradients` that are added, times a share, to those before. */
  readonly accumulate: (() => Graph) | undefined;
  /** The student's training-form forward pass alone: rows of logits, and taps, as outputs under `names.forward…`. */
  readonly forward: () => Graph;
  /** The same with every floating-point value that a node of the student gives as an output, in order: to find what went wrong. */
  readonly observed: () => Observed;
  readonly weights: readonly Pack[];
  readonly statistics: readonly Pack[];
  /** Trained parameters and carried variables of the loss: state that is no part of the student. */
  readonly auxiliary: { readonly parameters: readonly Pack[]; readonly variables: readonly Pack[] };
  readonly optimizer: Optimizer;
  /** Groups of weights with a learning rate of their own; and whether any has the run's. */
  readonly rates: readonly (ParameterGroup | undefined)[];
  /** Decay of the moving average that the state holds of all that is trained and of statistics, by `averageKey`; undefined: it holds none. */
  readonly averageWeights: number | undefined;
  /** Names of the terms in output `losses`, the whole loss first. */
  readonly terms: readonly string[];
  /** Weights of terms that move over the run. */
  readonly scheduled: readonly ScheduledFactor[];
  readonly masks: readonly DropoutMask[];
  /** What runs before the step, as it stands in the student's file; its values are fed as `names.front(name)`. */
  readonly front: Front;
  /** Shape of the student's logits in the task's form, and how its output is read. */
  readonly logitsShape: Shape;
  readonly reading: OutputReading;
  /** Of the teacher's logits: the same, unless outputs are projected. */
  readonly comparedShape: Shape;
  /** Constants that may be weights but are not trained, because the loss does not move them; and where the gradient ends. */
  readonly unmoved: ReadonlyMap<string, Node | undefined>;
  /** Every float constant that the loss depends on: trained, fixed or statistics, and why. */
  readonly constants: readonly ConstantEntry[];
  /** First values of all state, by key. */
  readonly initial: ReadonlyMap<string, Float32Array>;
}

export interface Observed {
  readonly graph: Graph;
  /** Values of the user's graph, and the outputs that hold them. */
  readonly values: readonly { readonly value: Value; readonly output: string }[];
}

/**
 * @throws E_NAME for taps or logits that do not exist, E_SHAPE where taps do not fit, E_NO_GRADIENT and E_OP where the
 * student cannot be trained: all before anything runs.
 */
export function compileStep(options: CompileOptions): CompiledStep {
  const block = options.target.blockedConvolutions ? options.convolutionBlock : undefined;
  const o = { ...options, target: { ...options.target, convolutionBlock: block } };
  const newGraph = (name: string): Builder => newBuilder(name, o.target, studentName);
  let plan = planStep(o);
  const finished = (b: Builder): Graph => {
    b.graph.prune();
    // A loss that knows the teacher's scores already does not look at its activations: nobody need keep and feed them.
    b.graph.dropUnusedInputs([names.teacherLogits, ...o.taps.map((t) => names.teacherTap(t.name))]);
    // What the front alone looks at goes there.
    if (plan.front.values.length > 0)
      b.graph.dropUnusedInputs(o.student.graph.inputs.map((x) => studentName(x.name)));
    return block ? blockConvolutions(b.graph, block) : b.graph;
  };

  let step = newGraph("step");
  let emitted = emitGradients(step, plan);
  const { unmoved } = emitted;
  if (unmoved.size > 0) {
    // What the loss never moves is no weight: weight decay alone would carry it off (counters that a mask is made of).
    plan = withoutTraining(plan, unmoved);
    step = newGraph("step");
    emitted = emitGradients(step, plan);
  }
  const parameters = [...emitted.auxiliary.parameters.values()].map(({ pack }) => ({
    ...pack,
    ...auxiliarySettings(pack.tensors[0]?.dims ?? [], o),
  }));
  const variables = [...emitted.auxiliary.variables.values()].map((v) => v.pack);
  const trained = [...plan.weights, ...parameters];
  const scalars = scalarInputs(step, o.optimizer);
  const next = emitApply(step, o, trained, emitted.weights, emitted.gradients, scalars);
  // What a loss of its own learns beside the student belongs to the student it is measured with.
  const averaged = o.averageWeights === undefined ? [] : [...trained, ...plan.statistics];
  if (averaged.length > 0) emitAverage(step, averaged, new Map([...next, ...emitted.statistics]));

  return {
    step: finished(step),
    gradients: finished(gradientsAlone(newGraph("gradients"), plan)),
    apply: finished(applyAlone(newGraph("apply"), o, trained, averaged)),
    accumulate: o.accumulate ? () => finished(accumulated(newGraph("accumulate"), plan)) : undefined,
    forward: () => finished(forwardAlone(newGraph("forward"), plan)),
    observed: () => observed(newGraph("observed"), plan),
    weights: plan.weights,
    statistics: plan.statistics,
    auxiliary: { parameters, variables },
    optimizer: o.optimizer,
    rates: [...new Set(trained.map((p) => p.group))],
    averageWeights: o.averageWeights,
    terms: emitted.terms,
    scheduled: emitted.scheduled,
    masks: emitted.masks,
    front: plan.front,
    logitsShape: plan.logitsShape,
    reading: plan.reading,
    comparedShape: plan.comparedShape,
    unmoved,
    constants: plan.roles.entries,
    initial: firstState(plan, trained, [...parameters, ...variables], averaged),
  };
}

function gradientsAlone(b: Builder, plan: StepPlan): Builder {
  for (const [key, g] of emitGradients(b, plan).gradients) addOutput(b, names.gradient(key), g);
  return b;
}

function accumulated(b: Builder, plan: StepPlan): Builder {
  const { gradients } = emitGradients(b, plan);
  const share = b.graph.addInput(names.scalar("share"), { dtype: "float32", dims: [] });
  for (const [key, g] of gradients) {
    const before = b.graph.addInput(names.gradient(key), typeOf(g));
    addOutput(b, names.nextGradient(key), b.add(before, b.mul(g, share)));
  }
  return b;
}

function applyAlone(
  b: Builder,
  o: CompileOptions,
  trained: readonly Pack[],
  averaged: readonly Pack[],
): Builder {
  const inputs = (name: (key: string) => string) =>
    new Map(trained.map((p) => [p.key, b.graph.addInput(name(p.key), vector(p))]));
  const [weights, gradients] = [inputs(names.state), inputs(names.gradient)];
  const next = emitApply(b, o, trained, weights, gradients, scalarInputs(b, o.optimizer));
  // Statistics are what the batches have left of them.
  for (const p of averaged)
    if (!next.has(p.key)) next.set(p.key, b.graph.addInput(names.state(p.key), vector(p)));
  if (averaged.length > 0) emitAverage(b, averaged, next);
  return b;
}

function forwardAlone(b: Builder, plan: StepPlan): Builder {
  const { rows, taps } = emitStudent(b, plan, new Auxiliary(b, names.state));
  addOutput(b, names.forwardLogits, rows);
  for (const t of taps) addOutput(b, names.forwardTap(t.name), t.value);
  return b;
}

function observed(b: Builder, plan: StepPlan): Observed {
  const emitted = emitStudent(b, plan, new Auxiliary(b, names.state)).values;
  const values = plan.path
    .flatMap((node) => node.outputs)
    .flatMap((value) => {
      const found = value && emitted.get(value);
      if (!value || !found?.producer || !isFloat(typeOf(found).dtype)) return [];
      return [{ value, found, output: names.forward(value.name) }];
    });
  for (const { found, output } of values) addOutput(b, output, found);
  b.graph.prune();
  return { graph: b.graph, values };
}

/** The student's own numbers or those given in their place, what the loss begins with, and slots of zeros. */
function firstState(
  { o, weights, statistics }: StepPlan,
  trained: readonly Pack[],
  auxiliary: readonly AuxiliaryPack[],
  averaged: readonly Pack[],
): Map<string, Float32Array> {
  const tensors = new Map([
    ...[...o.student.graph.constants].map(([v, t]) => [v.name, t] as const),
    ...(o.values ?? []),
  ]);
  const first = new Map([...weights, ...statistics].map((p) => [p.key, packTensors(p, tensors)]));
  for (const p of auxiliary) first.set(p.key, p.initial);
  for (const p of trained)
    for (const slot of o.optimizer.slots) first.set(slotKey(slot, p), new Float32Array(p.size));
  for (const p of averaged) first.set(averageKey(p), (first.get(p.key) as Float32Array).slice());
  return first;
}
