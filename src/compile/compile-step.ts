// Student + loss + optimizer -> one training step as a plain ONNX graph, and the same in two halves.
//
// step:       data, state, scalars -> loss terms, next state
// gradients:  data, weights, statistics -> loss terms, gradients, next statistics
// apply:      gradients, weights, slots, scalars -> next weights, next slots

import { differentiate } from "../autodiff/differentiate.ts";
import { DistillError, didYouMean } from "../base/errors.ts";
import { neuronAxis } from "../base/layout.ts";
import { formatShape, type Shape, sameShape, type Tensor, type TensorType } from "../base/tensor.ts";
import { type Graph, type Node, typeOf, type Value } from "../graph/graph.ts";
import { type LossEmission, waysToUnequalNeurons } from "../losses/index.ts";
import { project } from "../losses/projection.ts";
import type { Projection } from "../losses/projection-options.ts";
import { oneHotRows, type TapPair } from "../losses/terms.ts";
import type { Model } from "../onnx/model.ts";
import type { Builder } from "../ops/builder.ts";
import type { EmitHooks } from "../ops/define.ts";
import { newBuilder, opTable } from "../ops/index.ts";
import type { Target } from "../ops/target.ts";
import type { Optimizer } from "../optim/optimizer.ts";
import type { Progress } from "../strategies/index.ts";
import { emitForm } from "../taps/emit-form.ts";
import { formedShape, type TapForm } from "../taps/tap-form.ts";
import {
  type BatchAxis,
  batchFirstShape,
  checkLogitsShape,
  findBatchAxis,
  rowsOf,
  rowsShape,
  type Task,
  taskNamed,
} from "../tasks/index.ts";
import { Auxiliary, type AuxiliaryPack } from "./auxiliary.ts";
import { blockConvolutions } from "./block-convolutions.ts";
import { checkPath } from "./check-path.ts";
import { describeUnmoved, endBefore } from "./gradient-ends.ts";
import { describeQuantised, type Roles, rolesOf } from "./roles.ts";
import { layOut, type Pack, packTensors, packValues, unpack } from "./state.ts";
import { emitForward, pathTo } from "./student-forward.ts";

export interface CompileTap {
  readonly name: string;
  /** Name of a value of the student. */
  readonly student: string;
  /** What the teacher gives for it, in the form in which it is compared. */
  readonly teacher: TensorType;
  /** A learned map of the student's neurons to as many as the teacher's, which the loss sees in their place. */
  readonly project?: Projection | undefined;
  /** What is done to the student's value before it is compared; default: nothing. */
  readonly form?: TapForm | undefined;
}

export interface CompileOptions {
  readonly student: Model;
  /** First values of weights and statistics by name, instead of those in the student. */
  readonly values?: ReadonlyMap<string, Tensor> | undefined;
  /** Values of the student that follow from shapes and constants alone (see runtime/observe.ts). */
  readonly known: ReadonlyMap<Value, Tensor>;
  /** Name of the student's value that holds the logits; default: its first output. */
  readonly logits?: string | undefined;
  /** What the logits mean; default: classification. */
  readonly task?: Task | undefined;
  /** Samples a step, where the logits may come with time in front. */
  readonly batch?: number | undefined;
  /** Whether a teacher's logits are fed, with the samples in front. */
  readonly teacherLogits: boolean;
  /**
   * The types of what is fed under `names.labels` and `names.rowWeights` (see LabelFeeds), by the shape of the logits;
   * true: distributions, like the logits.
   */
  readonly labels: boolean | ((logits: Shape) => Readonly<Record<string, TensorType>>);
  readonly taps: readonly CompileTap[];
  readonly loss: LossEmission;
  readonly optimizer: Optimizer;
  /** Global L2 norm that gradients are clipped to. */
  readonly clipNorm?: number | undefined;
  readonly freeze: readonly string[];
  /** false: BatchNormalization keeps its running statistics and uses them. */
  readonly trainStatistics: boolean;
  readonly target: Target;
  /** Channels in a block of the runtime's blocked convolutions, where it has them and the target wants them. */
  readonly convolutionBlock?: number | undefined;
}

