// Evaluates a model as it is, on a session of its own, also one that was made for a fixed batch.
import type { Tensor } from "../base/tensor.ts";
import type { Dataset } from "../data/dataset.ts";
import type { Model } from "../onnx/model.ts";
import type { Fix } from "../prepare/fixed-inputs.ts";
import { describeChoice, logitsOf, refuseSorted, withLogits } from "../prepare/logits.ts";
import type { Runtime } from "../runtime/session.ts";
import {
  type AskedReading,
  type OutputReading,
  type Predictions,
  type Task,
  taskNamed,
} from "../tasks/index.ts";
import { heldAlike } from "./alike-inputs.ts";
import { type ClassMap, mapClasses } from "./class-map.ts";
import { type Evaluation, evaluate } from "./evaluate.ts";
import { fitInputs } from "./fit-inputs.ts";
import { openRunner } from "./model-runner.ts";
import { activationOf } from "./output-options.ts";
import { OutputReader } from "./output-reader.ts";

export interface EvaluateModelOptions {
  readonly runtime: Runtime;
  /** Samples at a time; default 128. Of no effect on a model that was made for a fixed batch. */
  readonly batch?: number | undefined;
  /** The value that holds the logits, or what is made of them by a Softmax and the like; default: the first output. */
  readonly logits?: string | undefined;
  /** Inputs that are one value for all samples; see `DistillOptions.fix`. Names that the model does not have are passed over. */
  readonly fix?: Fix | undefined;
  /** Default: classification. */
  readonly task?: Task | undefined;
  /** The teacher's predictions on the same data. */
  readonly teacher?: Predictions | undefined;
  /** How many numbers it gives for each row; where the model gives others, they are not compared. */
  readonly teacherWidth?: number | undefined;
  /** Of a teacher whose classes are others than the data's (option classMap of distill). */
  readonly classMap?: ClassMap | undefined;
  /** What is measured in place of the outputs. */
  readonly measured?: ((outputs: Tensor) => Tensor) | undefined;
  /** What is said of how the output is read; default: found from the first batch. */
  readonly asked?: AskedReading | undefined;
  /** Settled before. */
  readonly reading?: OutputReading | undefined;
  /** Whose output it is, and the options that name it and say what it gives. Default: of the student's. */
  readonly role?: "model" | "student" | "teacher" | undefined;
  readonly onProgress?: (done: number) => void;
}

export interface ModelEvaluation extends Evaluation {
  readonly batch: number;
  /** Of an output whose values are not taken as they are. */
  readonly note: string | undefined;
  /** Of an output that is the first of several. */
  readonly choice: string | undefined;
}

/**
 * Metrics of a model on a data set. A model made for a fixed batch gets batches of that size, the last one filled up; where it
 * ends in a Softmax and the like, its logits are looked for before it (see `logitsOf`).
 *
 * Errors: E_NAME for logits that do not exist, E_DATA where model and data do not fit.
 */
export async function evaluateModel(
  given: Model,
  data: Dataset,
  o: EvaluateModelOptions,
): Promise<ModelEvaluation> {
  const { task = taskNamed() } = o;
  const { model, alike } = await fitInputs(given, data, o.fix);
  const dataset = heldAlike(data, alike);
  const { asked = {}, role = "student" } = o;
  const logits = logitsOf(model, o.logits, activationOf(task, asked));
  if (activationOf(task, asked) !== "identity")
    refuseSorted(model, logits, role === "model" ? "" : `the ${role}`);
  const ready = withLogits(model, logits);
  const flag = role === "model" ? "--logits" : `--${role}-logits`;
  const choice = describeChoice(model, o.logits, logits, activationOf(task, asked), `the ${role}`, flag);
  const prefix = role === "model" ? "--" : `--${role}-`;
  const reader = new OutputReader({
    ...{ task, asked, reading: o.reading, graph: { model: ready, logits } },
    who: `the ${role}'s {} "${logits.value}"`,
    source: model.source,
    flags: { logits: `${prefix}logits`, gives: `${prefix}gives` },
  });
  const runner = await openRunner(ready, o.runtime, dataset, [logits.value]);
  try {
    const { fixedBatch } = runner;
    const found = await evaluate(
      async (inputs) => (await runner.run(inputs))[logits.value] as Tensor,
      dataset,
      {
        batch: fixedBatch ?? o.batch ?? 128,
        task,
        teacher: o.teacher,
        teacherWidth: o.teacherWidth,
        measured: o.measured ?? (o.classMap && ((t) => mapClasses(t, o.classMap as ClassMap))),
        reader,
        runner,
        ...(o.onProgress && { onProgress: o.onProgress }),
      },
    );
    return { ...found, batch: fixedBatch ?? o.batch ?? 128, note: reader.note, choice };
  } finally {
    await runner.release();
  }
}
