// `--loss <loss>[:option=value,…]` -> a strategy on outputs.
import {
  CorrelationDistillationStrategy,
  DecoupledDistillationStrategy,
  type DistillationStrategy,
  ResponseDistillationStrategy,
  TransformedTeacherDistillationStrategy,
} from "../strategies/index.ts";
import { type Choice, named, parseChoice } from "./choice.ts";
import { type OutputLossName, outputLosses } from "./output-losses.ts";

/** Options are checked against the table by name and kind; their values are checked by the strategies themselves. */
const strategies: Record<OutputLossName, (options: object) => DistillationStrategy> = {
  kd: (o) => new ResponseDistillationStrategy(o),
  "standardized-kd": (o) => new ResponseDistillationStrategy({ ...o, standardize: true }),
  dkd: (o) => new DecoupledDistillationStrategy(o),
  dist: (o) => new CorrelationDistillationStrategy(o),
  wttm: (o) => new TransformedTeacherDistillationStrategy(o),
  ttm: (o) => new TransformedTeacherDistillationStrategy({ ...o, weighted: false }),
};

/**
 * @example
 * parseLoss("dkd:non-target-weight=2,warmup=1"); // { name: "dkd", options: { nonTargetWeight: 2 }, schedule: { warmup: 1 } }
 */
export function parseLoss(text: string): Choice<OutputLossName> {
  return parseChoice(text, { flag: "--loss", choices: outputLosses, common: { weight: "number" } });
}

/** `shared` are the options of every loss on outputs. Errors name the option as it was typed. */
export function outputStrategy(
  text: string,
  { name, options }: Choice<OutputLossName>,
  shared: { readonly temperature?: number; readonly alpha?: number },
): DistillationStrategy {
  const { weight: _, ...own } = options;
  return named("--loss", text, () => strategies[name]({ ...shared, ...own }));
}
