// The options of `train` that say what the loss is -> a strategy. Which options there are as text is loss-options.ts's job.
import { DistillError } from "../base/errors.ts";
import {
  type DistillationStrategy,
  NeuronSelectivityDistillationStrategy,
  ResponseDistillationStrategy,
  type SelectivityMetric,
} from "../strategies/index.ts";
import { flagOf } from "./train-options.ts";

export interface StrategyFlags {
  teacher?: string;
  teacherLogits?: string;
  tap?: string[];
  project?: string[];
  metric?: SelectivityMetric;
  selectivityWeight?: number;
  temperature?: number;
  alpha?: number;
}

/** Options that say something about learning from a teacher only. */
const ofTeacher = [
  "tap",
  "project",
  "metric",
  "selectivityWeight",
  "temperature",
  "alpha",
  "teacherLogits",
] as const;
/** Options that say something about taps only. */
const ofTaps = ["metric", "selectivityWeight"] as const;

/** The strategy that the options describe; undefined without a teacher. E_OPTION for options that need others. */
export function strategyOf(flags: StrategyFlags): DistillationStrategy | undefined {
  const { temperature, alpha, metric, selectivityWeight } = flags;
  if (flags.teacher === undefined) {
    for (const key of ofTeacher)
      if (flags[key] !== undefined) throw new DistillError("E_OPTION", `${flagOf(key)} needs a --teacher`);
    return undefined;
  }
  const output = {
    ...(temperature !== undefined && { temperature }),
    ...(alpha !== undefined && { alpha }),
  };
  if (flags.tap)
    return new NeuronSelectivityDistillationStrategy({
      ...output,
      ...(metric !== undefined && { metric }),
      ...(selectivityWeight !== undefined && { selectivityWeight }),
    });
  for (const key of ofTaps)
    if (flags[key] !== undefined)
      throw new DistillError("E_OPTION", `${flagOf(key)} needs a --tap: the values to compare`);
  return new ResponseDistillationStrategy(output);
}
