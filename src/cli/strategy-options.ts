// The options of `train` that say what the loss is -> a strategy. Which options there are as text is loss-options.ts's job.
import { DistillError } from "../base/errors.ts";
import {
  type AnyStrategy,
  CombinedDistillationStrategy,
  NeuronSelectivityDistillationStrategy,
  ResponseDistillationStrategy,
  type SelectivityDistance,
  type SelectivityMatch,
  type SelectivityMetric,
  type SelectivityOver,
  type SelectivityTarget,
  type WeightedStrategy,
} from "../strategies/index.ts";
import { hasOutputLoss, isGraphOnly } from "../strategies/strategy.ts";
import { type Task, taskNamed } from "../tasks/index.ts";
import { defaultTapLoss } from "../train/task-strategy.ts";
import { flagsOfTeacher } from "./flag-uses.ts";
import { intermediateStrategy, parseIntermediate } from "./intermediate-option.ts";
import { outputStrategy, parseLoss } from "./output-option.ts";
import type { TaskFlags } from "./task-flags.ts";
import { flagOf, type TrainFlags } from "./train-options.ts";

export interface StrategyFlags extends TaskFlags {
  teacher?: string;
  teacherLogits?: string;
  classMap?: string;
  projectOutputs?: boolean;
  loss?: string;
  strategy?: string;
  tap?: string[];
  project?: string[];
  intermediate?: string[];
  metric?: SelectivityMetric;
  over?: SelectivityOver;
  match?: SelectivityMatch;
  target?: SelectivityTarget;
  distance?: SelectivityDistance;
  selectivityMomentum?: number;
  selectivityWeight?: number;
  temperature?: number;
  alpha?: number;
}

/** Options that say something about the loss "selectivity" only. */
const ofSelectivity = [
  "metric",
  "over",
  "match",
  "target",
  "distance",
  "selectivityMomentum",
  "selectivityWeight",
] as const;
/** Options that say something about taps only: any of them asks for taps, which are chosen where no --tap names them. */
const ofTaps = ["intermediate", ...ofSelectivity] as const;

/**
 * The strategy that the options describe; undefined without a teacher. `own` is what the module behind `--strategy` holds:
 * it stands for `--loss` if it has a loss on outputs, and joins it if it has none; `--intermediate` joins either.
 *
 * Error: `E_OPTION` for options that need others, or contradict them.
 */
export function strategyOf(
  flags: TrainFlags,
  task = taskNamed(),
  own?: AnyStrategy,
): AnyStrategy | undefined {
  if (flags.teacher === undefined) {
    for (const key of flagsOfTeacher)
      if (flags[key] !== undefined) throw new DistillError("E_OPTION", `${flagOf(key)} needs a --teacher`);
    return undefined;
  }
  const compares = flags.tap !== undefined || ofTaps.some((key) => flags[key] !== undefined);
  const outputs = own ? withOwn(own, flags, task) : [outputOf(flags, task)];
  const layers = compares ? layersOf(flags, own !== undefined) : [];
  const [output] = outputs as [WeightedStrategy, ...WeightedStrategy[]];
  const [layer] = layers;
  // Selectivity beside the usual loss is one strategy that has both.
  if (layers.length === 1 && layer && isPlain(layer) && !own && isPlain(output))
    if (
      layer.strategy instanceof NeuronSelectivityDistillationStrategy &&
      output.strategy.constructor === ResponseDistillationStrategy &&
      flags.loss === undefined
    )
      return layer.strategy;
  if (outputs.length === 1 && layers.length === 0 && isPlain(output)) return output.strategy;
  return new CombinedDistillationStrategy([...outputs, ...layers]);
}

const isPlain = (s: WeightedStrategy): boolean => s.weight === undefined && s.schedule === undefined;

/** The loss on outputs that `--loss` names; the task's usual one without it. */
function outputOf({ loss, temperature, alpha }: StrategyFlags, task: Task): WeightedStrategy {
  const shared = {
    ...(temperature !== undefined && { temperature }),
    ...(alpha !== undefined && { alpha }),
  };
  if (loss === undefined) return { strategy: task.strategy(shared) };
  const choice = parseLoss(loss);
  const { weight } = choice.options as { weight?: number };
  return {
    strategy: outputStrategy(loss, choice, shared),
    ...(weight !== undefined && { weight }),
    ...(choice.schedule && { schedule: choice.schedule }),
  };
}

/** The module's strategy, and the loss on outputs beside it where it has none. */
function withOwn(own: AnyStrategy, flags: StrategyFlags, task: Task): WeightedStrategy[] {
  const path = flags.strategy as string;
  if (!hasOutputLoss(own) && !isGraphOnly(own)) return [outputOf(flags, task), { strategy: own }];
  if (flags.loss !== undefined)
    throw new DistillError(
      "E_OPTION",
      `--loss ${flags.loss}: the strategy of ${path} is a loss on outputs itself; give one of the two, or sum them in the module with CombinedDistillationStrategy`,
    );
  for (const key of ["temperature", "alpha"] as const) {
    const value = flags[key];
    if (value === undefined) continue;
    if (isGraphOnly(own))
      throw new DistillError(
        "E_OPTION",
        `${flagOf(key)}: the loss "${own.name}" of ${path} has none that could be set; set it in the module`,
      );
    own[key] = value;
  }
  return [{ strategy: own }];
}

/**
 * Every `--intermediate`. Without one, selectivity if any of its options is given, and otherwise the usual comparison, unless
 * a module says what the loss is.
 */
function layersOf(flags: StrategyFlags, hasOwn: boolean): WeightedStrategy[] {
  const { metric, over, match, target, distance, temperature, alpha } = flags;
  const [weight, momentum] = [flags.selectivityWeight, flags.selectivityMomentum];
  const asksSelectivity = ofSelectivity.some((key) => flags[key] !== undefined);
  if (!flags.intermediate && !hasOwn && !asksSelectivity) return [defaultTapLoss()];
  const texts = flags.intermediate ?? (hasOwn ? [] : ["selectivity"]);
  const choices = texts.map(parseIntermediate);
  if (!choices.some((c) => c.name === "selectivity"))
    for (const key of ofSelectivity)
      if (flags[key] !== undefined)
        throw new DistillError(
          "E_OPTION",
          `${flagOf(key)} belongs to --intermediate selectivity, not to ${[...(hasOwn ? [`--strategy ${flags.strategy}`] : []), ...texts.map((t) => `--intermediate ${t}`)].join(" ")}`,
        );
  return choices.map((choice, i) => {
    const text = texts[i] as string;
    // Temperature and alpha too, so that it can stand for both losses where it is alone.
    const shared =
      choice.name === "selectivity"
        ? { metric, over, match, target, distance, momentum, weight, temperature, alpha }
        : {};
    const strategy = intermediateStrategy(text, {
      ...choice,
      options: { ...defined(shared), ...choice.options },
    });
    return { strategy, part: "intermediate", ...(choice.schedule && { schedule: choice.schedule }) };
  });
}

function defined(options: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(options).filter(([, v]) => v !== undefined));
}
