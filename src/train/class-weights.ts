// The option classWeights: checked, made from labels where it is "balanced", and told.
import { DistillError } from "../base/errors.ts";
import { isFloat, type Shape, toNumbers } from "../base/tensor.ts";
import { valueNamed } from "../compile/compile-step.ts";
import { evaluationBatches } from "../data/batches.ts";
import { type Dataset, type Labels, labelTensor } from "../data/dataset.ts";
import { typeOf } from "../graph/graph.ts";
import type { PreparedStudent } from "../prepare/prepare-student.ts";
import { type OutputReading, readShape, type Task } from "../tasks/index.ts";
import type { Resolved } from "./options.ts";

/** Samples whose labels are read together. */
const chunk = 4096;

/** Errors: E_OPTION where the task or the data has no classes to weigh, E_ARGUMENT for what are no weights. */
export function resolveClassWeights(
  weights: readonly number[] | "balanced" | undefined,
  task: Task,
  hasLabels: boolean,
): readonly number[] | "balanced" | undefined {
  if (weights === undefined) return undefined;
  if (task.outputs !== "softmax" || !task.learnsFromLabels)
    throw new DistillError(
      "E_OPTION",
      `distill: task ${task.name} has no option classWeights; it belongs to tasks whose rows choose one class`,
    );
  if (!hasLabels)
    throw new DistillError(
      "E_OPTION",
      "distill: classWeights weigh the loss on labels, but the data has none; leave them out, or give labels",
    );
  if (weights === "balanced") return weights;
  if (!Array.isArray(weights))
    throw new DistillError(
      "E_ARGUMENT",
      `distill: classWeights must be "balanced" or an array with a number for each class, got ${JSON.stringify(weights)}`,
    );
  const bad = weights.findIndex((w) => !(Number.isFinite(w) && w >= 0));
  if (bad >= 0)
    throw new DistillError(
      "E_ARGUMENT",
      `distill: classWeights[${bad}] must be a finite number >= 0, got ${weights[bad]}`,
    );
  if (!weights.some((w) => w > 0))
    throw new DistillError("E_ARGUMENT", "distill: classWeights are all 0; give one class a weight above 0");
  return [...weights];
}

/**
 * n / (classes · n of the class) over the labels of `data`, the classes being those that occur; 0 for one that does not.
 *
 * Error: E_OPTION for labels that are distributions.
 */
export async function balancedWeights(
  data: Dataset,
  { model, logits }: PreparedStudent,
  { task, taskOptions: { ignoreIndex }, batch }: Pick<Resolved, "task" | "taskOptions" | "batch">,
  reading: OutputReading,
): Promise<number[]> {
  const { dims } = typeOf(valueNamed(model, logits.value, "logits"));
  const classes = task.classesOf(readShape(dims, reading, task) as Shape) as number;
  const counts = new Array<number>(classes).fill(0);
  for (const samples of evaluationBatches(data.length, data.readLabels ? chunk : batch)) {
    const given = data.readLabels ? await data.readLabels(samples) : (await data.read(samples)).labels;
    const labels = labelTensor(given as Labels);
    if (isFloat(labels.dtype))
      throw new DistillError(
        "E_OPTION",
        'distill: classWeights "balanced" counts class indices, but the labels are distributions; give the weights as numbers',
      );
    for (const label of toNumbers(labels))
      if (label !== ignoreIndex && label >= 0 && label < classes) counts[label]!++;
  }
  const present = counts.filter((n) => n > 0).length;
  const all = counts.reduce((a, b) => a + b, 0);
  return counts.map((n) => (n === 0 ? 0 : all / (present * n)));
}

/** Error: E_OPTION where no term of the loss looks at labels. */
export function checkWeighted(weights: unknown, terms: readonly string[]): void {
  if (weights === undefined || terms.some((t) => t.split("/").at(-1)?.startsWith("hard"))) return;
  throw new DistillError(
    "E_OPTION",
    `distill: classWeights (--class-weights) weigh the loss on labels, but this one (${terms.slice(1).join(", ")}) has none that they reach; let labels help (--alpha above 0) with a loss of this package, or leave them out`,
  );
}

/** What the user should know of them. */
export function weightNotes(weights: readonly number[] | undefined): string[] {
  if (!weights) return [];
  const short = weights.map((w) => String(Number(w.toPrecision(4))));
  const told =
    weights.length <= 10
      ? `classes weigh ${short.join(", ")}`
      : `${weights.length} classes weigh ${Number(Math.min(...weights).toPrecision(4))} to ${Number(Math.max(...weights).toPrecision(4))}`;
  return [`${told} in the loss on labels (hard); metrics count all alike`];
}