export interface DropoutMask {
  readonly input: string;
  readonly type: TensorType;
  readonly ratio: number;
}

/** A scalar input of the step whose value follows from how far the run is. */
export interface ScheduledFactor {
  readonly input: string;
  readonly at: (progress: Progress) => number;
}

export interface CompiledStep {
  readonly step: Graph;
  readonly gradients: Graph;
  readonly apply: Graph;
  /** The student's training-form forward pass alone: rows of logits, and taps, as outputs under `names.forward…`. */
  readonly forward: () => Graph;
  readonly weights: readonly Pack[];
  readonly statistics: readonly Pack[];
  /** Trained parameters and carried variables of the loss: state that is no part of the student. */
  readonly auxiliary: { readonly parameters: readonly Pack[]; readonly variables: readonly Pack[] };
  readonly optimizer: Optimizer;
  /** Names of the terms in output `losses`, the whole loss first. */
  readonly terms: readonly string[];
  /** Weights of terms that move over the run. */
  readonly scheduled: readonly ScheduledFactor[];
  readonly masks: readonly DropoutMask[];
  /** Shape of the student's logits, samples in front, and where its own samples lie. */
  readonly logitsShape: Shape;
  readonly batchAxis: BatchAxis;
  /** Constants that may be weights but are not trained, because the loss does not move them; and where the gradient ends. */
  readonly unmoved: ReadonlyMap<string, Node | undefined>;
  /** First values of all state, by key. */
  readonly initial: ReadonlyMap<string, Float32Array>;
}

/** Names of the step's inputs and outputs. */
export const names = {
  teacherLogits: "teacher/logits",
  teacherTap: (tap: string) => `teacher/tap/${tap}`,
  labels: "labels",
  rowWeights: "row-weights",
  scalar: (name: string) => `scalar/${name}`,
  state: (key: string) => `state/${key}`,
  next: (key: string) => `next/${key}`,
  gradient: (key: string) => `gradient/${key}`,
  mask: (node: string) => `mask/${node}`,
  losses: "losses",
  forwardLogits: "forward/logits",
  forwardTap: (tap: string) => `forward/tap/${tap}`,
};

/**
 * @throws E_NAME for taps or logits that do not exist, E_SHAPE where taps do not fit, E_NO_GRADIENT and E_OP where the
 * student cannot be trained: all before anything runs.
 */
