// The options of `train` that say what the loss is -> a strategy. Which options there are as text is loss-options.ts's job.
import { DistillError } from "../base/errors.ts";
import {
  type AnyStrategy,
  CombinedDistillationStrategy,
  type DistillationStrategy,
  NeuronSelectivityDistillationStrategy,
  ResponseDistillationStrategy,
  type SelectivityMetric,
} from "../strategies/index.ts";
import { type Task, taskNamed } from "../tasks/index.ts";
import { intermediateStrategy, parseIntermediate } from "./intermediate-option.ts";
import type { TaskFlags } from "./task-flags.ts";
import { flagOf } from "./train-options.ts";

export interface StrategyFlags extends TaskFlags {
  teacher?: string;
  teacherLogits?: string;
  tap?: string[];
  project?: string[];
  intermediate?: string[];
  metric?: SelectivityMetric;
  selectivityWeight?: number;
  temperature?: number;
  alpha?: number;
}

/** Options that say something about learning from a teacher only. */
const ofTeacher = [
  "tap",
  "project",
  "intermediate",
  "metric",
  "selectivityWeight",
  "temperature",
  "alpha",
  "teacherLogits",
] as const;
/** Options that say something about taps only. */
const ofTaps = ["intermediate", "metric", "selectivityWeight"] as const;
/** Options that say something about the loss "selectivity" only. */
const ofSelectivity = ["metric", "selectivityWeight"] as const;

/** The strategy that the options describe; undefined without a teacher. E_OPTION for options that need others. */
export function strategyOf(flags: StrategyFlags, task = taskNamed()): AnyStrategy | undefined {
  if (flags.teacher === undefined) {
    for (const key of ofTeacher)
      if (flags[key] !== undefined) throw new DistillError("E_OPTION", `${flagOf(key)} needs a --teacher`);
    return undefined;
  }
  const output = outputStrategy(flags, task);
  if (!flags.tap) {
    for (const key of ofTaps)
      if (flags[key] !== undefined)
        throw new DistillError("E_OPTION", `${flagOf(key)} needs a --tap: the values to compare`);
    return output;
  }
  return withIntermediate(output, flags);
}

function outputStrategy({ temperature, alpha }: StrategyFlags, task: Task): DistillationStrategy {
  return task.strategy({
    ...(temperature !== undefined && { temperature }),
    ...(alpha !== undefined && { alpha }),
  });
}

/** The loss on outputs, and every `--intermediate` on the taps. */
function withIntermediate(output: DistillationStrategy, flags: StrategyFlags): AnyStrategy {
  const { metric, selectivityWeight, temperature, alpha } = flags;
  const texts = flags.intermediate ?? ["selectivity"];
  const choices = texts.map(parseIntermediate);
  if (!choices.some((c) => c.name === "selectivity"))
    for (const key of ofSelectivity)
      if (flags[key] !== undefined)
        throw new DistillError(
          "E_OPTION",
          `${flagOf(key)} belongs to --intermediate selectivity, not to --intermediate ${texts.join(" --intermediate ")}`,
        );
  const layers = choices.map((choice, i) => {
    const text = texts[i] as string;
    if (choice.name !== "selectivity") return intermediateStrategy(text, choice);
    // Temperature and alpha too, so that it can stand for both losses where it is alone.
    const options = {
      ...defined({ metric, weight: selectivityWeight, temperature, alpha }),
      ...choice.options,
    };
    return intermediateStrategy(text, { ...choice, options });
  });
  const [only] = layers;
  if (layers.length === 1 && output.constructor === ResponseDistillationStrategy)
    if (only instanceof NeuronSelectivityDistillationStrategy) return only;
  return new CombinedDistillationStrategy([
    { strategy: output },
    ...layers.map((strategy) => ({ strategy, part: "intermediate" as const })),
  ]);
}

function defined(options: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(options).filter(([, v]) => v !== undefined));
}
