// The tasks' names and options, apart from what they do: help lists them, and help must not load strategies.
import type { TaskOptions } from "./task.ts";

interface TaskInfo {
  /** Options that the task has. */
  readonly options: readonly (keyof TaskOptions)[];
  /** What a row of its outputs is, for help. */
  readonly summary: string;
}

export const taskInfos = {
  classification: { options: ["ignoreIndex"], summary: "one class a sample" },
  "multi-label": { options: [], summary: "several yes-or-no labels a sample" },
  regression: { options: ["huberDelta"], summary: "real numbers" },
  "token-classification": { options: ["ignoreIndex"], summary: "one class a token" },
  "language-modelling": { options: ["ignoreIndex"], summary: "the next token, or a masked one" },
  ctc: { options: ["ignoreIndex", "blankIndex"], summary: "a class or blank a time step" },
  segmentation: { options: ["ignoreIndex"], summary: "one class a pixel" },
} as const satisfies Record<string, TaskInfo>;

export type TaskName = keyof typeof taskInfos;
export const taskNames = Object.keys(taskInfos) as TaskName[];
export const defaultTask: TaskName = "classification";

/** The tasks that have an option. */
export function tasksWith(option: keyof TaskOptions): TaskName[] {
  return taskNames.filter((n) => (taskInfos[n].options as readonly string[]).includes(option));
}