export function compileStep(options: CompileOptions): CompiledStep {
  const block = options.target.blockedConvolutions ? options.convolutionBlock : undefined;
  const o = { ...options, target: { ...options.target, convolutionBlock: block } };
  const { graph } = o.student;
  const logits = valueNamed(o.student, o.logits ?? graph.outputs[0]?.name ?? "", "logits");
  const tapValues = o.taps.map((t) => valueNamed(o.student, t.student, `tap "${t.name}"`));
  const task = o.task ?? taskNamed();
  const { dims: logitsDims } = typeOf(logits);
  const what = `the student's logits "${logits.name}" (${o.student.source})`;
  checkLogitsShape(task, logitsDims, what, "--student-logits");
  const batchAxis = task.timeFirst && o.batch !== undefined ? findBatchAxis(logitsDims, o.batch, what) : 0;
  o.taps.forEach((tap, i) => {
    checkTap(o, tap, tapValues[i] as Value);
  });
  const path = pathTo(o.student, [logits, ...tapValues], o.known);
  const roles = rolesOf(o.student, opTable, path, { freeze: o.freeze, known: o.known });
  checkPath(o.student, opTable, path, roles.trained);
  const planFor = (roles: Roles): Plan => {
    if (roles.trained.length === 0) throw nothingToTrain(o);
    const known = new Map(o.known);
    for (const v of [...roles.trained, ...roles.statistics]) known.delete(v);
    return {
      o,
      logits,
      batchAxis,
      logitsShape: batchFirstShape(logitsDims, batchAxis),
      tapValues,
      path: pathTo(o.student, [logits, ...tapValues], known),
      known,
      roles,
      weights: layOut("weights", roles.trained.map(named(o.student))),
      statistics: layOut("statistics", [...roles.statistics].map(named(o.student))),
    };
  };

  let plan = planFor(roles);
  let whole = newBuilder("step", o.target);
  let first = emitGradients(whole, plan);
  const { unmoved } = first;
  if (unmoved.size > 0) {
    // What the loss never moves is no weight: weight decay alone would carry it off (counters that a mask is made of).
    const trained = roles.trained.filter((v) => !unmoved.has(v.name));
    plan = planFor({ ...roles, trained });
    whole = newBuilder("step", o.target);
    first = emitGradients(whole, plan);
  }
  const parameters: readonly AuxiliaryPack[] = [...first.auxiliary.parameters.values()].map((p) => p.pack);
  const variables: readonly AuxiliaryPack[] = [...first.auxiliary.variables.values()].map((v) => v.pack);
  const trained = [...plan.weights, ...parameters];
  emitApply(whole, o, trained, first.weights, first.gradients, scalarInputs(whole, o.optimizer));
  const half = newBuilder("gradients", o.target);
  const onlyGradients = emitGradients(half, plan);
  onlyGradients.gradients.forEach((g, key) => {
    output(half, names.gradient(key), g);
  });
  const rest = newBuilder("apply", o.target);
  const weightInputs = new Map(
    trained.map((p) => [p.key, rest.graph.addInput(names.state(p.key), vector(p))]),
  );
  const gradientInputs = new Map(
    trained.map((p) => [p.key, rest.graph.addInput(names.gradient(p.key), vector(p))]),
  );
  emitApply(rest, o, trained, weightInputs, gradientInputs, scalarInputs(rest, o.optimizer));
  const finished = (b: Builder): Graph => {
    b.graph.prune();
    // A loss that knows the teacher's scores already does not look at its activations: nobody need keep and feed them.
    b.graph.dropUnusedInputs(o.taps.map((t) => names.teacherTap(t.name)));
    return block ? blockConvolutions(b.graph, block) : b.graph;
  };

  const tensors = new Map([
    ...[...graph.constants].map(([v, t]) => [v.name, t] as const),
    ...(o.values ?? []),
  ]);
  const initial = new Map([...plan.weights, ...plan.statistics].map((p) => [p.key, packTensors(p, tensors)]));
  for (const p of [...parameters, ...variables]) initial.set(p.key, p.initial);
  for (const p of trained)
    for (const slot of o.optimizer.slots) initial.set(slotKey(slot, p), new Float32Array(p.size));
  return {
    step: finished(whole),
    gradients: finished(half),
    apply: finished(rest),
    forward: () => {
      const b = newBuilder("forward", o.target);
      const { logits, taps } = emitStudent(b, plan, new Auxiliary(b, names.state));
      output(b, names.forwardLogits, rowsOf(b, logits, batchAxis));
      for (const t of taps) output(b, names.forwardTap(t.name), t.value);
      return finished(b);
    },
    weights: plan.weights,
    statistics: plan.statistics,
    auxiliary: { parameters, variables },
    optimizer: o.optimizer,
    terms: first.terms,
    scheduled: first.scheduled,
    masks: first.masks,
    logitsShape: plan.logitsShape,
    batchAxis,
    unmoved,
    initial,
  };
}

function nothingToTrain({ student, freeze }: CompileOptions): DistillError {
  const quantised = freeze.length === 0 ? describeQuantised(student) : undefined;
  const check = `check --freeze (${freeze.join(", ") || "none given"}) and that the model holds float32 initialisers`;
  return new DistillError("E_MODEL", `${student.source}: no weight is left to train; ${quantised ?? check}`);
}

