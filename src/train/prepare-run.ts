// A run before its first step: models opened, taps chosen, the student prepared, the step compiled. Whatever can be refused is
// refused here, and nothing is written.
import { DistillError } from "../base/errors.ts";
import type { CompiledStep } from "../compile/compile-step.ts";
import { batchOrder } from "../data/batches.ts";
import { type Dataset, isVarying } from "../data/dataset.ts";
import { emissionOf, splitStrategy } from "../losses/index.ts";
import type { MeasuredVariable } from "../losses/terms.ts";
import type { Model } from "../onnx/model.ts";
import { learningRateSchedule } from "../optim/schedules.ts";
import type { Fix } from "../prepare/fixed-inputs.ts";
import type { PreparedStudent } from "../prepare/prepare-student.ts";
import type { Runtime } from "../runtime/session.ts";
import type { AnyStrategy, StrategyPart } from "../strategies/index.ts";
import { hasOutputLoss, usesLabels } from "../strategies/strategy.ts";
import { grouped } from "./accumulation.ts";
import { seeded, withSeeds } from "./array-strategy.ts";
import { chooseTaps } from "./automatic-taps.ts";
import { asksAgain } from "./batch-inputs.ts";
import type { CachePlace } from "./cache-places.ts";
import { checkArrays, checkLayers } from "./check-layers.ts";
import { balancedWeights, checkWeighted } from "./class-weights.ts";
import { type Feeder, feederFor, pixelInputs } from "./feeds.ts";
import { fitModels } from "./fit-models.ts";
import { FormRunner, formedTeacher } from "./form-runner.ts";
import { loadFront } from "./front-runner.ts";
import { checkLabels, type LabelUse } from "./labels.ts";
import { checkMonitor } from "./monitor.ts";
import { asInferred, openModel, openTeacher } from "./open-models.ts";
import { type DistillOptions, type Resolved, resolveOptions } from "./options.ts";
import { compiledGroups } from "./parameter-groups.ts";
import { repeats } from "./repeats.ts";
import { identityOf, type RunIdentity } from "./run-identity.ts";
import { runNotes } from "./run-notes.ts";
import {
  comparable as areComparable,
  compileAt,
  formsAt,
  type StepSource,
  studentAt,
  teacherForms,
} from "./shaped-step.ts";
import { StepsByShape } from "./steps-by-shape.ts";
import { readingOfStudent, recordOf } from "./student-reading.ts";
import type { FormedTap } from "./taps.ts";
import { checkOutputs, defaultStrategy } from "./task-strategy.ts";
import type { Teacher, TeacherOutputs } from "./teacher.ts";

/** What is let go when the run ends, however it ends. */
export type Held = { release(): Promise<unknown> }[];

export interface PreparedRun {
  readonly options: DistillOptions;
  /** With the taps that were chosen. */
  readonly o: Resolved;
  readonly runtime: Runtime;
  readonly student: PreparedStudent;
  readonly feedStudent: Feeder;
  readonly teacher: Teacher | undefined;
  /** What the teacher says of the first batch. */
  readonly probe: TeacherOutputs | undefined;
  /** What is compared, and in which form. */
  readonly taps: readonly FormedTap[];
  readonly labels: LabelUse;
  readonly classWeights: readonly number[] | undefined;
  /** Parts of the strategy that exist on arrays alone: they train too, by the slower way round. */
  readonly onArrays: readonly StrategyPart[];
  /** State of the loss that is measured outside the step. */
  readonly measured: readonly MeasuredVariable[];
  /** The student's outputs can be held to the teacher's, one by one. */
  readonly comparable: boolean;
  /** For the first batch. */
  readonly compiled: CompiledStep;
  /** For all batches. */
  readonly steps: StepsByShape;
  /** Batches may be of other shapes than the first. */
  readonly varying: boolean;
  /** The data gives the same sample for the same index; known only where what a teacher says may be kept. */
  readonly repeats: boolean;
  /** Every input of the student that is one value for all samples. */
  readonly studentFix: Fix;
  readonly schedule: Schedule;
  readonly identity: RunIdentity;
  readonly notes: readonly string[];
}

