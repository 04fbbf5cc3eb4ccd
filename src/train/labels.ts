// Labels of a data set -> feeds of the step, as the task reads them; and the check of all of them before the first step.
import { DistillError } from "../base/errors.ts";
import { neuronAxis } from "../base/layout.ts";
import type { Shape, Tensor } from "../base/tensor.ts";
import { names } from "../compile/compile-step.ts";
import { evaluationBatches } from "../data/batches.ts";
import { type Dataset, type Labels, labelTensor } from "../data/dataset.ts";
import { type OutputLayout, readLabels, type Task } from "../tasks/index.ts";

export interface LabelUse {
  readonly task: Task;
  /** false: labels say at most which rows count. */
  readonly inLoss: boolean;
  /** Of the student's output: labels that are shaped like it lie so too. */
  readonly layout?: OutputLayout | undefined;
}

/** What the step is fed of the labels of some samples; nothing where it has no use for them. */
export function labelFeeds(
  { task, inLoss, layout }: LabelUse,
  labels: Labels | undefined,
  logits: Shape,
  samples: ArrayLike<number>,
): Record<string, Tensor> {
  if (!labels || !(inLoss || task.ignores)) return {};
  const lying = labelTensor(labels);
  const read = layout ? readLabels(lying, logits, layout, task) : lying;
  const feeds = task.feeds(read, logits, { name: "the data", samples });
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
 * `together`: so many samples make a batch, where batches differ in shape: labels show then how many positions there are.
 *
 * Errors: E_DATA for more classes than logits, where every label is ignored, and as `Task.feeds`.
 */
export async function checkLabels(
  { task, layout }: Pick<LabelUse, "task" | "layout">,
  data: Dataset,
  name: string,
  student: string,
  logits: Shape,
  together?: number,
): Promise<void> {
  if (!data.hasLabels) return;
  const classes = task.classesOf(logits);
  if (data.classes !== undefined && classes !== undefined && data.classes > classes)
    throw new DistillError(
      "E_DATA",
      `${name} has labels for ${data.classes} classes, the student ${student} gives ${classes} logits`,
    );
  if (!data.readLabels) return;
  let counts = false;
  for (const samples of evaluationBatches(data.length, together ?? chunk)) {
    const labels = labelTensor(await data.readLabels(samples));
    const shape = [samples.length, ...(together ? logitsFor(labels, logits) : logits).slice(1)];
    const fed = task.feeds(layout ? readLabels(labels, shape, layout, task) : labels, shape, {
      name,
      samples,
    });
    counts ||= !fed?.weights || (fed.weights.data as Float32Array).some((w) => w > 0);
  }
  // The loss would be 0 at every step, and nothing learned.
  if (!counts && data.length > 0)
    throw new DistillError(
      "E_DATA",
      `${name}: every label is the ignored one, so no row counts; correct the labels, or the label that is ignored (--ignore-index)`,
    );
}

/** Logits with as many positions as the labels have, where batches are padded to sizes of their own. */
function logitsFor({ dims }: Tensor, logits: Shape): Shape {
  const axis = neuronAxis(logits.length);
  const classes = logits[axis] as number;
  if (dims.length === logits.length) return dims.with(axis, classes);
  return dims.length > 1 && dims.length === logits.length - 1 ? dims.toSpliced(axis, 0, classes) : logits;
}