interface Plan {
  readonly o: CompileOptions;
  readonly logits: Value;
  readonly batchAxis: BatchAxis;
  readonly logitsShape: Shape;
  readonly tapValues: readonly Value[];
  readonly path: ReturnType<typeof pathTo>;
  readonly known: ReadonlyMap<Value, Tensor>;
  readonly roles: Roles;
  readonly weights: readonly Pack[];
  readonly statistics: readonly Pack[];
}

const vector = (pack: Pack): TensorType => ({ dtype: "float32", dims: [pack.size] });

const neuronsOf = (dims: readonly number[]): number => dims[neuronAxis(dims.length)] as number;

export const slotKey = (slot: string, pack: Pack): string => `${slot}/${pack.key}`;

const named =
  (model: Model) =>
  (v: Value): { name: string; dims: readonly number[] } => ({
    name: v.name,
    dims: (model.graph.constants.get(v) as Tensor).dims,
  });

/** Makes `value` an output of the graph under `name`. */
function output(b: Builder, name: string, value: Value): void {
  const node = b.graph.addNode({
    op: "Identity",
    inputs: [value],
    outputs: [name],
    name: `output/${name}`,
    types: [typeOf(value)],
  });
  b.graph.addOutput(node.outputs[0] as Value);
}

/** The student's forward pass on state inputs, its taps as the loss sees them. */
function emitStudent(b: Builder, plan: Plan, auxiliary: Auxiliary) {
  const { o } = plan;
  const given = new Map<Value, Value>();
  for (const x of o.student.graph.inputs) given.set(x, b.graph.addInput(x.name, typeOf(x)));
  const constants = new Map([...o.student.graph.constants.keys()].map((v) => [v.name, v]));
  const weights = new Map<string, Value>();
  const views = new Map<string, Value>();
  for (const pack of plan.weights) {
    const input = b.graph.addInput(names.state(pack.key), vector(pack));
    weights.set(pack.key, input);
    for (const [name, view] of unpack(b, pack, input)) {
      given.set(constants.get(name) as Value, view);
      views.set(name, view);
      b.anchors.add(view);
    }
  }
  const running = new Map<Value, string>();
  for (const pack of plan.statistics)
    for (const [name, view] of unpack(b, pack, b.graph.addInput(names.state(pack.key), vector(pack)))) {
      given.set(constants.get(name) as Value, view);
      running.set(view, name);
    }
  const nextStatistics = new Map<string, Value>([...running].map(([view, name]) => [name, view]));
  const masks: DropoutMask[] = [];
  const hooks: EmitHooks = {
    runningStatistics: (mean, variance) => {
      const [ofMean, ofVariance] = [running.get(mean), running.get(variance)];
      if (!o.trainStatistics || ofMean === undefined || ofVariance === undefined) return undefined;
      return {
        update: (nextMean, nextVariance) => {
          nextStatistics.set(ofMean, nextMean);
          nextStatistics.set(ofVariance, nextVariance);
        },
      };
    },
    dropoutMask: (name, type, ratio) => {
      if (ratio === 0) return undefined;
      const input = names.mask(name);
      masks.push({ input, type, ratio });
      return b.graph.addInput(input, type);
    },
  };
  const values = emitForward(b, o.student, plan.path, given, plan.known, hooks);
  const taps = o.taps.map((t, i) => {
    const tapped = values.get(plan.tapValues[i] as Value) as Value;
    const value = b.scope(`tap/${t.name}`, () => emitForm(b, tapped, t.form ?? {}));
    const width = neuronsOf(t.teacher.dims);
    return {
      name: t.name,
      value: t.project ? project(b, auxiliary, t.name, value, width, t.project) : value,
    };
  });
  return { logits: values.get(plan.logits) as Value, taps, weights, views, nextStatistics, masks };
}