export interface Schedule {
  /** The samples of each batch of an epoch. */
  readonly batches: (epoch: number) => Uint32Array[];
  /** The batches of each step of an epoch: one, or those whose gradients are added up, fewer at its end where they don't divide. */
  readonly groups: (epoch: number) => Uint32Array[][];
  /** The first of all batches. */
  readonly first: Uint32Array;
  readonly batchesPerEpoch: number;
  readonly stepsPerEpoch: number;
  readonly steps: number;
  readonly rate: (step: number) => number;
}

export async function prepareRun(typed: DistillOptions, held: Held): Promise<PreparedRun> {
  const given = resolveOptions(typed);
  const runtime = typed.runtime ?? (await import("../runtime/ort-node.ts")).nodeRuntime;
  const inferred = asInferred(await openModel(typed.student, "student"), "student");
  const { keptStatistics } = inferred;
  const taughtBy =
    typed.teacher && typeof typed.teacher !== "function"
      ? asInferred(await openModel(typed.teacher, "teacher"), "teacher")
      : undefined;
  const fitted = await fitModels(typed, inferred.model, taughtBy?.model);
  const { data, evaluation } = fitted;
  const options: DistillOptions = { ...typed, data, evaluation };
  const opened = fitted.student.model;
  const file = fitted.teacher?.model;
  const strategy = options.teacher
    ? (options.strategy ?? defaultStrategy(given.task, given.automaticTaps || given.taps.length > 0))
    : undefined;
  if (strategy) checkOutputs(strategy, given.task);
  const chosen =
    given.automaticTaps && file && strategy
      ? await chooseTaps({ ...options, teacher: file, student: opened, runtime, strategy })
      : { taps: given.taps, notes: [] };
  const o: Resolved = { ...given, taps: chosen.taps };
  if (strategy) {
    checkLayers(
      strategy,
      o.taps.map((t) => t.name),
    );
  }
  if (evaluation) checkMonitor(o, evaluation, strategy !== undefined);
  const schedule = scheduleOf(o, data.length);
  const feedStudent = feederFor(opened, data);
  if (evaluation) feederFor(opened, evaluation);

  const { first } = schedule;
  const sample = await data.read(first);
  const taught = await openTeacher(options, file, o, runtime, sample);
  if (taught.teacher) held.push(taught.teacher);
  const said = await taught.teacher?.run(sample.inputs, sample.labels);
  const learnsFrom = data.hasLabels && o.task.learnsFromLabels && (!strategy || usesLabels(strategy));
  const { loss, onArrays } = lossOf(strategy, o);
  const unread: StepSource = {
    o,
    opened,
    keptStatistics,
    studentLogits: options.studentLogits,
    runtime,
    teacher: taught.teacher,
    labels: { task: o.task, inLoss: learnsFrom },
    loss,
    comparesOutside:
      (loss.measured?.(o.taps.map((t) => t.name)) ?? []).length > 0 ||
      onArrays.some((p) => p.part !== "intermediate" && hasOutputLoss(p.strategy)),
    groups: compiledGroups(o, schedule.steps),
    convolutionBlock: await runtime.convolutionBlock?.(),
  };
  const student = await studentAt(unread, feedStudent(sample.inputs));
  const { reading, note } = await readingOfStudent(unread, student, data, sample);
  const labels: LabelUse = { ...unread.labels, layout: reading };
  const classWeights =
    o.classWeights === "balanced" ? await balancedWeights(data, student, o, reading) : o.classWeights;
  const shapes: StepSource = { ...unread, reading, labels, classWeights };
  const { taps, notes: tapNotes } = formsAt(shapes, student, said?.taps ?? {});
  const forms = new FormRunner(teacherForms(taps), runtime, o.target);
  held.push(forms);
  const probe = said && { logits: said.logits, taps: await forms.run(said.taps) };
  const measured = loss.measured?.(taps.map((t) => t.name)) ?? [];
  const compiled = compileAt(shapes, student, taps, { labels: sample.labels, samples: first, said: probe });
  checkWeighted(classWeights, compiled.terms);
  const comparable = said !== undefined && areComparable(compiled.comparedShape, said.logits.dims);
  if (evaluation && said && !comparable) checkMonitor(o, evaluation, "other");
  const front = await loadFront(student.model, compiled, runtime);
  held.push(front);
  const steps = new StepsByShape(shapes, feedStudent, { compiled, front }, sample, taps);
  const varying = isVarying(data.inputs, sample.inputs);
  const { source } = student.own;
  const together = varying ? o.batch : undefined;
  await checkLabels(labels, data, "the data", source, compiled.logitsShape, together);
  if (evaluation)
    await checkLabels(labels, evaluation, "the evaluation data", source, compiled.logitsShape, together);

  const keeps = taught.teacher !== undefined && o.teacherCache !== "off" && !varying;
  const same =
    !keeps || !asksAgain(o, options.teacherOutputs !== undefined) || (await repeats(data, o.batch));
  if (!same) refuseToKeep(o.teacherCache);
  const figures = !taught.teacher || !evaluation || (await repeats(evaluation, o.batch));
  const records = {
    student: { ...student.record, ...recordOf(reading) },
    teacher: taught.record && { ...taught.record, ...recordOf(taught.teacher?.reading) },
  };
  return {
    options,
    o,
    runtime,
    student,
    feedStudent,
    teacher:
      taught.teacher && formedTeacher(taught.teacher, forms, (inputs, raw) => steps.formsFor(inputs, raw)),
    probe,
    taps,
    labels,
    classWeights,
    onArrays,
    measured,
    comparable,
    compiled,
    steps,
    varying,
    repeats: same,
    schedule,
    identity: identityOf(options, { ...o, taps, classWeights }, student.own, strategy, records),
    studentFix: fitted.student.fix,
    notes: [
      ...fitted.notes,
      ...inferred.notes,
      ...(taughtBy?.notes ?? []),
      ...taught.notes,
      ...noted(taught.teacher?.note),
      ...student.notes,
      ...noted(note),
      ...chosen.notes,
      ...tapNotes,
      ...(data.unlabelled === undefined ? [] : [`there are no labels: ${data.unlabelled}`]),
      ...pixelNotes(opened, file, data),
      ...(figures ? [] : [otherFigures]),
      ...runNotes({
        o,
        samples: data.length,
        stepsPerEpoch: schedule.stepsPerEpoch,
        batchesPerEpoch: schedule.batchesPerEpoch,
        strategy,
        labelled: labels.inLoss,
        classWeights,
        measured,
        compiled,
      }),
    ],
  };
}

