// How good a model is on a data set: measured on an ordinary session of its exported form.
import { DistillError } from "../base/errors.ts";
import type { Tensor } from "../base/tensor.ts";
import { evaluationBatches } from "../data/batches.ts";
import { type Dataset, labelTensor } from "../data/dataset.ts";
import {
  type Metrics,
  type OutputLayout,
  type Predictions,
  readLabels,
  rowsOfTensor,
  type Task,
  taskNamed,
} from "../tasks/index.ts";
import type { ModelRunner } from "./model-runner.ts";
import { OutputReader } from "./output-reader.ts";

export type { Metrics };

export interface Evaluation {
  readonly metrics: Metrics;
  readonly samples: number;
  /** counts[true][predicted], where there are labels and each row has one class. */
  readonly confusion?: number[][];
  /** What the model predicts, samples in order; of a classification, the class with the largest logit. */
  readonly predictions: Predictions;
  /** Median over the full batches. */
  readonly msPerSample: number;
  /** Numbers in each row: classes, or outputs. */
  readonly width: number;
}

/**
 * `run` gives the logits of a batch, as the task takes them; `teacher` are the teacher's predictions.
 *
 * @example
 * const { metrics } = await evaluate(async ([x]) => (await session.run({ x })).logits, data, { batch: 64 });
 */
export async function evaluate(
  run: (inputs: readonly Tensor[]) => Promise<Tensor>,
  dataset: Dataset,
  options: {
    readonly batch: number;
    /** Default: classification. */
    readonly task?: Task | undefined;
    readonly teacher?: Predictions | undefined;
    /** How many numbers the teacher gives for each row; of a model that gives others it is not compared. */
    readonly teacherWidth?: number | undefined;
    /** What is measured in place of the logits. */
    readonly measured?: ((logits: Tensor) => Tensor) | undefined;
    /** How what `run` gives is read; default: logits, whose axes the first batch shows. */
    readonly reader?: OutputReader | undefined;
    /** What runs the model, where `run` does not take any number of samples at once. */
    readonly runner?: Pick<ModelRunner, "fixedBatch" | "observe"> | undefined;
    /** `run` gives logits in the task's form, of an output that lies so: labels may lie so too. */
    readonly readBefore?: OutputLayout | undefined;
    readonly onProgress?: (done: number) => void;
  },
): Promise<Evaluation> {
  const { task = taskNamed(), teacherWidth } = options;
  let { teacher } = options;
  let width = 0;
  const evaluator = task.evaluator();
  const times: number[] = [];
  const all: Predictions[] = [];
  let rowsBefore = 0;
  const { readBefore } = options;
  const { runner } = options;
  const reader =
    options.reader ??
    new OutputReader({
      task,
      who: "evaluation: the {}",
      flags: { logits: "--logits", gives: "--gives" },
      asked: { gives: "logits" },
    });
  for (const samples of evaluationBatches(dataset.length, options.batch)) {
    const { inputs, labels } = await dataset.read(samples);
    const began = performance.now();
    const raw = await run(inputs);
    if (samples.length === options.batch || times.length === 0)
      times.push((performance.now() - began) / samples.length);
    const shapes = runner && (() => runner.observe(inputs));
    const own = readBefore ? raw : await reader.read(raw, { inputs, labels, again: run, shapes });
    const logits = options.measured?.(own) ?? own;
    const layout = readBefore ?? (reader.reading as OutputLayout);
    const rows = rowsOfTensor(logits);
    checkComparable(rows, samples);
    const predictions = task.predictions(rows);
    width = rows.dims[1] as number;
    if (teacherWidth !== undefined && teacherWidth !== width) teacher = undefined;
    all.push(predictions);
    const from = rowsBefore;
    rowsBefore += predictions.length;
    if (teacher && teacher.length < rowsBefore) throw otherRows();
    evaluator.add({
      rows,
      shape: logits.dims,
      predictions,
      labels: labels && readLabels(labelTensor(labels), logits.dims, layout, task),
      teacher: teacher?.subarray(from, from + predictions.length),
      source: { name: "evaluation data", samples },
    });
    options.onProgress?.((samples.at(-1) as number) + 1);
  }
  if (teacher && teacher.length !== rowsBefore) throw otherRows();
  const sorted = times.slice(times.length > 1 ? 1 : 0).sort((a, b) => a - b);
  return {
    ...evaluator.result(),
    samples: dataset.length,
    predictions: joined(all, rowsBefore),
    msPerSample: sorted[sorted.length >> 1] ?? 0,
    width,
  };
}

/** Batches may be padded to sizes of their own. */
function joined(parts: readonly Predictions[], length: number): Predictions {
  const [first] = parts;
  if (!first) return new Int32Array();
  if (parts.length === 1) return first;
  const all = new (first.constructor as Int32ArrayConstructor)(length);
  let at = 0;
  for (const part of parts as readonly Int32Array[]) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}

const otherRows = (): DistillError =>
  new DistillError(
    "E_SHAPE",
    "evaluation: the teacher's predictions are for other rows than the model's; evaluate both in batches of the same size",
  );

/** Share of each class's samples that were recognised; null for a class without samples. */
export function recalls(confusion: readonly (readonly number[])[]): (number | null)[] {
  return confusion.map((row, i) => {
    const all = row.reduce((a, b) => a + b, 0);
    return all === 0 ? null : (row[i] as number) / all;
  });
}

/** Before anything looks for the largest: a comparison with NaN is false, so NaN would be class 0 without a word. */
function checkComparable({ data, dims: [rows, columns] }: Tensor, samples: Uint32Array): void {
  if (!(data as Float32Array).includes(Number.NaN)) return;
  const at = (data as Float32Array).findIndex(Number.isNaN);
  const each = (rows as number) / samples.length;
  throw new DistillError(
    "E_NOT_FINITE",
    `evaluation: the logits are NaN at sample ${samples[Math.floor(at / (columns as number) / each)]}, output ${at % (columns as number)}; look for NaN in that sample and in the model's weights`,
  );
}
