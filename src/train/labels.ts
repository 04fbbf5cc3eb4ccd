// Labels of a data set -> feeds of the step, as the task reads them; and the check of all of them before the first step.
import { DistillError } from "../base/errors.ts";
import type { Shape, Tensor } from "../base/tensor.ts";
import { names } from "../compile/compile-step.ts";
import { evaluationBatches } from "../data/batches.ts";
import { type Dataset, type Labels, labelTensor } from "../data/dataset.ts";
import type { Task } from "../tasks/index.ts";

export interface LabelUse {
  readonly task: Task;
  /** false: labels say at most which rows count. */
  readonly inLoss: boolean;
}

/** What the step is fed of the labels of some samples; nothing where it has no use for them. */
export function labelFeeds(
  { task, inLoss }: LabelUse,
  labels: Labels | undefined,
  logits: Shape,
  samples: ArrayLike<number>,
): Record<string, Tensor> {
  if (!labels || !(inLoss || task.ignores)) return {};
  const feeds = task.feeds(labelTensor(labels), logits, { name: "the data", samples });
  if (!feeds) return {};
  return {
    ...(inLoss && { [names.labels]: feeds.labels }),
    ...(feeds.weights && { [names.rowWeights]: feeds.weights }),
  };
}

/** Samples whose labels are looked at together. */
const chunk = 4096;

/**
 * Holds all labels to the student's logits, as far as they can be had without the inputs.
 *
 * Errors: E_DATA for more classes than logits, and as `Task.feeds`.
 */
export async function checkLabels(
  task: Task,
  data: Dataset,
  name: string,
  student: string,
  logits: Shape,
): Promise<void> {
  if (!data.hasLabels) return;
  const classes = task.classesOf(logits);
  if (data.classes !== undefined && classes !== undefined && data.classes > classes)
    throw new DistillError(
      "E_DATA",
      `${name} has labels for ${data.classes} classes, the student ${student} gives ${classes} logits`,
    );
  if (!data.readLabels) return;
  for (const samples of evaluationBatches(data.length, chunk)) {
    const labels = labelTensor(await data.readLabels(samples));
    task.feeds(labels, [samples.length, ...logits.slice(1)], { name, samples });
  }
}
