// Evaluations of a run: the teacher once, the student after each epoch, and which student was the best.
import { DistillError } from "../base/errors.ts";
import type { Tensor } from "../base/tensor.ts";
import type { ExportedModel } from "../onnx/export-model.ts";
import { readModel } from "../onnx/read-model.ts";
import { metricSpecs, type Predictions } from "../tasks/index.ts";
import { EarlyStop } from "./early-stop.ts";
import { type Evaluation, evaluate, type Metrics } from "./evaluate.ts";
import { evaluateModel } from "./evaluate-model.ts";
import type { DistillEvent } from "./events.ts";
import { outdoes } from "./monitor.ts";
import { askedOf } from "./output-options.ts";
import type { PreparedRun } from "./prepare-run.ts";
import type { Checkpoint, RunFolder } from "./run-folder.ts";
import { metricsAt } from "./run-identity.ts";
import { teacherKey } from "./teacher-key.ts";

type EvaluationEvent = Extract<DistillEvent, { type: "evaluation" }>;

/** Undefined without a teacher or data to evaluate on. */
export async function evaluateTeacher(run: PreparedRun): Promise<Evaluation | undefined> {
  const { teacher, options, o, compiled } = run;
  const { evaluation: data, teacherOutputs: shared } = options;
  // What classes its labels are of is not known, where it has others than the student.
  if (!teacher || !data || !run.comparable) return undefined;
  const measure = () =>
    evaluate((inputs) => teacher.logits(inputs), data, {
      batch: o.batch,
      task: o.task,
      readBefore: compiled.reading,
    });
  return shared ? shared.evaluation(data, teacherKey(run, shared), measure) : measure();
}

export function evaluationEvent(
  found: Evaluation,
  more: Pick<EvaluationEvent, "who" | "step" | "epoch" | "best">,
): EvaluationEvent {
  const { metrics, msPerSample, confusion } = found;
  return { type: "evaluation", ...more, metrics, msPerSample, ...(confusion ? { confusion } : {}) };
}

/** The best student so far by the monitored metric, and the one that the run ends with: it or the last. */
export class BestStudent {
  /** Value of the monitored metric, and the step after which it was reached. */
  value: number | undefined;
  step: number | undefined;
  /** Whether the run should end before its last epoch. */
  readonly stop: EarlyStop;
  /** Of the student that the run would end with. */
  metrics: Metrics;
  readonly #run: PreparedRun;
  readonly #folder: RunFolder | undefined;
  #bytes: Uint8Array | undefined;
  /** Of the best student, which decides between equals. */
  #loss: number | undefined;

  constructor(run: PreparedRun, folder: RunFolder | undefined, checkpoint: Checkpoint | undefined) {
    this.#run = run;
    this.#folder = folder;
    this.stop = new EarlyStop(run.o, run.schedule, checkpoint);
    this.value = checkpoint?.best;
    this.step = checkpoint?.bestStep;
    const kept = run.o.keep === "last" ? checkpoint?.step : this.step;
    this.metrics = folder && checkpoint ? metricsAt(folder, kept) : {};
    this.#loss = folder && checkpoint ? metricsAt(folder, this.step).loss : undefined;
  }

  /** Evaluates the student as it would be written (by what `measured` makes of its outputs), and keeps it where it is the best, or the last. */
  async evaluate(
    { bytes, externalFiles }: ExportedModel,
    step: number,
    teacher: Predictions | undefined,
    measured: ((outputs: Tensor) => Tensor) | undefined,
  ): Promise<EvaluationEvent> {
    const { options, o, runtime, student, compiled, schedule } = this.#run;
    const asWritten = readModel(bytes, {
      source: student.own.source,
      external: (path) => externalFiles.find((f) => f.path === path)?.data as Uint8Array,
    });
    const found = await evaluateModel(
      asWritten,
      options.evaluation as NonNullable<typeof options.evaluation>,
      {
        runtime,
        batch: o.batch,
        task: o.task,
        logits: options.studentLogits,
        fix: this.#run.studentFix,
        asked: askedOf(o, "student"),
        reading: compiled.reading,
        teacher,
        measured,
      },
    );
    const best = this.#isBetter(found.metrics, step);
    const last = o.keep === "last";
    if (best || last) this.metrics = found.metrics;
    if (last ? step === schedule.steps : best) {
      this.#bytes = bytes;
      this.#folder?.write("student.onnx", bytes);
    }
    const epoch = step / schedule.stepsPerEpoch;
    this.#folder?.log({ type: "evaluation", who: "student", step, epoch, ...found.metrics, best });
    return evaluationEvent(found, { who: "student", step, epoch, best });
  }

  /** Its file; where nothing was evaluated the one that `latest` makes, which then is written too. */
  async bytes(latest: () => Uint8Array, write: boolean): Promise<Uint8Array> {
    if (this.#bytes) return this.#bytes;
    const path = this.#folder?.file("student.onnx");
    const { readFileSync, existsSync } = await import("node:fs");
    // The last student of a run that was given more or fewer epochs is not what an earlier end wrote.
    if (this.#run.o.keep === "best" && this.step !== undefined && path && existsSync(path))
      return readFileSync(path);
    const bytes = latest();
    if (write) this.#folder?.write("student.onnx", bytes);
    return bytes;
  }

  #isBetter(metrics: Metrics, step: number): boolean {
    const { o } = this.#run;
    const monitor = o.monitor ?? o.task.monitors.find((m) => metrics[m] !== undefined) ?? "loss";
    const value = metrics[monitor];
    if (value === undefined)
      throw new DistillError(
        "E_OPTION",
        `the monitored metric ${monitor} cannot be measured on this data; choose one of ${Object.keys(metrics).join(", ")}`,
      );
    const { better } = metricSpecs[monitor];
    this.stop.see(value, better, step);
    const now = { value, loss: metrics.loss };
    if (this.value !== undefined && !outdoes(now, { value: this.value, loss: this.#loss }, better))
      return false;
    [this.value, this.step, this.#loss] = [value, step, metrics.loss];
    return true;
  }
}
