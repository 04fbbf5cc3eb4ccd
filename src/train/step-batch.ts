// What a step is fed: the batch read, augmented where the run augments, its labels and what the teacher says of it. The next
// one is got ready while a step runs.
import type { Tensor } from "../base/tensor.ts";
import { names } from "../compile/compile-step.ts";
import { OwnTensor } from "../runtime/own-tensor.ts";
import { rowsShape } from "../tasks/index.ts";
import { withTotals } from "./accumulation.ts";
import { augmented, augments } from "./batch-inputs.ts";
import { labelFeeds } from "./labels.ts";
import type { PreparedRun } from "./prepare-run.ts";
import type { ShapedBatch } from "./steps-by-shape.ts";
import type { TeacherOutputs } from "./teacher.ts";
import type { TeacherAnswers } from "./teacher-answers.ts";

export interface StepBatch {
  /** Inputs, labels and the teacher's outputs by the names of the step's inputs; the step may not want all of them. */
  readonly feeds: Readonly<Record<string, Tensor>>;
  readonly teacher: TeacherOutputs | undefined;
  /** What its step is chosen by. */
  readonly shaped: ShapedBatch;
  /** Of its logits. */
  readonly rows: number;
}

/** The batches of step `step` (counted from 0): one, or those whose gradients are added up. */
export async function readStepBatches(
  run: PreparedRun,
  answers: TeacherAnswers,
  step: number,
  group: readonly Uint32Array[],
): Promise<StepBatch[]> {
  const batches: StepBatch[] = [];
  for (const samples of group) batches.push(await readStepBatch(run, answers, step, samples));
  return run.o.accumulate > 1 ? withTotals(batches, run.classWeights) : batches;
}

/** One batch of step `step` (counted from 0). */
export async function readStepBatch(
  run: PreparedRun,
  answers: TeacherAnswers,
  step: number,
  samples: Uint32Array,
): Promise<StepBatch> {
  const { o, options, steps, schedule } = run;
  const epoch = Math.floor(step / schedule.stepsPerEpoch);
  const batch = await options.data.read(samples);
  const inputs = augments(o) ? augmented(batch.inputs, options.data, o, epoch, samples) : batch.inputs;
  const fed = run.feedStudent(inputs);
  const raw = await answers.of(samples, inputs, epoch);
  const shaped = { inputs, feeds: fed, labels: batch.labels, samples, said: raw };
  const { compiled, front } = await steps.at(shaped);
  const feeds = await front.run(fed);
  // An axis of one more or less than the student's makes no difference.
  const teacher = raw && {
    ...raw,
    logits: run.comparable ? { ...raw.logits, dims: compiled.comparedShape } : raw.logits,
  };
  if (teacher) {
    const own = nobodyElseHas(run);
    feeds[names.teacherLogits] = own(teacher.logits);
    for (const tap of answers.kept) feeds[names.teacherTap(tap)] = own(teacher.taps[tap] as Tensor);
  }
  Object.assign(feeds, labelFeeds(run.labels, batch.labels, compiled.logitsShape, samples));
  return { feeds, teacher, shaped, rows: rowsShape(compiled.logitsShape)[0] };
}

/** What a model or the cache gave is new, unless code of the user's sees it too: that may keep it. */
function nobodyElseHas({ options, onArrays }: PreparedRun): (t: Tensor) => Tensor {
  if (typeof options.teacher === "function" || onArrays.length > 0) return (t) => t;
  return ({ dtype, dims, data }) => new OwnTensor(dtype as "float32", dims, data as Float32Array);
}

/** Reads one step's batches ahead, never two at once. */
export class BatchAhead {
  readonly #read: (step: number, group: readonly Uint32Array[]) => Promise<StepBatch[]>;
  #begun: { step: number; batches: Promise<StepBatch[]> } | undefined;

  constructor(read: (step: number, group: readonly Uint32Array[]) => Promise<StepBatch[]>) {
    this.#read = read;
  }

  /** Begins with the batches of a step that is taken next. What fails is thrown when it is taken. */
  begin(step: number, group: readonly Uint32Array[]): void {
    const batches = this.#read(step, group);
    batches.catch(() => {});
    this.#begun = { step, batches };
  }

  take(step: number, group: readonly Uint32Array[]): Promise<StepBatch[]> {
    const begun = this.#begun;
    this.#begun = undefined;
    return begun?.step === step ? begun.batches : this.#read(step, group);
  }

  /** Waits for what was begun and is not taken any more, so that nothing of a run goes on after its end. */
  async release(): Promise<void> {
    await this.#begun?.batches.catch(() => {});
  }
}
