// The options that say what a model's outputs mean, for train and eval, as the parser sees them. The task itself is
// task-flags.ts's job: help must not load it.
import type { Option } from "commander";
import { defaultTask, taskInfos, taskNames } from "../tasks/names.ts";
import { choice, number, option, whole } from "./parse.ts";

/** `--huber-delta` is of training alone. */
export function taskOptions(use: "train" | "eval"): Option[] {
  const summaries = taskNames.map((n) => `${n} (${taskInfos[n].summary})`).join(", ");
  return [
    choice("--task <task>", `what the outputs mean: ${summaries} (default: ${defaultTask})`, taskNames),
    option(
      "--ignore-index <n>",
      "of tasks with class indices: the label whose row does not count (default: -100; of classification, none)",
      whole(),
    ),
    ...(use === "train"
      ? [
          option(
            "--huber-delta <x>",
            "of regression: Huber's loss, linear beyond so large a difference (default: squared differences)",
            number({ above: 0 }),
          ),
        ]
      : []),
    option("--blank-index <n>", "of ctc: the class that stands for no symbol (default: 0)", whole(0)),
  ];
}
