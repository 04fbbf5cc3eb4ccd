// The options that say what a model's outputs mean, as typed -> a task.
import { DistillError } from "../base/errors.ts";
import { defaultTask, type Task, type TaskName, type TaskOptions, taskNamed } from "../tasks/index.ts";
import { tasksWith } from "../tasks/names.ts";

export interface TaskFlags {
  task?: TaskName;
  ignoreIndex?: number;
  huberDelta?: number;
  blankIndex?: number;
}

const spelt = { ignoreIndex: "--ignore-index", huberDelta: "--huber-delta", blankIndex: "--blank-index" };

/** The task that the flags name. E_OPTION for an option of another task. */
export function taskOf({ task = defaultTask, ignoreIndex, huberDelta, blankIndex }: TaskFlags): Task {
  const given: TaskOptions = { ignoreIndex, huberDelta, blankIndex };
  for (const key of Object.keys(spelt) as (keyof TaskOptions)[])
    if (given[key] !== undefined && !tasksWith(key).includes(task))
      throw new DistillError(
        "E_OPTION",
        `${spelt[key]} belongs to --task ${tasksWith(key).join(", ")}, not to ${task}`,
      );
  return taskNamed(task, given);
}
