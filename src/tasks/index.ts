// The tasks by name, and how one is chosen. Adding a task: one literal in a file beside this one, one row here.
import { DistillError, didYouMean } from "../base/errors.ts";
import { formatShape, type Shape } from "../base/tensor.ts";
import { classification } from "./classification.ts";
import { ctc } from "./ctc.ts";
import { multiLabel } from "./multi-label.ts";
import { regression } from "./regression.ts";
import { segmentation } from "./segmentation.ts";
import type { Task, TaskOptions } from "./task.ts";
import { languageModelling, tokenClassification } from "./tokens.ts";

interface TaskEntry {
  readonly make: (options: TaskOptions) => Task;
  /** Options that the task has. */
  readonly options: readonly (keyof TaskOptions)[];
  /** What it is, for help. */
  readonly summary: string;
}

export const taskTable = {
  classification: {
    make: classification,
    options: ["ignoreIndex"],
    summary: "one class a sample",
  },
  "multi-label": { make: multiLabel, options: [], summary: "several yes-or-no labels a sample" },
  regression: { make: regression, options: ["huberDelta"], summary: "real numbers" },
  "token-classification": {
    make: tokenClassification,
    options: ["ignoreIndex"],
    summary: "one class a token",
  },
  "language-modelling": {
    make: languageModelling,
    options: ["ignoreIndex"],
    summary: "the next token, or a masked one",
  },
  ctc: {
    make: ctc,
    options: ["ignoreIndex", "blankIndex"],
    summary: "a class or blank a time step",
  },
  segmentation: { make: segmentation, options: ["ignoreIndex"], summary: "one class a pixel" },
} as const satisfies Record<string, TaskEntry>;

export type TaskName = keyof typeof taskTable;
export const taskNames = Object.keys(taskTable) as TaskName[];
export const defaultTask: TaskName = "classification";

/**
 * The task of that name.
 *
 * Errors: E_ARGUMENT for an unknown name, with the nearest ones; E_OPTION for an option that the task does not have.
 */
export function taskNamed(name: TaskName = defaultTask, options: TaskOptions = {}): Task {
  if (!Object.hasOwn(taskTable, name))
    throw new DistillError(
      "E_ARGUMENT",
      `task "${name}" is not known.${didYouMean(name, taskNames)} Known: ${taskNames.join(", ")}.`,
    );
  const entry: TaskEntry = taskTable[name];
  for (const [key, value] of Object.entries(options)) {
    if (value === undefined || (entry.options as readonly string[]).includes(key)) continue;
    const owners = taskNames.filter((n) =>
      ((taskTable[n] as TaskEntry).options as readonly string[]).includes(key),
    );
    throw new DistillError(
      "E_OPTION",
      `task ${name} has no option ${key}${owners.length > 0 ? `; it belongs to ${owners.join(", ")}` : ""}`,
    );
  }
  return entry.make(options);
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
  if (task.takesRank(dims.length)) return;
  const others = tasksOfRank(dims.length);
  const choose =
    others.length > 0 ? `, or the task that takes such logits with --task: ${others.join(", ")}` : "";
  throw new DistillError(
    "E_SHAPE",
    `${what} are ${formatShape(dims)}, task ${task.name} expects ${task.logits}; name the right value with ${flag}${choose}`,
  );
}

export * from "./metrics.ts";
export * from "./rows.ts";
export type * from "./task.ts";
