// The tasks by name, and how one is chosen. Adding a task: one literal in a file beside this one, one row here and one in
// names.ts.
import { DistillError, didYouMean } from "../base/errors.ts";
import { formatShape, type Shape } from "../base/tensor.ts";
import { classification } from "./classification.ts";
import { ctc } from "./ctc.ts";
import { multiLabel } from "./multi-label.ts";
import { defaultTask, type TaskName, taskNames, tasksWith } from "./names.ts";
import { isReadable } from "./reading.ts";
import { regression } from "./regression.ts";
import { segmentation } from "./segmentation.ts";
import type { Task, TaskOptions } from "./task.ts";
import { languageModelling, tokenClassification } from "./tokens.ts";

const makers: Record<TaskName, (options: TaskOptions) => Task> = {
  classification,
  "multi-label": multiLabel,
  regression,
  "token-classification": tokenClassification,
  "language-modelling": languageModelling,
  ctc,
  segmentation,
};

/**
 * The task of that name.
 *
 * Errors: E_ARGUMENT for an unknown name, with the nearest ones; E_OPTION for an option that the task does not have.
 */
export function taskNamed(name: TaskName = defaultTask, options: TaskOptions = {}): Task {
  if (!Object.hasOwn(makers, name))
    throw new DistillError(
      "E_ARGUMENT",
      `task "${name}" is not known.${didYouMean(name, taskNames)} Known: ${taskNames.join(", ")}.`,
    );
  for (const [key, value] of Object.entries(options) as [keyof TaskOptions, unknown][]) {
    const owners = tasksWith(key);
    if (value !== undefined && !owners.includes(name))
      throw new DistillError(
        "E_OPTION",
        `task ${name} has no option ${key}${owners.length > 0 ? `; it belongs to ${owners.join(", ")}` : ""}`,
      );
  }
  return makers[name](options);
}

/** Tasks whose logits may have that rank. */
export function tasksOfRank(rank: number): TaskName[] {
  return taskNames.filter((n) => taskNamed(n).takesRank(rank));
}

/**
 * Refuses logits that `task` cannot read: E_SHAPE, naming the tasks that can.
 *
 * @param what e.g. `the student's logits "y" (student.onnx)`
 * @param flag the option that names the right value, e.g. `--student-logits`
 */
export function checkLogitsShape(task: Task, dims: Shape, what: string, flag: string): void {
  if (isReadable(dims, task)) return;
  const others = tasksOfRank(dims.length);
  const choose =
    others.length > 0 ? `, or the task that takes such logits with --task: ${others.join(", ")}` : "";
  throw new DistillError(
    "E_SHAPE",
    `${what} are ${formatShape(dims)}, task ${task.name} expects ${task.logits}; name the right value with ${flag}${choose}`,
  );
}

export { type AskedAxes, findLayout, type ToldAxes, withoutOnes } from "./find-layout.ts";
export * from "./find-reading.ts";
export * from "./metrics.ts";
export { defaultTask, type TaskName, taskNames } from "./names.ts";
export * from "./reading.ts";
export * from "./rows.ts";
export type * from "./task.ts";