function emitGradients(b: Builder, plan: Plan) {
  const { o } = plan;
  const likeLogits: TensorType = { dtype: typeOf(plan.logits).dtype, dims: plan.logitsShape };
  const teacherLogits = o.teacherLogits ? b.graph.addInput(names.teacherLogits, likeLogits) : undefined;
  const labelTypes =
    typeof o.labels === "function"
      ? o.labels(plan.logitsShape)
      : o.labels
        ? { [names.labels]: likeLogits }
        : {};
  const fed = labelInputs(b, labelTypes, plan.logitsShape);
  const teacherTaps = o.taps.map((t) => b.graph.addInput(names.teacherTap(t.name), t.teacher));
  const auxiliary = new Auxiliary(b, names.state);
  const { logits, weights, views, nextStatistics, masks, ...student } = emitStudent(b, plan, auxiliary);
  const taps: TapPair[] = student.taps.map((t, i) => ({
    name: t.name,
    student: t.value,
    teacher: teacherTaps[i] as Value,
  }));
  const terms = o.loss.emit({
    b,
    state: auxiliary,
    studentLogits: rowsOf(b, logits, plan.batchAxis),
    teacherLogits: teacherLogits && rowsOf(b, teacherLogits),
    rowWeights: fed.rowWeights,
    labelIndices: fed.labelIndices,
    get labels() {
      return fed.labels;
    },
    taps,
  });
  const scheduled: ScheduledFactor[] = [];
  const parts = terms.map(({ name, value, factor }) => {
    if (!factor) return { name, value };
    const input = names.scalar(`loss/${name}`);
    scheduled.push({ input, at: factor });
    return { name, value: b.mul(value, b.graph.addInput(input, { dtype: "float32", dims: [] })) };
  });
  if (parts.length === 0)
    throw new DistillError(
      "E_OPTION",
      "the loss has no term: give a teacher, labels, or a tap with a weight above 0",
    );
  const loss = parts.map((t) => t.value).reduce((a, c) => b.add(a, c));
  const userNames = new Map([...views].map(([name, view]) => [view, name]));
  const parameters = [...auxiliary.parameters];
  const wrt = [...views.values(), ...parameters.map(([, p]) => p.view)];
  const ends = new Map<Value, Node>();
  const found = differentiate(b, loss, wrt, userNames, ends);
  const gradients = new Map<string, Value>();
  const unmoved = new Map<string, Node | undefined>();
  for (const [name, view] of views) {
    const gradient = found.get(view);
    if (!gradient) unmoved.set(name, endBefore(view, b.graph, ends, plan.path));
    gradients.set(name, gradient ?? b.full(typeOf(view), 0));
  }
  if (unmoved.size === views.size) {
    const known = [...unmoved].filter(([, end]) => end);
    const why = known.length > 0 ? describeUnmoved(new Map(known)) : "comparisons and constants have none";
    throw new DistillError(
      "E_NO_GRADIENT",
      `the loss (${parts.map((t) => t.name).join(", ")}) reaches no weight of ${o.student.source} through operations that have a gradient, so nothing would be learned: ${why}; choose an earlier value with --student-logits, or another loss`,
    );
  }
  const packed = new Map(
    plan.weights.map((p) => [p.key, b.scope(`grad/${p.key}`, () => packValues(b, p, gradients))]),
  );
  for (const [key, { pack, input, view }] of parameters) {
    weights.set(key, input);
    packed.set(key, b.reshape(found.get(view) ?? b.full(typeOf(view), 0), [pack.size]));
  }
  output(
    b,
    names.losses,
    b.concat(
      [loss, ...parts.map((t) => t.value)].map((v) => b.reshape(v, [1])),
      0,
    ),
  );
  for (const p of plan.statistics) output(b, names.next(p.key), packValues(b, p, nextStatistics));
  for (const [key, { pack, next }] of auxiliary.variables)
    output(b, names.next(key), b.reshape(next, [pack.size]));
  return {
    weights,
    gradients: packed,
    /** Weights that the loss does not depend on, or in steps only, and the node at which the gradient ends. */
    unmoved,
    auxiliary,
    terms: ["loss", ...parts.map((t) => `loss/${t.name}`)],
    scheduled,
    masks,
  };
}