function pixelNotes(student: Model, teacher: Model | undefined, data: Dataset): string[] {
  return [
    { what: "student", model: student },
    ...(teacher ? [{ what: "teacher", model: teacher }] : []),
  ].flatMap(({ what, model }) =>
    pixelInputs(model, data).map(
      (name) =>
        `the ${what}'s input "${name}" is given the pixels as they are, 0 to 255, without mean and std`,
    ),
  );
}

const otherFigures =
  "the evaluation data reads differently when the same index is read twice: the teacher and each epoch's student are measured on other samples, and agreement compares what they say of different ones";

function refuseToKeep(place: CachePlace): void {
  if (place === "auto") return;
  throw new DistillError(
    "E_OPTION",
    `teacherCache "${place}": the data set reads differently when the same index is read twice, so what the teacher said of a sample does not belong to what the student is shown; use "auto" or "off", or make read() repeat and leave flips and crops to augment`,
  );
}

const noted = (note: string | undefined): string[] => (note === undefined ? [] : [note]);

function scheduleOf(o: Resolved, samples: number): Schedule {
  const batches = (epoch: number): Uint32Array[] => batchOrder(samples, o.batch, o.seed, epoch);
  const groups = (epoch: number) => grouped(batches(epoch), o.accumulate);
  const ofFirst = batches(0);
  const stepsPerEpoch = Math.ceil(ofFirst.length / o.accumulate);
  const steps = stepsPerEpoch * o.epochs;
  return {
    batches,
    groups,
    first: ofFirst[0] as Uint32Array,
    batchesPerEpoch: ofFirst.length,
    stepsPerEpoch,
    steps,
    rate: learningRateSchedule(o.learningRate, steps, o.schedule),
  };
}

/** What is emitted of a strategy, or of the task without a teacher; and what exists on arrays alone, seeded into it. */
function lossOf(strategy: AnyStrategy | undefined, o: Resolved) {
  const { emission, onArrays } = strategy
    ? splitStrategy(strategy)
    : { emission: emissionOf(o.task.strategy({})), onArrays: [] };
  checkArrays(onArrays);
  const loss = onArrays.length === 0 && emission ? emission : emission ? withSeeds(emission) : seeded;
  return { loss, onArrays };
}
