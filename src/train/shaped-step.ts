// What a run compiles for batches of one shape: the student as it is seen on such a batch, the forms in which taps are compared,
// and the step. Everything else of a run is the same for all shapes.
import { DistillError } from "../base/errors.ts";
import { formatShape, type Shape, sameShape, type Tensor, type TensorType } from "../base/tensor.ts";
import { type CompiledStep, compileStep, names } from "../compile/compile-step.ts";
import type { ParameterGroup } from "../compile/parameter-groups.ts";
import type { Labels } from "../data/dataset.ts";
import type { LossEmission } from "../losses/index.ts";
import type { Model } from "../onnx/model.ts";
import { makeOptimizer } from "../optim/index.ts";
import { type PreparedStudent, prepareStudent } from "../prepare/prepare-student.ts";
import type { Runtime } from "../runtime/session.ts";
import type { TapForm } from "../taps/tap-form.ts";
import { type OutputReading, rowsShape, withoutOnes } from "../tasks/index.ts";
import { type LabelUse, labelFeeds } from "./labels.ts";
import type { Resolved } from "./options.ts";
import { activationOf, askedOf } from "./output-options.ts";
import { type FormedTap, formTaps } from "./taps.ts";
import type { Teacher, TeacherOutputs } from "./teacher.ts";

/** What does not depend on the shape of a batch. */
export interface StepSource {
  readonly o: Resolved;
  readonly opened: Model;
  /** Running statistics that the student's file keeps. */
  readonly keptStatistics: readonly string[];
  readonly studentLogits: string | undefined;
  /** Of the student's output; undefined before the first batch is looked at. */
  readonly reading?: OutputReading | undefined;
  readonly runtime: Runtime;
  /** Its taps as the model gives them. */
  readonly teacher: Teacher | undefined;
  readonly labels: LabelUse;
  readonly loss: LossEmission;
  /** Something outside the step compares outputs too, or measures the teacher's. */
  readonly comparesOutside: boolean;
  /** As `CompileOptions` has it. */
  readonly classWeights?: readonly number[] | undefined;
  /** What is said of weights by name. */
  readonly groups: readonly ParameterGroup[];
  readonly convolutionBlock: number | undefined;
}

/** What of a batch a step is compiled from: shapes and, for the student's observation, inputs. */
export interface StepSample {
  readonly labels?: Labels | undefined;
  readonly samples: Uint32Array;
  /** What the teacher says, taps in their forms. */
  readonly said: TeacherOutputs | undefined;
}

/** The student in the form in which it is trained on batches shaped like `feeds`. */
export function studentAt(
  { o, opened, studentLogits, runtime }: StepSource,
  feeds: Readonly<Record<string, Tensor>>,
): Promise<PreparedStudent> {
  return prepareStudent(opened, {
    runtime,
    batch: o.batch,
    feeds,
    logits: studentLogits,
    activation: activationOf(o.task, askedOf(o, "student")),
    taps: o.taps,
    init: o.init,
    seed: o.seed,
    freeze: o.freeze,
    train: o.train,
    untie: o.untie,
    paddingRows: o.paddingRows,
    insertBatchNorm: o.insertBatchNorm,
  });
}

/** The form in which each tap is compared, where the teacher gives `taught`. */
export function formsAt(
  { o, teacher }: StepSource,
  student: PreparedStudent,
  taught: Readonly<Record<string, Tensor>>,
): { taps: FormedTap[]; notes: string[] } {
  return formTaps(o.taps, {
    student: student.model,
    types: student.observation.types,
    taught,
    teacherAxis: (value, rank) => teacher?.neuronAxis(value, rank),
  });
}

export const teacherForms = (taps: readonly FormedTap[]): ReadonlyMap<string, TapForm> =>
  new Map(taps.map((t) => [t.name, t.forms?.teacher ?? {}]));

/** The step for a student that was just made by `studentAt`: its values have the types of the last observation. */
export function compileAt(
  {
    o,
    keptStatistics,
    labels,
    loss,
    comparesOutside,
    groups,
    classWeights,
    convolutionBlock,
    reading,
  }: StepSource,
  student: PreparedStudent,
  taps: readonly FormedTap[],
  sample: StepSample,
): CompiledStep {
  const { said } = sample;
  const compiled = compileStep({
    student: student.model,
    values: student.values,
    known: student.observation.known,
    logits: student.logits.value,
    teacherLogits: said !== undefined,
    labels: (logits) => typesOf(labelFeeds(labels, sample.labels, logits, sample.samples)),
    task: o.task,
    batch: o.batch,
    reading,
    outputs:
      o.projectOutputs && said
        ? { width: rowsShape(said.logits.dims)[1], projection: o.projectOutputs }
        : undefined,
    taps: taps.map((t) => ({
      name: t.name,
      student: t.student,
      teacher: typeOfTensor(said?.taps[t.name] as Tensor),
      project: t.project,
      form: t.forms?.student,
    })),
    loss,
    optimizer: makeOptimizer(o.optimizer),
    averageWeights: o.averageWeights,
    accumulate: o.accumulate > 1,
    clipNorm: o.clipNorm,
    noDecay: o.noDecay,
    groups,
    classWeights,
    freeze: o.freeze,
    train: o.train,
    paddingRows: o.paddingRows,
    keptStatistics,
    trainStatistics: o.batchNorm === "train",
    target: o.target,
    convolutionBlock,
  });
  // Where taps alone are compared, outputs may be of any kind.
  const compares = comparesOutside || compiled.step.inputs.some((x) => x.name === names.teacherLogits);
  if (compares) checkSameLogits(o, student.own, compiled.comparedShape, said);
  return compiled;
}

export const typeOfTensor = (t: Tensor): TensorType => ({ dtype: t.dtype, dims: t.dims });
const typesOf = (feeds: Record<string, Tensor>): Record<string, TensorType> =>
  Object.fromEntries(Object.entries(feeds).map(([name, t]) => [name, typeOfTensor(t)]));

/** Whether the teacher's outputs can be held to the student's, one by one. */
export const comparable = (compared: Shape, said: Shape): boolean =>
  sameShape(withoutOnes(said), withoutOnes(compared));

function checkSameLogits(o: Resolved, student: Model, logits: Shape, said: TeacherOutputs | undefined): void {
  if (!said || comparable(logits, said.logits.dims)) return;
  const [told, own] = [rowsShape(said.logits.dims), rowsShape(logits)];
  if (told[1] !== own[1])
    throw new DistillError(
      "E_SHAPE",
      o.classMap
        ? `classMap (--class-map) names a class of the teacher for each of ${told[1]} classes, the student ${student.source} has ${own[1]}`
        : `the teacher gives ${told[1]} logits, the student ${student.source} gives ${own[1]}; ${o.task.outputs === "identity" ? "both need the same, or --project-outputs (projectOutputs), a learned map of the student's" : "both need the same, or --class-map (classMap), which says what class of the teacher each of the student's is"}`,
    );
  throw new DistillError(
    "E_SHAPE",
    `the teacher's logits are ${formatShape(said.logits.dims)}, those of the student ${student.source} are ${formatShape(logits)}; both need the same positions`,
  );
}