/** Inputs for what is fed of labels, and how a loss reads them. */
function labelInputs(b: Builder, types: Readonly<Record<string, TensorType>>, logits: Shape) {
  const input = (name: string) => types[name] && b.graph.addInput(name, types[name]);
  const [fed, rowWeights] = [input(names.labels), input(names.rowWeights)];
  const rows = rowsShape(logits);
  const labelIndices = fed && typeOf(fed).dtype === "int32" ? fed : undefined;
  return {
    rowWeights,
    labelIndices,
    /** Rows of distributions or targets; made of indices only when a loss asks. */
    get labels(): Value | undefined {
      if (labelIndices) return oneHotRows(b, labelIndices, { dtype: "float32", dims: rows });
      return fed && rowsOf(b, fed);
    },
  };
}

function scalarInputs(b: Builder, optimizer: Optimizer): Record<string, Value> {
  return Object.fromEntries(
    optimizer.scalarNames.map((n) => [n, b.graph.addInput(names.scalar(n), { dtype: "float32", dims: [] })]),
  );
}

function emitApply(
  b: Builder,
  { optimizer, clipNorm }: CompileOptions,
  packs: readonly Pack[],
  weights: ReadonlyMap<string, Value>,
  gradients: ReadonlyMap<string, Value>,
  scalars: Record<string, Value>,
): void {
  b.scope("optimizer", () => {
    let factor: Value | undefined;
    if (clipNorm !== undefined) {
      const norm = b.sqrt(
        [...gradients.values()].map((g) => b.reduceSumSquare(g)).reduce((a, c) => b.add(a, c)),
      );
      factor = b.min(b.like(norm, 1), b.div(b.like(norm, clipNorm), b.shift(norm, 1e-6)));
    }
    for (const pack of packs) {
      const g = gradients.get(pack.key) as Value;
      const slots = optimizer.slots.map((s) => b.graph.addInput(names.state(slotKey(s, pack)), vector(pack)));
      const updated = optimizer.update({
        b,
        weight: weights.get(pack.key) as Value,
        gradient: factor ? b.mul(g, factor) : g,
        slots,
        scalars,
      });
      output(b, names.next(pack.key), updated.weight);
      optimizer.slots.forEach((s, i) => {
        output(b, names.next(slotKey(s, pack)), updated.slots[i] as Value);
      });
    }
  });
}

/** The value of that name of a student; E_NAME, with the nearest names, where there is none. */
export function valueNamed(model: Model, name: string, what: string): Value {
  const found = model.graph.find(name);
  if (!found)
    throw new DistillError(
      "E_NAME",
      `${what}: the student ${model.source} has no value "${name}".${didYouMean(
        name,
        [...model.graph.values()].map((v) => v.name),
      )} \`onnx-distill inspect\` lists them.`,
    );
  return found;
}

/** Equal samples on both sides, and equal neurons unless the loss accepts others. */
function checkTap({ student: model, loss }: CompileOptions, tap: CompileTap, value: Value): void {
  const student = formedShape(typeOf(value).dims, tap.form ?? {});
  const teacher = tap.teacher.dims;
  if (sameShape(student, teacher)) return;
  const samples = (dims: readonly number[]) => dims.filter((_, i) => i !== neuronAxis(dims.length));
  const sameSamples = student.length === teacher.length && sameShape(samples(student), samples(teacher));
  if (sameSamples && (tap.project || loss.unequalNeurons(tap.name))) return;
  const why = sameSamples
    ? `they have ${neuronsOf(student)} and ${neuronsOf(teacher)} neurons`
    : "the numbers of samples differ";
  const ways = [...waysToUnequalNeurons(), `a learned projection (project: true; --project ${tap.name})`];
  const others = sameSamples ? `, or accept unequal numbers of neurons with ${ways.join(" or ")}` : "";
  throw new DistillError(
    "E_SHAPE",
    `tap "${tap.name}": the student's "${value.name}" (${model.source}) is ${formatShape(student)} and the teacher's value ${formatShape(teacher)}: ${why}; tap values of equal shape${others}`,
  );
}
